//! A bundle as bytes. spec/keys.md, section 4.1: every bundle has one encoding, and no other bytes are taken.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Bundle, BundleDoor, BundleError, BundleLock, Host, Port, Transport};
use crate::{Audience, MAX_LOCKS, Psk, PublicKey, Timestamp};

/// The first byte.
const VERSION: u8 = 1;
/// Stands for no beginning.
pub(super) const ALWAYS: Timestamp = Timestamp(0);
/// Stands for no end.
pub(super) const NEVER: Timestamp = Timestamp(u64::MAX);

const IPV4: u8 = 4;
const IPV6: u8 = 6;
const NAME: u8 = 1;
/// As in an IP header.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The fields of fixed length.
const FIXED: usize = 1 + 8 + 2 + 2 + 32 + 32;
const LOCK: usize = 32 + 8 + 8 + 1 + Audience::MAX_LEN;
const HOST: usize = 1 + 1 + Host::MAX_NAME;
const DOOR: usize = 1 + BundleDoor::MAX_NAME + 1 + 3 * BundleDoor::MAX_PORTS;
/// The longest encoding.
pub(super) const MAX_LEN: usize =
    FIXED + 1 + Bundle::MAX_HOSTS * HOST + 1 + MAX_LOCKS * LOCK + 1 + Bundle::MAX_DOORS * DOOR;

impl Bundle {
    /// Its bytes, to seal or to store them in a private file.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        self.check()?;
        // Room for the longest: growing would leave copies of the secrets behind.
        let mut to = Writer(Zeroizing::new(Vec::with_capacity(MAX_LEN)));
        to.put(&[VERSION]);
        to.put(&self.issued.0.to_be_bytes());
        to.put(&self.port.get().to_be_bytes());
        to.put(&u16::try_from(self.future.as_secs()).map_err(|_| BundleError::Future)?.to_be_bytes());
        to.put(self.gate_psk.expose_secret());
        to.put(self.device_psk.expose_secret());
        to.count(self.hosts.len())?;
        self.hosts.iter().try_for_each(|host| to.host(host))?;
        to.count(self.locks.len())?;
        self.locks.iter().try_for_each(|lock| to.lock(lock))?;
        to.count(self.doors.len())?;
        self.doors.iter().try_for_each(|door| to.door(door))?;
        Ok(to.0)
    }

    /// The bundle of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut from = Reader(bytes);
        match from.byte()? {
            VERSION => {}
            other => return Err(BundleError::Version(other)),
        }
        let bundle = Self {
            issued: from.time()?,
            port: from.port()?,
            future: Duration::from_secs(from.u16()?.into()),
            gate_psk: Psk::new(*from.take()?),
            device_psk: Psk::new(*from.take()?),
            hosts: from.list(Reader::host)?,
            locks: from.list(Reader::lock)?,
            doors: from.list(Reader::door)?,
        };
        bundle.check()?;
        if from.0.is_empty() { Ok(bundle) } else { Err(BundleError::Layout) }
    }
}

struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) -> Result<(), BundleError> {
        self.put(&[u8::try_from(count).map_err(|_| BundleError::Layout)?]);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BundleError> {
        self.count(text.len())?;
        self.put(text.as_bytes());
        Ok(())
    }

    fn host(&mut self, host: &Host) -> Result<(), BundleError> {
        match host {
            Host::Address(IpAddr::V4(v4)) => self.put(&[&[IPV4], v4.octets().as_slice()].concat()),
            Host::Address(IpAddr::V6(v6)) => self.put(&[&[IPV6], v6.octets().as_slice()].concat()),
            Host::Name(name) => {
                self.put(&[NAME]);
                self.text(name)?;
            }
        }
        Ok(())
    }

    fn lock(&mut self, lock: &BundleLock) -> Result<(), BundleError> {
        self.put(lock.server.as_bytes());
        self.put(&lock.not_before.unwrap_or(ALWAYS).0.to_be_bytes());
        self.put(&lock.not_after.unwrap_or(NEVER).0.to_be_bytes());
        self.text(lock.audience.as_str())
    }

    fn door(&mut self, door: &BundleDoor) -> Result<(), BundleError> {
        self.text(&door.name)?;
        self.count(door.ports.len())?;
        for port in &door.ports {
            self.put(&[if port.transport == Transport::Tcp { TCP } else { UDP }]);
            self.put(&port.number.get().to_be_bytes());
        }
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], BundleError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BundleError::Layout)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BundleError> {
        self.take().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Result<u16, BundleError> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn time(&mut self) -> Result<Timestamp, BundleError> {
        self.take().map(|bytes| Timestamp(u64::from_be_bytes(*bytes)))
    }

    fn port(&mut self) -> Result<NonZeroU16, BundleError> {
        NonZeroU16::new(self.u16()?).ok_or(BundleError::Layout)
    }

    fn text(&mut self) -> Result<&'a str, BundleError> {
        let length = self.byte()?.into();
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BundleError::Layout)?;
        self.0 = rest;
        str::from_utf8(taken).map_err(|_| BundleError::Layout)
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, BundleError>) -> Result<Vec<T>, BundleError> {
        (0..self.byte()?).map(|_| item(self)).collect()
    }

    fn host(&mut self) -> Result<Host, BundleError> {
        match self.byte()? {
            IPV4 => Ok(Host::Address(IpAddr::from(*self.take::<4>()?))),
            IPV6 => Ok(Host::Address(IpAddr::from(*self.take::<16>()?))),
            NAME => Ok(Host::Name(self.text()?.to_owned())),
            _ => Err(BundleError::Layout),
        }
    }

    fn lock(&mut self) -> Result<BundleLock, BundleError> {
        let server = PublicKey::new(*self.take()?)?;
        let not_before = Some(self.time()?).filter(|time| *time != ALWAYS);
        let not_after = Some(self.time()?).filter(|time| *time != NEVER);
        Ok(BundleLock { server, audience: Audience::new(self.text()?)?, not_before, not_after })
    }

    fn door(&mut self) -> Result<BundleDoor, BundleError> {
        Ok(BundleDoor { name: self.text()?.to_owned(), ports: self.list(Self::door_port)? })
    }

    fn door_port(&mut self) -> Result<Port, BundleError> {
        let transport = match self.byte()? {
            TCP => Transport::Tcp,
            UDP => Transport::Udp,
            _ => return Err(BundleError::Layout),
        };
        Ok(Port { transport, number: self.port()? })
    }
}
