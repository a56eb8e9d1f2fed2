//! Tests of the kernel from inside: see the library.
#![cfg_attr(target_os = "none", no_std, no_main)]

libsys::entry!(ktest::start);
