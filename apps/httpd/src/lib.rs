//! An HTTP/1.1 server of static files (RFC 9110, RFC 9112), without the sockets and the files.
//!
//! Read in this order: [`request`] (what a client asks for), [`range`] (which bytes), [`response`] (what it is told),
//! [`connection`] (one request after the other).
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod connection;
pub mod range;
pub mod request;
pub mod response;
