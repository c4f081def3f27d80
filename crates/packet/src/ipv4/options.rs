//! IPv4 options, as strictly as Linux reads them on arrival.
//!
//! Bad options refuse the datagram, unknown ones do not. Two kinds are refused however well they are made: a route
//! given by the sender (`accept_source_route` is off) and security labels (CIPSO, which needs a domain set up).

use crate::{Fault, Layer, Refused};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const CIPSO: u8 = 134;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

const BAD: Refused = Refused::Malformed(Layer::Ipv4, Fault::Options);

/// What may stand once, and whether it has.
#[derive(Debug, Default)]
struct Seen {
    record_route: bool,
    timestamp: bool,
    source_route: bool,
}

/// Walks the options behind the fixed header.
pub(crate) fn check(mut options: &[u8]) -> Result<(), Refused> {
    let mut seen = Seen::default();
    while let Some((&kind, after)) = options.split_first() {
        match kind {
            END => break,
            NO_OPERATION => options = after,
            _ => {
                let length = usize::from(*after.first().ok_or(BAD)?);
                let (option, rest) = options.split_at_checked(length).ok_or(BAD)?;
                seen.check(kind, option.get(2..).ok_or(BAD)?)?;
                options = rest;
            }
        }
    }
    // Only a list that is sound to its end is a sender's route: anything else is malformed first.
    if seen.source_route { Err(Refused::SourceRouted) } else { Ok(()) }
}

impl Seen {
    fn check(&mut self, kind: u8, data: &[u8]) -> Result<(), Refused> {
        match kind {
            RECORD_ROUTE => {
                once(&mut self.record_route)?;
                record_route(data)
            }
            TIMESTAMP => {
                once(&mut self.timestamp)?;
                timestamp(data)
            }
            LOOSE_ROUTE | STRICT_ROUTE => {
                once(&mut self.source_route)?;
                if data.first().is_some_and(|pointer| *pointer >= 4) { Ok(()) } else { Err(BAD) }
            }
            ROUTER_ALERT if data.len() < 2 => Err(BAD),
            CIPSO => Err(BAD),
            _ => Ok(()),
        }
    }
}

fn once(seen: &mut bool) -> Result<(), Refused> {
    if std::mem::replace(seen, true) { Err(BAD) } else { Ok(()) }
}

/// The option's length as its pointer counts: with kind and length.
fn whole(data: &[u8]) -> usize {
    data.len().saturating_add(2)
}

fn record_route(data: &[u8]) -> Result<(), Refused> {
    let pointer = usize::from(*data.first().ok_or(BAD)?);
    let room = pointer.saturating_add(3);
    // A pointer past the end means that the list is full, which is fine.
    if pointer < 4 || (pointer <= whole(data) && room > whole(data)) { Err(BAD) } else { Ok(()) }
}

fn timestamp(data: &[u8]) -> Result<(), Refused> {
    const WITH_ADDRESS: u8 = 1;
    const PRESPECIFIED: u8 = 3;
    let [pointer, flags, ..] = *data else {
        return Err(BAD);
    };
    let pointer = usize::from(pointer);
    if pointer < 5 {
        return Err(BAD);
    }
    if pointer > whole(data) {
        // Full: the count of hosts that found no room must not run over.
        let full = flags & 0x0F != PRESPECIFIED && flags >> 4 == 15;
        return if full { Err(BAD) } else { Ok(()) };
    }
    let entry = match flags & 0x0F {
        WITH_ADDRESS | PRESPECIFIED => 7,
        _ => 3,
    };
    if pointer.saturating_add(entry) > whole(data) { Err(BAD) } else { Ok(()) }
}
