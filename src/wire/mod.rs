//! Chat-shaped bodies: what is chat, reading, patching, refusing.
