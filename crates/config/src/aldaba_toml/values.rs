//! The small languages inside strings: lengths of time, ports and ranges of ports, names of sets.
//!
//! Each says which bytes of its text are wrong. Sequences and flags are not here: knock has their grammar.

use std::ops::Range;
use std::time::Duration;

use aldaba_gate::knock::{Protocol, Step};
use aldaba_runner::door::{NftFamily, PortRange, Transport};

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

impl Bad {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}

/// `30s`, `5m`, `1h30m`, `250ms`.
pub(super) fn duration(text: &str) -> Result<Duration, Bad> {
    if text.is_empty() {
        return Err(Bad::new(0..0, "no length of time is written"));
    }
    let mut total = Duration::ZERO;
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_lowercase).count();
        let end = at + digits + letters;
        let number = rest.get(..digits).unwrap_or_default();
        let unit = rest.get(digits..digits + letters).unwrap_or_default();
        let part = part(number, unit)
            .ok_or_else(|| Bad::new(at..end.max(at + 1).min(text.len()), fault(text, number, unit)))?;
        total = total.saturating_add(part);
        at = end;
    }
    Ok(total)
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

fn fault(text: &str, number: &str, unit: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    if number.is_empty() {
        format!("{shown:?} is not a length of time")
    } else if unit.is_empty() {
        format!("the length of time {shown:?} has no unit")
    } else if matches!(unit, "ms" | "s" | "m" | "h" | "d") {
        "this number is too large".to_owned()
    } else {
        format!("{unit:?} is not a unit of time")
    }
}

/// The shortest text for a length of time that [`duration`] reads back.
pub(crate) fn duration_text(time: Duration) -> String {
    let seconds = time.as_secs();
    let millis = time.subsec_millis();
    if millis != 0 {
        return if seconds == 0 { format!("{millis}ms") } else { format!("{seconds}s{millis}ms") };
    }
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// `22`, `22/tcp`, `60000-61000/udp`.
pub(super) fn ports(text: &str) -> Result<PortRange, Bad> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let transport = match protocol {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => {
            let span = (numbers.len() + 1).min(text.len())..text.len();
            return Err(Bad::new(span, "the protocol is tcp or udp"));
        }
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let first_port = port(first).map_err(|message| Bad::new(0..first.len(), message))?;
    let last_port =
        port(last).map_err(|message| Bad::new(numbers.len() - last.len()..numbers.len(), message))?;
    if first_port > last_port {
        return Err(Bad::new(0..numbers.len(), "the range ends below its beginning"));
    }
    Ok(PortRange { first: first_port, last: last_port, transport })
}

/// `443`, `443/udp`: one port.
pub(super) fn service(text: &str) -> Result<Step, Bad> {
    let PortRange { first, last, transport } = ports(text)?;
    if first != last {
        return Err(Bad::new(0..text.len(), "a range does not go here: name each port"));
    }
    let protocol = match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    Ok(Step { port: first, protocol })
}

fn port(text: &str) -> Result<u16, String> {
    let shown = || text.chars().take(40).collect::<String>();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) => Err("there is no port 0".to_owned()),
        Ok(port) if digits => Ok(port),
        Err(_) if digits => Err(format!("{} is above 65535, the last port", shown())),
        _ => Err(format!("{:?} is not a port", shown())),
    }
}

/// A set of the administrator's ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetName {
    pub(super) family: NftFamily,
    pub(super) table: String,
    pub(super) set: String,
}

/// `inet filter ssh_open`: family, table, set.
pub(super) fn set_name(text: &str) -> Result<SetName, Bad> {
    let all = 0..text.len();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [family, table, set] = words.as_slice() else {
        return Err(Bad::new(all, "a set is named by three words: family, table, set"));
    };
    let family = match *family {
        "inet" => NftFamily::Inet,
        "ip" => NftFamily::Ip,
        "ip6" => NftFamily::Ip6,
        _ => return Err(Bad::new(0..family.len(), "the family is inet, ip or ip6")),
    };
    for word in [table, set] {
        if !is_nft_name(word) {
            return Err(Bad::new(all, format!("{word:?} is not a name in nftables")));
        }
    }
    Ok(SetName { family, table: (*table).to_owned(), set: (*set).to_owned() })
}

/// What `nft` reads as the name of a table or a set.
pub(super) fn is_nft_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_./\\-".contains(&byte);
    text.len() <= 127 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests;
