//! The knocking client.
#![forbid(unsafe_code)]
