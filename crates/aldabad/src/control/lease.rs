//! Leases, as the daemon tells of them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lease {
    /// The door's name.
    pub door: String,
    /// For whom.
    pub address: IpAddr,
    /// The device that holds it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The user who opened it by hand, in this life of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Where it stands.
    pub state: LeaseState,
    /// Milliseconds to its end.
    pub left_ms: u64,
}

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// The door is being opened.
    Opening,
    /// It is open.
    Open,
    /// It should be open: others took its element away, and it comes back with its set.
    Lost,
    /// It is being closed.
    Closing,
    /// It could not be closed for so long that somebody has to look; it is tried again.
    CannotClose,
}
