//! What a user calls a server: also the name of its file, and a word of ssh's configuration.

use std::fmt;
use std::str::FromStr;

use aldaba_spa::{Bundle, Host};

/// Small letters, digits, dots, hyphens and underscores, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

/// Not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a server's name has 1 to {} letters, digits, dots, hyphens and underscores, and a letter or digit first",
    Name::LONGEST
)]
pub(crate) struct NameError;

impl Name {
    /// As the longest name of a host.
    const LONGEST: usize = 253;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a file, if it is one of ours: not in another spelling.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        name.parse().ok().filter(|parsed: &Self| parsed.0 == name)
    }

    /// What a server is called if nobody says otherwise: the first name of its host, or else its first address.
    pub(super) fn of_bundle(bundle: &Bundle) -> Self {
        let name = bundle.hosts.iter().find_map(|host| match host {
            Host::Name(name) => name.parse().ok(),
            Host::Address(_) => None,
        });
        // No system takes a colon in the name of a file.
        let address = || bundle.hosts.first().map(|host| host.to_string().replace(':', "-"));
        name.or_else(|| address()?.trim_start_matches('-').parse().ok())
            .unwrap_or_else(|| Self("server".to_owned()))
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let good = begins && name.len() <= Self::LONGEST && name.bytes().all(plain) && !name.ends_with('.');
        if good { Ok(Self(name)) } else { Err(NameError) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_file_name() {
        for good in ["gw", "gw.example.net", "192.0.2.7", "a_b-c.1"] {
            assert_eq!(good.parse(), Ok(Name(good.to_owned())));
        }
        assert_eq!("GW".parse(), Ok(Name("gw".to_owned())));
        for bad in ["", ".", "..", ".lock", "-gw", "a/b", "a\\b", "a:b", "a b", "gw.", "é", &"a".repeat(254)]
        {
            assert_eq!(bad.parse::<Name>(), Err(NameError), "{bad}");
        }
        assert_eq!(Name::of_file("GW"), None);
    }
}
