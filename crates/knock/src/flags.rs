//! TCP flags, and filters over them with their text form. Implements spec/knock.md, "TCP flag filters".

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Flags as they stand in the fourteenth byte of a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(2);
    /// Reset the connection.
    pub const RST: Self = Self(4);
    /// Push.
    pub const PSH: Self = Self(8);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(16);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(32);
    /// ECN echo. Carried, but no filter looks at it.
    pub const ECE: Self = Self(64);
    /// Congestion window reduced. Carried, but no filter looks at it.
    pub const CWR: Self = Self(128);

    /// The flags of a header byte.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The header byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The flags of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// SYN without ACK: the packet that asks for a connection.
    #[must_use]
    pub const fn is_initial_syn(self) -> bool {
        self.contains(Self::SYN) && !self.contains(Self::ACK)
    }
}

/// The flags a filter can name, in the order of the header's bits.
const NAMES: [(&str, TcpFlags); 6] = [
    ("FIN", TcpFlags::FIN),
    ("SYN", TcpFlags::SYN),
    ("RST", TcpFlags::RST),
    ("PSH", TcpFlags::PSH),
    ("ACK", TcpFlags::ACK),
    ("URG", TcpFlags::URG),
];

/// Which TCP packets count: named flags must be set, flags with a `!` clear, the others do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlagFilter {
    /// All of these.
    pub must_set: TcpFlags,
    /// None of these.
    pub must_clear: TcpFlags,
}

impl FlagFilter {
    /// Every TCP packet counts.
    pub const ANY: Self = Self { must_set: TcpFlags::NONE, must_clear: TcpFlags::NONE };
    /// `syn,!ack`: what a client sends first.
    pub const INITIAL_SYN: Self = Self { must_set: TcpFlags::SYN, must_clear: TcpFlags::ACK };

    /// Whether a packet with these flags counts.
    #[must_use]
    pub const fn matches(self, flags: TcpFlags) -> bool {
        flags.contains(self.must_set) && !flags.intersects(self.must_clear)
    }

    /// Adds the flags of one more line such as `syn,!ack`; of a flag named twice the last word holds. On an error
    /// nothing is added.
    pub fn add(&mut self, line: &str) -> Result<(), FlagError> {
        let mut sum = *self;
        let mut start = 0_usize;
        for item in line.split(',') {
            let end = start.saturating_add(item.len());
            sum.add_item(item)
                .ok_or_else(|| FlagError { span: start..end, flag: item.to_ascii_uppercase() })?;
            start = end.saturating_add(1);
        }
        *self = sum;
        Ok(())
    }

    fn add_item(&mut self, item: &str) -> Option<()> {
        let (name, wanted) = item.strip_prefix('!').map_or((item, true), |name| (name, false));
        let (_, flag) = NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        self.must_set = self.must_set.without(flag);
        self.must_clear = self.must_clear.without(flag);
        let side = if wanted { &mut self.must_set } else { &mut self.must_clear };
        *side = side.union(flag);
        Some(())
    }

    /// Whether the first packet of an ordinary client, a SYN and nothing else, counts. Where it does not, only
    /// hand-made packets or an established connection can knock: worth a warning.
    #[must_use]
    pub const fn can_match_first_packet(self) -> bool {
        self.matches(TcpFlags::SYN)
    }
}

/// Writes the filter as a `tcpflags` line reads it; [`FlagFilter::ANY`] is the empty text, which no line can say.
impl fmt::Display for FlagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (prefix, side) in [("", self.must_set), ("!", self.must_clear)] {
            for (name, _) in NAMES.into_iter().filter(|(_, flag)| side.contains(*flag)) {
                write!(f, "{separator}{prefix}{}", name.to_ascii_lowercase())?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl FromStr for FlagFilter {
    type Err = FlagError;

    fn from_str(line: &str) -> Result<Self, FlagError> {
        let mut filter = Self::ANY;
        filter.add(line)?;
        Ok(filter)
    }
}

/// A word that is no flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized flag \"{flag}\"")]
pub struct FlagError {
    /// Where it stands, in bytes of the line.
    pub span: Range<usize>,
    /// The word in capitals, with its `!` if it has one.
    pub flag: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> FlagFilter {
        text.parse().unwrap()
    }

    #[test]
    fn named_flags_must_be_set_and_negated_ones_clear() {
        let syn_only = filter("syn,!ack");
        assert_eq!(syn_only, FlagFilter::INITIAL_SYN);
        assert!(syn_only.matches(TcpFlags::SYN));
        assert!(syn_only.matches(TcpFlags::SYN.union(TcpFlags::ECE).union(TcpFlags::CWR)));
        assert!(!syn_only.matches(TcpFlags::SYN.union(TcpFlags::ACK)));
        assert!(!syn_only.matches(TcpFlags::NONE));
        assert!(FlagFilter::ANY.matches(TcpFlags::NONE));
        assert!(filter("FIN,Psh,urg").matches(TcpFlags::from_bits(0b10_1001)));
        assert!(!filter("fin,psh,urg").matches(TcpFlags::from_bits(0b00_1001)));
    }

    #[test]
    fn lines_add_up_and_the_last_word_holds() {
        let mut sum = filter("syn");
        sum.add("!ack").unwrap();
        assert_eq!(sum, FlagFilter::INITIAL_SYN);
        assert_eq!(filter("syn,!syn"), filter("!syn"));
        assert_eq!(filter("!syn,syn"), filter("syn"));
    }

    #[test]
    fn words_that_are_no_flags_are_pointed_at() {
        for (line, span, flag) in [
            ("", 0..0, ""),
            ("syn,", 4..4, ""),
            ("syn, ack", 4..8, " ACK"),
            ("! syn", 0..5, "! SYN"),
            ("syn,ece,ack", 4..7, "ECE"),
            ("syn # first", 0..11, "SYN # FIRST"),
            ("!!syn", 0..5, "!!SYN"),
            ("syn,täg", 4..8, "TäG"),
        ] {
            assert_eq!(
                line.parse::<FlagFilter>(),
                Err(FlagError { span, flag: flag.to_owned() }),
                "{line:?}"
            );
        }
        let mut sum = filter("syn");
        assert!(sum.add("ack,nope").is_err());
        assert_eq!(sum, filter("syn"), "an error adds nothing");
    }

    #[test]
    fn every_filter_reads_back_as_written() {
        for set in 0..64_u8 {
            for clear in (0..64_u8).filter(|clear| clear & set == 0 && clear | set != 0) {
                let wanted =
                    FlagFilter { must_set: TcpFlags::from_bits(set), must_clear: TcpFlags::from_bits(clear) };
                assert_eq!(wanted.to_string().parse(), Ok(wanted));
            }
        }
    }

    #[test]
    fn a_first_packet_carries_a_syn_and_nothing_else() {
        for (text, can) in [
            ("syn", true),
            ("syn,!ack", true),
            ("!rst", true),
            ("syn,ack", false),
            ("ack", false),
            ("!syn", false),
        ] {
            assert_eq!(filter(text).can_match_first_packet(), can, "{text}");
        }
        assert!(FlagFilter::ANY.can_match_first_packet());
    }
}
