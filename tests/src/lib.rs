//! Host-side integration tests.
