//! The knowledge base: Markdown in, chunks out.
