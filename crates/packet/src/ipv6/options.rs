//! The options inside hop-by-hop and destination headers, as strictly as Linux reads them with default settings.
//!
//! Padding is at most seven bytes of zero at a time, at most eight options count, and an option that is not known
//! says in its first two bits whether to go on without it.

use crate::{Fault, Layer, Refused};

const PAD_ONE: u8 = 0;
const PAD: u8 = 1;
const ROUTER_ALERT: u8 = 5;
const LABEL: u8 = 7;
const TELEMETRY: u8 = 49;
const JUMBO: u8 = 194;

const MOST_PADDING: usize = 7;
const MOST_OPTIONS: usize = 8;

const BAD: Refused = Refused::Malformed(Layer::Extension, Fault::Options);

/// Which of the two headers the options stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    HopByHop,
    Destination,
}

/// Walks the options of one header, given whole.
pub(crate) fn check(kind: Kind, header: &[u8]) -> Result<(), Refused> {
    let mut options = header.get(2..).ok_or(BAD)?;
    let mut padding: usize = 0;
    let mut count: usize = 0;
    while let Some((&number, after)) = options.split_first() {
        let length = match number {
            PAD_ONE => 1,
            _ => usize::from(*after.first().ok_or(BAD)?).saturating_add(2),
        };
        let (option, rest) = options.split_at_checked(length).ok_or(BAD)?;
        if matches!(number, PAD_ONE | PAD) {
            padding = padding.saturating_add(length);
            if padding > MOST_PADDING || option.iter().skip(2).any(|byte| *byte != 0) {
                return Err(BAD);
            }
        } else {
            padding = 0;
            count = count.saturating_add(1);
            let place = header.len().saturating_sub(options.len());
            accept(kind, number, place, option)?;
        }
        if count > MOST_OPTIONS {
            return Err(BAD);
        }
        options = rest;
    }
    Ok(())
}

/// One option other than padding, `place` bytes into its header.
fn accept(kind: Kind, number: u8, place: usize, option: &[u8]) -> Result<(), Refused> {
    let accepted = match (kind, number) {
        (Kind::HopByHop, JUMBO) => return Err(Refused::Jumbogram),
        (Kind::HopByHop, ROUTER_ALERT) => option.len() == 4,
        (Kind::HopByHop, TELEMETRY) => place.is_multiple_of(4),
        // A security label needs a domain set up to be believed.
        (Kind::HopByHop, LABEL) => false,
        _ => number >> 6 == 0,
    };
    if accepted { Ok(()) } else { Err(BAD) }
}
