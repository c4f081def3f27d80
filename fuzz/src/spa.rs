//! Single packet authorization from both sides, for the targets that need more than bytes: a client written a second time,
//! a server with its store and clocks, and a plain model of what the server must say.

pub(crate) mod client;
pub(crate) mod model;
pub(crate) mod world;
