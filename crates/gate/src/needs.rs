//! Which packets the capture has to hand up for a set of rules: what the kernel's filter is made from.

use std::collections::BTreeSet;

use aldaba_knock::{Mode, Protocol, Sequence};

use crate::{DoorRule, Knock, Rules, SequenceSource};

/// The packets a policy wants to see. The filter may pass more, never less.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Any TCP packet to these ports.
    pub tcp: BTreeSet<u16>,
    /// Any UDP packet to these ports.
    pub udp: BTreeSet<u16>,
    /// The same where sealed datagrams are expected, of which more is looked at than headers.
    pub datagrams: BTreeSet<u16>,
    /// A strict door cancels on any touched port: every initial SYN.
    pub tcp_syn_everywhere: bool,
    /// A strict door has a UDP step: every UDP packet.
    pub udp_everywhere: bool,
    /// TCP ports that never cancel.
    pub ignore_tcp: BTreeSet<u16>,
    /// UDP ports that never cancel.
    pub ignore_udp: BTreeSet<u16>,
    /// Whether IPv6 is looked at.
    pub ipv6: bool,
}

impl Needs {
    /// What `rules` want to see, with the one-time sequences that are current in them.
    #[must_use]
    pub fn of(rules: &Rules) -> Self {
        let mut needs = Self { ipv6: rules.ipv6, ..Self::default() };
        for step in &rules.ignore {
            match step.protocol {
                Protocol::Tcp => needs.ignore_tcp.insert(step.port),
                Protocol::Udp => needs.ignore_udp.insert(step.port),
            };
        }
        needs.datagrams.extend(rules.spa_port);
        for knock in rules.doors.iter().flat_map(|door: &DoorRule| &door.knocks) {
            needs.add(knock);
        }
        needs
    }

    fn add(&mut self, knock: &Knock) {
        let Some(sequence) = current(knock) else { return };
        for step in sequence.steps() {
            match step.protocol {
                Protocol::Tcp => self.tcp.insert(step.port),
                Protocol::Udp => self.udp.insert(step.port),
            };
        }
        if knock.mode == Mode::Strict {
            self.tcp_syn_everywhere = true;
            self.udp_everywhere |= sequence.steps().iter().any(|step| step.protocol == Protocol::Udp);
        }
    }
}

/// The sequence that opens now; `None` when a list of one-time sequences is used up.
pub(crate) fn current(knock: &Knock) -> Option<&Sequence> {
    match &knock.source {
        SequenceSource::Fixed(sequence) => Some(sequence),
        SequenceSource::OneTime(current) => current.as_ref(),
    }
}
