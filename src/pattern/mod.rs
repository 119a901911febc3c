//! Python's regular expressions: translation, searching, and exact hold-back in streams.
