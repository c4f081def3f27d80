//! What the monitor has seen of late, for an administrator who asks (`aldabad why`): bounded rings, oldest out first.
//!
//! What devices did stands apart from what anybody can cause, so that a flood of knocks does not wash it away.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_runner::Event;
use aldaba_runner::event;

use crate::control::About;
use crate::wording;

/// Requests of devices that are remembered.
const DEVICES: usize = 1024;
/// Refused datagrams, as far as the worker told of them.
const REFUSED: usize = 256;
/// Sequences, complete or under way.
const SEQUENCES: usize = 512;
/// What became of doors.
const DOORS: usize = 2048;

/// Something that came in.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) from: IpAddr,
    pub(super) id: Option<KnockId>,
    pub(super) device: Option<[u8; 32]>,
    pub(super) again: u32,
    pub(super) what: SeenWhat,
}

impl Seen {
    /// Of a sequence, which has no name and no device.
    pub(super) const fn by_sequence(at: Duration, from: IpAddr, what: SeenWhat) -> Self {
        Self { at, from, id: None, device: None, again: 0, what }
    }

    /// Of a device's datagram.
    pub(super) const fn by_device(
        at: Duration,
        from: IpAddr,
        id: KnockId,
        device: Option<[u8; 32]>,
        what: SeenWhat,
    ) -> Self {
        Self { at, from, id: Some(id), device, again: 0, what }
    }
}

/// What was made of it.
#[derive(Debug, Clone)]
pub(super) enum SeenWhat {
    Admitted { door: String, close: bool, address: IpAddr, offset: i64 },
    Hello { offset: i64 },
    Refused(Refusal),
    NotAllowed(&'static str),
    Sequence { door: String, close: bool },
    Step { door: String, stage: u8 },
    Expired { door: String, stage: u8 },
}

/// Something that became of a door.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) at: Duration,
    pub(super) door: Arc<str>,
    pub(super) address: IpAddr,
    pub(super) event: &'static str,
    pub(super) fields: String,
}

/// The rings.
#[derive(Debug, Default)]
pub(super) struct History {
    devices: VecDeque<Seen>,
    refused: VecDeque<Seen>,
    sequences: VecDeque<Seen>,
    doors: VecDeque<Happened>,
}

fn push<T>(ring: &mut VecDeque<T>, most: usize, new: T) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(new);
}

impl History {
    /// Something came in.
    pub(super) fn note(&mut self, seen: Seen) {
        let (ring, most) = match seen.what {
            SeenWhat::Admitted { .. } | SeenWhat::Hello { .. } | SeenWhat::NotAllowed(_) => {
                (&mut self.devices, DEVICES)
            }
            SeenWhat::Refused(_) => (&mut self.refused, REFUSED),
            SeenWhat::Sequence { .. } | SeenWhat::Step { .. } | SeenWhat::Expired { .. } => {
                (&mut self.sequences, SEQUENCES)
            }
        };
        push(ring, most, seen);
    }

    /// The runner tells of a door. What a command says or does is not kept.
    pub(super) fn note_event(&mut self, now: Duration, event: &Event) {
        if matches!(event.what, event::What::Running { .. } | event::What::CommandTimeout) {
            return;
        }
        let (name, fields) = wording::event_parts(&event.what);
        let door = Arc::clone(&event.door);
        let happened = Happened { at: now, door, address: event.address, event: name, fields };
        push(&mut self.doors, DOORS, happened);
    }

    /// An administrator's hand is at a door.
    pub(super) fn note_hand(
        &mut self,
        now: Duration,
        door: &str,
        address: IpAddr,
        event: &'static str,
        uid: u32,
    ) {
        let happened =
            Happened { at: now, door: Arc::from(door), address, event, fields: format!("uid={uid}") };
        push(&mut self.doors, DOORS, happened);
    }

    /// What came in of this, in no order; an address counts as sender and as the one a door was opened for.
    pub(super) fn of(&self, about: About) -> impl Iterator<Item = &Seen> {
        let concerns = move |seen: &&Seen| match about {
            About::Id(id) => seen.id == Some(id),
            About::Address(address) => {
                let opened =
                    matches!(seen.what, SeenWhat::Admitted { address: opened, .. } if opened == address);
                seen.from == address || opened
            }
        };
        self.devices.iter().chain(&self.refused).chain(&self.sequences).filter(concerns)
    }

    /// What became of doors, oldest first.
    pub(super) fn doors(&self) -> impl Iterator<Item = &Happened> {
        self.doors.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: u64, from: [u8; 4], what: SeenWhat) -> Seen {
        Seen { at: Duration::from_secs(at), from: from.into(), id: None, device: None, again: 0, what }
    }

    #[test]
    fn a_flood_of_sequences_leaves_what_devices_did() {
        let mut history = History::default();
        let client = [192, 0, 2, 7];
        history.note(Seen { id: Some(KnockId([1; 8])), ..seen(1, client, SeenWhat::Hello { offset: 5 }) });
        for n in 0..2000_u64 {
            history.note(seen(n, client, SeenWhat::Step { door: "ssh".to_owned(), stage: 1 }));
            history.note(seen(n, client, SeenWhat::Refused(Refusal::Door)));
        }
        assert_eq!(history.of(About::Id(KnockId([1; 8]))).count(), 1);
        assert_eq!(history.of(About::Address(client.into())).count(), 1 + SEQUENCES + REFUSED);
        assert_eq!(history.of(About::Address([192, 0, 2, 8].into())).count(), 0);
    }

    #[test]
    fn a_door_opened_for_another_address_is_found_by_both() {
        let mut history = History::default();
        let address = [192, 0, 2, 9].into();
        let what = SeenWhat::Admitted { door: "ssh".to_owned(), close: false, address, offset: 0 };
        history.note(seen(1, [192, 0, 2, 7], what));
        for address in [[192, 0, 2, 7], [192, 0, 2, 9]] {
            assert_eq!(history.of(About::Address(address.into())).count(), 1, "{address:?}");
        }
    }
}
