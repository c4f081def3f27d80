//! Leases: what the runner does for one when it holds many.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_runner::door::{Action, Catalogue, Door, Limits, NftAction, NftFamily, NftSet, Style};
use aldaba_runner::{Ask, DoorId, Effect, Granted, Owner, Runner};

use crate::source;

const DOOR: DoorId = DoorId(0);
const LONG: Duration = Duration::from_secs(86_400);
const SHORT: Duration = Duration::from_secs(1);

/// A runner with a door by element and leases of a day.
#[derive(Debug)]
pub struct Leases {
    runner: Runner,
    held: u32,
    now: Duration,
    next: u32,
}

impl Leases {
    /// A runner that holds so many.
    #[must_use]
    pub fn new(held: u32) -> Self {
        let limits = Limits { leases_per_door: usize::MAX, ..Limits::default() };
        let runner = Runner::new(Catalogue { doors: vec![door()], limits });
        let mut leases = Self { runner, held, now: Duration::from_secs(100), next: 0 };
        for number in 0..held {
            leases.grant(source(number), LONG);
        }
        leases
    }

    /// The next of those who hold one knocks again.
    pub fn renew(&mut self) -> Granted {
        self.next = (self.next + 1) % self.held;
        self.grant(source(self.next), LONG)
    }

    /// Somebody new gets one and gives it back.
    pub fn open_and_close(&mut self) -> usize {
        let client = source(self.held);
        self.grant(client, LONG);
        let closed = self.runner.close(self.now, DOOR, client);
        self.perform();
        closed
    }

    /// A device that is new gets one, and closes what it holds of the door.
    pub fn open_and_close_by_device(&mut self) -> usize {
        let device = Owner([7; 32]);
        let ask = Ask { owner: Some(device), ..Ask::by_sequence(source(self.held)) };
        self.runner.grant(self.now, DOOR, &ask);
        self.perform();
        let closed = self.runner.close_owned(self.now, DOOR, device);
        self.perform();
        closed
    }

    /// Somebody new gets one for a second, and it ends.
    pub fn open_and_expire(&mut self) -> bool {
        self.grant(source(self.held), SHORT);
        self.now += SHORT;
        self.runner.handle_timeout(self.now);
        self.perform();
        self.runner.poll_timeout().is_some()
    }

    /// How many it holds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.runner.lease_count()
    }

    fn grant(&mut self, address: IpAddr, time: Duration) -> Granted {
        let granted = self.runner.grant(
            self.now,
            DOOR,
            &Ask { address, wanted: Some(time), owner: None, spares_source: false },
        );
        self.perform();
        granted
    }

    /// What the monitor would do, with a kernel that is done at once.
    fn perform(&mut self) {
        while let Some(effect) = self.runner.poll_effect() {
            if let Effect::Elements(changes) = effect {
                for change in changes {
                    self.runner.element_done(self.now, change.lease);
                }
            }
        }
    }
}

fn door() -> Door {
    let set = NftSet::Named {
        family: NftFamily::Inet,
        table: "filter".to_owned(),
        set_v4: Some("knocked".to_owned()),
        set_v6: None,
    };
    let action = Action::Nftables(NftAction { set });
    Door { name: "ssh".to_owned(), style: Style::Native, lease: LONG, max_lease: LONG, action }
}
