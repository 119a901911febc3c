//! The built-in rails, one file each, declared.
