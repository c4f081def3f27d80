//! What an administrator does by hand, and what came of it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Lease;

/// Close what is open for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Close {
    /// Whose.
    pub address: IpAddr,
    /// Of this door only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
}

/// Open a door for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Open {
    /// For whom.
    pub address: IpAddr,
    /// Which.
    pub door: String,
    /// For so many seconds; else as long as the door says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// All leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leases {
    /// Those that cannot be closed first, then by their end.
    pub leases: Vec<Lease>,
    /// How many more there are than an answer has room for.
    #[serde(default)]
    pub left_out: u64,
}

/// A door that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Opened {
    /// Which.
    pub door: String,
    /// For whom.
    pub address: IpAddr,
    /// It was open before.
    #[serde(default)]
    pub renewed: bool,
    /// Milliseconds to its end; absent: nothing closes it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// What was closed, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Closed {
    /// For whom.
    pub address: IpAddr,
    /// The doors, one for each lease.
    pub doors: Vec<String>,
    /// What could not be closed, or not yet.
    pub failed: Vec<NotClosed>,
}

/// A lease that could not be closed, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotClosed {
    /// Its door.
    pub door: String,
    /// Why not.
    pub error: String,
}
