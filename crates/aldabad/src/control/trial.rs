//! A configuration on trial, in the words of spec/control.md: what is asked of it, and how it ends.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The shortest trial in seconds: less than it takes to knock would be none.
pub const SHORTEST_S: u64 = 5;
/// The longest.
pub const LONGEST_S: u64 = 3600;

/// Put a new configuration into force, for good or on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Apply {
    /// The file that is to take its place; without one, what has changed where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How long somebody has to confirm it; without it, it is kept at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_s: Option<u64>,
    /// What confirms it.
    #[serde(default)]
    pub by: Confirmation,
}

/// What confirms a trial. [`TrialAsk::Keep`] always does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// A knock that opens a door.
    #[default]
    Knock,
    /// One that opens this door.
    Door(String),
    /// No knock.
    Hand,
}

/// Something asked of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialAsk {
    /// How it stands, or how the last one ended.
    State,
    /// Confirm it.
    Keep,
    /// End it: what was in force before comes back.
    RollBack,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// There was none since the daemon's start.
    None,
    /// It is in force, and waits to be confirmed.
    Running(Running),
    /// It was confirmed.
    Kept(Kept),
    /// What was in force before is in force again.
    RolledBack(RolledBack),
}

/// A configuration that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Running {
    /// The file that is on trial: the one whose place it is to take.
    pub file: PathBuf,
    /// How much time is left.
    pub left_ms: u64,
    /// Its doors.
    pub doors: usize,
    /// What confirms it.
    pub by: Confirmation,
    /// What is doubtful in it, each as text of several lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A configuration that was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// The file it is now.
    pub file: PathBuf,
    /// What the file was before; a first start has nothing before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PathBuf>,
    /// The knock that confirmed it; without one, the administrator did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knock: Option<Confirmed>,
    /// Why the file is not on the disk although the configuration is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The knock that confirmed a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Confirmed {
    /// The door it opened.
    pub door: String,
    /// For whom.
    pub address: IpAddr,
    /// Whose key it was, by its name in the registry; a sequence has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// A trial that ended without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RolledBack {
    /// Why.
    pub why: WhyBack,
    /// Where the new configuration is kept, if it was moved out of the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_as: Option<PathBuf>,
}

/// Why a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyBack {
    /// Nobody confirmed it in time.
    NotConfirmed,
    /// The administrator wanted it.
    Asked,
    /// The daemon was told to stop.
    Stopping,
}

impl WhyBack {
    /// As the log has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotConfirmed => "not-confirmed",
            Self::Asked => "asked",
            Self::Stopping => "stopping",
        }
    }
}
