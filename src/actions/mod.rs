//! Actions: the registry, typed arguments, dispatch.
