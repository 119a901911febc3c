//! Embedding providers and the exact index over their vectors.
