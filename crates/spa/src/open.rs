//! The server's side: from bytes to an authentic request, cheapest refusal first. spec/spa.md, section 8, steps 1 to 11.

use zeroize::Zeroizing;

use crate::envelope::Fields;
use crate::key::Agreement;
use crate::lock::GateKeys;
use crate::noise::{State, TAG};
use crate::request::CORE;
use crate::{
    Audience, KnockId, Lock, MAX_LEN, Malformed, Psk, PublicKey, Refusal, Request, SecretKey, Timestamp,
};

/// The most locks a server has at a time: each costs a hash per datagram.
pub const MAX_LOCKS: usize = 8;

/// A lock as its server knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct LockKeys {
    /// The server's key.
    pub secret: SecretKey,
    /// The gate's key.
    pub gate_psk: Psk,
    /// For whom.
    pub audience: Audience,
    /// From when it is valid; `None` for always.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
}

/// Why locks cannot be served together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocksError {
    /// Each lock costs a hash per datagram.
    #[error("at most {MAX_LOCKS} locks can be served at a time")]
    TooMany,
    /// Nothing would tell their datagrams apart.
    #[error("two locks have the same keys and audience")]
    Same,
}

struct Served {
    secret: SecretKey,
    server: PublicKey,
    gate: GateKeys,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

/// How long before and after its dates a lock is still served: clocks differ.
const GRACE: std::time::Duration = std::time::Duration::from_secs(600);

impl Served {
    fn is_live(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|from| now >= from.before(GRACE))
            && self.not_after.is_none_or(|until| now <= until.after(GRACE))
    }
}

/// The locks a server answers for.
pub struct Locks(Vec<Served>);

impl Locks {
    /// Makes the gate keys of each.
    pub fn new(locks: Vec<LockKeys>) -> Result<Self, LocksError> {
        if locks.len() > MAX_LOCKS {
            return Err(LocksError::TooMany);
        }
        let served: Vec<Served> = locks.into_iter().map(serve).collect();
        let mut ids: Vec<_> = served.iter().map(|lock| lock.gate.lock_id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < served.len() {
            return Err(LocksError::Same);
        }
        Ok(Self(served))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// What each is known by, as long as its keys and its audience are the same.
    pub(crate) fn ids(&self) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(|lock| lock.gate.lock_id)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Steps 1 and 2: its length, and its tag under each live lock.
    pub fn verify<'a>(&'a self, now: Timestamp, bytes: &'a [u8]) -> Result<Datagram<'a>, Refusal> {
        let fields = Fields::split(bytes).ok_or(Refusal::Length)?;
        let live = self.0.iter().enumerate().filter(|(_, lock)| lock.is_live(now));
        let mut found = None;
        // Every lock is tried, whichever was right.
        for (number, lock) in live {
            if let Some(id) = fields.is_tagged_by(&lock.gate) {
                found = Some(Datagram { fields, lock, number, id });
            }
        }
        found.ok_or(Refusal::Tag)
    }
}

fn serve(keys: LockKeys) -> Served {
    let LockKeys { secret, gate_psk, audience, not_before, not_after } = keys;
    let server = secret.public();
    let gate = Lock { server, gate_psk, audience }.gate_keys();
    Served { secret, server, gate, not_before, not_after }
}

/// A device as the caller of [`Datagram::open_from`] knows it.
pub(crate) struct Party<'k, D> {
    pub(crate) device: D,
    pub(crate) psk: Psk,
    /// What it and the lock agree on, if that is known.
    pub(crate) agreed: Option<&'k Agreement>,
}

/// A datagram whose tag is right: whoever made it knows the gate.
pub struct Datagram<'a> {
    fields: Fields<'a>,
    lock: &'a Served,
    number: usize,
    id: KnockId,
}

impl Datagram<'_> {
    /// What the client calls it.
    #[must_use]
    pub const fn id(&self) -> KnockId {
        self.id
    }

    /// Which of the locks it is for, by index.
    #[must_use]
    pub const fn lock(&self) -> usize {
        self.number
    }

    /// Its tag, by which it is known again.
    #[must_use]
    pub const fn tag(&self) -> &[u8; 16] {
        self.fields.tag()
    }

    /// Steps 5 to 9 and 11: opens the device's key, asks `psk_of` for the device and its pre-shared key, opens the request.
    ///
    /// `psk_of` gives what the caller knows the device by, or why it is refused.
    pub fn open<D>(
        &self,
        psk_of: impl FnOnce(&[u8; 32]) -> Result<(D, Psk), Refusal>,
    ) -> Result<Authentic<D>, Refused<D>> {
        let party_of = |key: &[u8; 32]| {
            let (device, psk) = psk_of(key)?;
            Ok(Party { device, psk, agreed: None })
        };
        self.open_from(party_of).map(|(authentic, _)| authentic)
    }

    /// The same for a caller who keeps what lock and device agree on: where it was not told, it is told now.
    pub(crate) fn open_from<'k, D>(
        &self,
        party_of: impl FnOnce(&[u8; 32]) -> Result<Party<'k, D>, Refusal>,
    ) -> Result<(Authentic<D>, Option<Agreement>), Refused<D>> {
        let lock = self.lock;
        let mut state = State::knock(&lock.gate, &lock.server);
        let ephemeral = self.fields.unmask(&lock.gate);
        state.ephemeral(&ephemeral);
        let es = lock.secret.diffie_hellman(&ephemeral).ok_or(Refusal::Ephemeral)?;
        state.mix_key(&es);
        let (mut key, tag) = self.sealed_key();
        state.decrypt_and_hash(&mut key, &tag).map_err(|_| Refusal::SealedKey)?;
        let Party { device, psk, agreed } = party_of(&key)?;
        let new = match agreed {
            Some(_) => None,
            None => Some(lock.secret.diffie_hellman(&key).ok_or(Refusal::Forged)?),
        };
        let ss = agreed.or(new.as_ref()).ok_or(Refusal::Forged)?;
        state.mix_key(ss);
        state.mix_key_and_hash(psk.expose_secret());
        let mut buffer = Zeroizing::new([0; MAX_LEN]);
        let Ok(plaintext) = self.payload(&mut state, &mut buffer) else {
            return Err(Refused { refusal: Refusal::Forged, device: Some(device) });
        };
        match decode(plaintext) {
            Ok(request) => Ok((Authentic { device, request, id: self.id }, new)),
            Err(malformed) => Err(Refused { refusal: Refusal::Malformed(malformed), device: Some(device) }),
        }
    }

    fn sealed_key(&self) -> ([u8; 32], [u8; TAG]) {
        let (key, tag) = self.fields.key.split_first_chunk().unwrap_or((&[0; 32], &[]));
        (*key, tag.first_chunk().copied().unwrap_or_default())
    }

    /// The opened core and padding, in `buffer`.
    fn payload<'b>(&self, state: &mut State, buffer: &'b mut [u8; MAX_LEN]) -> Result<&'b [u8], Refusal> {
        let (sealed, tag) = self.fields.payload.split_last_chunk().ok_or(Refusal::Length)?;
        let plaintext = buffer.get_mut(..sealed.len()).ok_or(Refusal::Length)?;
        plaintext.copy_from_slice(sealed);
        state.decrypt_and_hash(plaintext, tag).map_err(|_| Refusal::Forged)?;
        Ok(plaintext)
    }
}

/// Step 11: the core, and padding of zeros.
fn decode(plaintext: &[u8]) -> Result<Request, Malformed> {
    let (core, padding) = plaintext.split_first_chunk::<CORE>().ok_or(Malformed::Padding)?;
    let request = Request::decode(core)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Malformed::Padding);
    }
    Ok(request)
}

/// A refusal, and whose datagram it was if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused<D> {
    /// Why.
    pub refusal: Refusal,
    /// The device the datagram named: proven only from step 11 on.
    pub device: Option<D>,
}

impl<D> From<Refusal> for Refused<D> {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, device: None }
    }
}

/// A request that a registered device made, some time.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentic<D> {
    pub(crate) device: D,
    pub(crate) request: Request,
    pub(crate) id: KnockId,
}

impl<D> Authentic<D> {
    /// What it says, to look at: it may have been said before. What may be acted on is an [`Admitted`](crate::Admitted) one.
    pub const fn request(&self) -> &Request {
        &self.request
    }
}
