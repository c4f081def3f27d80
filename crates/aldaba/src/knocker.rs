//! Knocks of single packet authorization: a fresh datagram for each, on a socket of its own. spec/spa.md, section 13.

use std::io;
use std::net::{IpAddr, SocketAddr};

use aldaba_spa::{DoorTag, KnockId, Operation, Request, SealError, SecretKey, Timestamp, seal};
use socket2::{Domain, Protocol, Socket, Type};

use crate::bind::{self, Binding};
use crate::last::{Doubt, Last};
use crate::random::{self, NoRandom};
use crate::resolve;
use crate::servers::Server;
use crate::{clock, paths::Address};

/// The most bytes of padding a knock has, each number of them as likely: no one length is that of a knock.
const PADDING: u32 = 56;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Open a door, for so many seconds; 0 for as long as it does by itself.
    Open { door: DoorTag, seconds: u16 },
    /// Close it.
    Close { door: DoorTag },
    /// Nothing.
    Hello,
}

/// A knock that has gone out.
#[derive(Debug)]
pub(crate) struct Knock {
    /// What the server's log calls it.
    pub(crate) id: KnockId,
    /// Where it went.
    pub(crate) to: SocketAddr,
    /// Where it came from.
    pub(crate) from: SocketAddr,
    /// Whether it is good from there only.
    pub(crate) bound: bool,
    /// Its time.
    pub(crate) time: Timestamp,
    /// What may be wrong with that.
    pub(crate) doubt: Option<Doubt>,
    socket: Socket,
}

impl Knock {
    /// Whether the host, or one on the way, has said that it takes no datagrams there: an aldabad that runs never does.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.socket.take_error(), Ok(Some(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KnockError {
    #[error("this bundle has no lock for today ({}): {}", clock::written(*.now), dates(*.ends, *.now))]
    NoLock { ends: Option<Timestamp>, now: Timestamp },
    #[error(transparent)]
    Random(#[from] NoRandom),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("{0}")]
    Network(#[from] io::Error),
}

fn dates(ends: Option<Timestamp>, now: Timestamp) -> String {
    match ends {
        Some(end) if end < now => format!("the last one ended at {}", clock::written(end)),
        _ => "none has begun".to_owned(),
    }
}

/// Who knocks, and where.
pub(crate) struct Knocker {
    pub(crate) server: Server,
    pub(crate) key: SecretKey,
    pub(crate) last: Last,
    pub(crate) binding: Binding,
}

impl Knocker {
    /// Sends one knock. Each call makes a new one: what was sent once is never sent again.
    pub(crate) fn knock(&self, ask: Ask, address: &Address) -> Result<Knock, KnockError> {
        let bundle = &self.server.bundle;
        let now = clock::wall();
        let lock = bundle.lock_at(now).ok_or_else(|| KnockError::NoLock { ends: bundle.ends(), now })?;
        let mut to = address.socket;
        to.set_port(bundle.port.get());
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        socket.connect(&to.into())?;
        let no_address = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let from = socket.local_addr()?.as_socket().ok_or_else(no_address)?;
        let bound = self.bound(from.ip(), address);
        let (padding, random) = (random::below(PADDING + 1)?, random::bytes()?);
        let padding = usize::try_from(padding).unwrap_or_default();
        // As late as possible: the time is used up once it is noted.
        let next = self.last.next(clock::wall, bundle.future);
        let request = Request { operation: operation(ask, bound), time: next.time };
        let sealed = seal(&self.key, &bundle.device_psk, &lock, &request, padding, &random)?;
        socket.send(&sealed.datagram)?;
        let bound = matches!(request.operation, Operation::Open { bound: Some(_), .. });
        Ok(Knock { id: sealed.id, to, from, bound, time: next.time, doubt: next.doubt, socket })
    }

    fn bound(&self, local: IpAddr, address: &Address) -> Option<IpAddr> {
        // An address that was written down was not made up by a resolver.
        let discovered =
            || if address.resolved { bind::prefixes(resolve::translations()) } else { Vec::new() };
        self.binding.address(local, address.socket.ip(), discovered)
    }
}

const fn operation(ask: Ask, bound: Option<IpAddr>) -> Operation {
    match ask {
        Ask::Open { door, seconds } => Operation::Open { door, seconds, bound },
        Ask::Close { door } => Operation::Close { door },
        Ask::Hello => Operation::Hello,
    }
}
