//! Where a server is: an address, or a name for the resolver. spec/keys.md, section 4.1.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address or a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address of one host.
    Address(IpAddr),
    /// A name in small letters, digits, hyphens and dots.
    Name(String),
}

/// Why something is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nobody has this address alone.
    #[error("a server's address is that of one host, and IPv4 in its own form")]
    Address,
    /// No resolver finds this name, or some take it for an address.
    #[error(
        "a server's name is one for the resolver: letters, digits, hyphens and dots, and no number at its end"
    )]
    Name,
}

impl Host {
    /// The longest name.
    pub const MAX_NAME: usize = 253;

    pub(super) fn check(&self) -> Result<(), HostError> {
        match self {
            Self::Address(address) if is_of_one_host(*address) => Ok(()),
            Self::Address(_) => Err(HostError::Address),
            Self::Name(name) if is_name(name) => Ok(()),
            Self::Name(_) => Err(HostError::Name),
        }
    }
}

fn is_of_one_host(address: IpAddr) -> bool {
    let other = match address {
        IpAddr::V4(v4) => v4.is_broadcast(),
        // The same host has a shorter spelling.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
    };
    !other && !address.is_unspecified() && !address.is_multicast()
}

fn is_name(name: &str) -> bool {
    // "127.1" and "0x7f000001" are addresses to some resolvers.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    name.len() <= Host::MAX_NAME && name.split('.').all(is_label) && !number
}

fn is_label(label: &str) -> bool {
    // Underscores are in use on local networks.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What people type: capital letters and a dot at the end are tolerated.
impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let host = match text.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()),
        };
        host.check().map(|()| host)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
