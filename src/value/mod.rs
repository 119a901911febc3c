//! Python-like values: what Colang variables hold, actions take and return.
