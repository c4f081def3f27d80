//! The second way to knock: sealed datagrams, from a capture or a socket.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_spa::{Admitted, Demand, Moment, Refusal, Rejected, Served, Server, Store};

use crate::{By, DoorId, Grant, KnockAction};

/// What single packet authorization goes by.
pub struct SpaRules {
    /// The UDP port whose datagrams are taken from captured frames; `None`: a socket brings them.
    pub port: Option<u16>,
    /// Locks, devices and doors; each door's number is its [`DoorId`].
    pub served: Served,
}

/// The server behind a port.
pub(crate) struct Spa {
    port: Option<u16>,
    server: Server,
}

impl std::fmt::Debug for Spa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spa").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Spa {
    /// A server by new rules that remembers what the old one did.
    pub(crate) fn renew(
        old: Option<Self>,
        now: Duration,
        rules: Option<SpaRules>,
        key: [u8; 16],
    ) -> Option<Self> {
        let SpaRules { port, served } = rules?;
        let server = match old {
            Some(Self { mut server, .. }) => {
                server.reconfigure(served, now);
                server
            }
            None => Server::new(served, now, key),
        };
        Some(Self { port, server })
    }

    pub(crate) const fn port(&self) -> Option<u16> {
        self.port
    }

    pub(crate) const fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// Takes a datagram through all steps. A door is never opened for an address of this very host: behind a proxy that
    /// rewrites sources that would open it for everybody.
    pub(crate) fn handle(
        &mut self,
        at: Moment,
        from: IpAddr,
        payload: &[u8],
        store: &mut dyn Store,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<Admitted, Rejected> {
        let admitted = self.server.handle_datagram(at, from, payload, store)?;
        match admitted.demand {
            Demand::Open { address, .. } if is_own(address) => Err(Rejected {
                refusal: Refusal::Address,
                id: Some(admitted.id),
                lock: Some(admitted.lock),
                device: Some(admitted.device),
            }),
            _ => Ok(admitted),
        }
    }
}

/// The decision an admitted request comes to; `None` for one that opens nothing.
pub(crate) fn grant(admitted: &Admitted, from: IpAddr, offset: i64) -> Option<Grant> {
    let by = |seconds| By::Device { device: admitted.device, from, id: admitted.id, seconds, offset };
    match admitted.demand {
        Demand::Open { door, address, seconds } => {
            Some(Grant { door: DoorId(door), by: by(seconds), action: KnockAction::Open, source: address })
        }
        Demand::Close { door } => {
            Some(Grant { door: DoorId(door), by: by(0), action: KnockAction::Close, source: from })
        }
        Demand::Hello => None,
    }
}
