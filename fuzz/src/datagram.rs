//! Any bytes at a server that answers for three locks: they never get past the gate tag, cost no memory, change no record,
//! and have no name. spec/spa.md, section 8, steps 1 and 2.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use aldaba_spa::{Refusal, Window};

use crate::spa::world::World;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(Window::default()));
}

/// Checks one input.
///
/// # Panics
/// If the server does more with it than to look at its tag.
pub fn run(data: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        // Most inputs are shorter than a datagram.
        let mut longer = data.to_vec();
        longer.resize(data.len().max(144), 0);
        for bytes in [data, &longer] {
            let rejected =
                world.handle(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), bytes).expect_err("nobody sealed it");
            let whole = (144..=1232).contains(&bytes.len());
            assert_eq!(rejected.refusal, if whole { Refusal::Tag } else { Refusal::Length });
            assert_eq!((rejected.id, rejected.device), (None, None));
        }
    });
}
