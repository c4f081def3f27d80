//! A `target`: an address, what can never match, or nonsense.
//!
//! The original takes host names, and addresses with fewer numbers or leading zeros, but compares addresses as text: a door
//! with such a target can never open. It starts here too, with a warning; nothing is resolved.

use std::net::IpAddr;

/// What a target's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Address(IpAddr),
    /// Could be the name of a host.
    Name,
    /// Numbers and dots that make an address, but not as packets have it.
    Misspelt,
    Nonsense,
}

pub(super) fn target(text: &str) -> Target {
    match text.parse() {
        Ok(address) => Target::Address(address),
        Err(_) if is_host_name(text) => Target::Name,
        Err(_) if is_numbers(text) => Target::Misspelt,
        Err(_) => Target::Nonsense,
    }
}

/// RFC 1123 names; one whose last label is a number is a misspelt address, not a name.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last_is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= 253 && !last_is_number && name.split('.').all(is_label)
}

/// `10.1`, `010.0.0.1`, or the whole address as one number.
fn is_numbers(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    let largest = if numbers.len() == 1 { u32::MAX } else { 255 };
    let fits = |number: &&str| {
        number.bytes().all(|b| b.is_ascii_digit())
            && number.parse::<u32>().is_ok_and(|value| value <= largest)
    };
    numbers.len() <= 4 && numbers.iter().all(fits)
}

fn is_label(label: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(legal)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Target, target};

    #[test]
    fn tells_addresses_names_and_nonsense_apart() {
        for address in ["10.0.0.1", "fd88::9", "FD88:0::9", "::ffff:1.2.3.4"] {
            assert!(matches!(target(address), Target::Address(_)), "{address}");
        }
        for name in ["localhost", "gw.example.org", "gw.example.org.", "a_b", "1and1.example"] {
            assert_eq!(target(name), Target::Name, "{name}");
        }
        for numbers in ["10.1", "1.2.3", "7000", "010.8.8.8", "10.88.0.09"] {
            assert_eq!(target(numbers), Target::Misspelt, "{numbers}");
        }
        let long = "a".repeat(64);
        let nonsense = [
            "300.1.2.3.4 or",
            "1.2.3.4.5.6",
            "300.1.2.3",
            "10.0.0.1/24",
            "fe80::1%eth0",
            "",
            ".",
            "a..b",
            "-a",
            "\"10.0.0.1\"",
            "1.2.3.4.5",
            "4294967296",
            "256.1",
            "1..2",
            "10.0.0.1.",
            &long,
        ];
        for text in nonsense {
            assert_eq!(target(text), Target::Nonsense, "{text}");
        }
    }
}
