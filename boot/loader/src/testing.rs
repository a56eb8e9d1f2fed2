//! Machines for tests.
