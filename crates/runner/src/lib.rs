//! What a door does when it opens and closes: the catalogue of doors, command templates, leases, their journal,
//! and the order in which commands run.
#![forbid(unsafe_code)]

pub mod door;
