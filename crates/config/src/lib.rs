//! aldaba.toml or knockd.conf to one validated policy.
#![forbid(unsafe_code)]
