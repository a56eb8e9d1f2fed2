//! Shim placeholder.
