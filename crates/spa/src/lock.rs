//! Locks: what a datagram is sealed for, and the gate keys that follow from it. spec/spa.md, section 4.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::noise::{Keyed, hkdf, hmac};
use crate::{Psk, PublicKey, SUITE, SecretKey};

/// The name of the node or cluster a lock is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Audience(String);

/// An audience is 0 to 64 printable ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an audience is at most 64 printable ASCII characters")]
pub struct AudienceError;

impl Audience {
    /// The most bytes it has.
    pub const MAX_LEN: usize = 64;

    /// Checks a name; an empty one means that audiences are not used.
    pub fn new(name: &str) -> Result<Self, AudienceError> {
        let printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if name.len() > Self::MAX_LEN || !printable {
            return Err(AudienceError);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A lock as a client knows it: the public half, and the pre-shared key of the gate.
#[derive(Clone)]
pub struct Lock {
    /// The server's public key.
    pub server: PublicKey,
    /// Shared by everybody who may make the server do more than a hash; [`Psk::NONE`] when turned off.
    pub gate_psk: Psk,
    /// For whom.
    pub audience: Audience,
}

impl Lock {
    /// The keys of its envelope.
    #[must_use]
    pub fn gate_keys(&self) -> GateKeys {
        let audience = self.audience.as_str();
        let mut ikm = b"aldaba v1 gate".to_vec();
        ikm.push(SUITE);
        ikm.extend_from_slice(self.server.as_bytes());
        // At most 64, see Audience.
        ikm.push(u8::try_from(audience.len()).unwrap_or(u8::MAX));
        ikm.extend_from_slice(audience.as_bytes());
        let [tag, mask, lock_id] = hkdf(self.gate_psk.expose_secret(), &ikm);
        GateKeys { tag: Keyed::new(&tag), mask: *mask, lock_id: *lock_id }
    }
}

/// What the envelope is made with: `k_tag`, `k_mask` and `lock_id`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GateKeys {
    /// It wipes itself.
    #[zeroize(skip)]
    pub(crate) tag: Keyed,
    pub(crate) mask: [u8; 32],
    pub(crate) lock_id: [u8; 32],
}

/// The pre-shared key of a device, from the server's seed (spec/spa.md, section 3).
#[must_use]
pub fn device_psk(seed: &Psk, generation: u32, device: &PublicKey) -> Psk {
    let parts: [&[u8]; 3] = [b"aldaba v1 device psk", &generation.to_be_bytes(), device.as_bytes()];
    Psk::new(*hmac(seed.expose_secret(), &parts))
}

impl SecretKey {
    /// The lock this key opens.
    #[must_use]
    pub fn lock(&self, gate_psk: Psk, audience: Audience) -> Lock {
        Lock { server: self.public(), gate_psk, audience }
    }
}
