//! The core: one message of `Noise_Xpsk1_25519_ChaChaPoly_SHA256` (Noise, revision 34). spec/spa.md, section 5.
//!
//! Every key is used once, so no counter is kept: the nonce is always twelve zero bytes.

use chacha20poly1305::aead::{AeadInOut, KeyInit, Tag};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::lock::GateKeys;
use crate::{PublicKey, SUITE};

const NAME: &[u8] = b"Noise_Xpsk1_25519_ChaChaPoly_SHA256";
/// What an AEAD adds.
pub(crate) const TAG: usize = 16;

type Bytes = Zeroizing<[u8; 32]>;

/// The message failed its authentication.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// HMAC-SHA256 of parts one behind the other.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Bytes {
    finish(begin(key), parts)
}

/// HMAC-SHA256 under one key that is used again and again: what depends on the key alone is done once, which of the six
/// blocks of the shortest datagram are two.
#[derive(Clone)]
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(begin(key))
    }

    /// Of parts one behind the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Bytes {
        finish(self.0.clone(), parts)
    }
}

impl Drop for Keyed {
    /// What follows from a key is as good as the key.
    fn drop(&mut self) {
        self.0 = begin(&[0; 32]);
        // Looked at once more, so that the compiler does not leave it out.
        std::hint::black_box(&self.0);
    }
}

fn begin(key: &[u8; 32]) -> Hmac<Sha256> {
    // RFC 2104: a key shorter than the hash's block is filled with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    KeyInit::new((&*block).into())
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Bytes {
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Noise's HKDF: RFC 5869 with `chaining_key` as salt and no info.
pub(crate) fn hkdf<const N: usize>(chaining_key: &[u8; 32], input: &[u8]) -> [Bytes; N] {
    let prk = hmac(chaining_key, &[input]);
    let mut last: Option<Bytes> = None;
    let mut counter = 0_u8;
    std::array::from_fn(|_| {
        counter = counter.saturating_add(1);
        let before = last.as_ref().map_or(&[][..], |bytes| bytes.as_slice());
        let next = hmac(&prk, &[before, &[counter]]);
        last.insert(next).clone()
    })
}

/// Both sides' state while the message is written or read: Noise's `h`, `ck` and `k`.
pub(crate) struct State {
    h: [u8; 32],
    ck: Bytes,
    k: Bytes,
    #[cfg(test)]
    pub(crate) trace: Vec<(&'static str, Vec<u8>)>,
}

impl State {
    /// Begins with the pre-message `<- s`: the server's public key.
    pub(crate) fn new(prologue: &[&[u8]], server: &PublicKey) -> Self {
        // Names longer than the hash are hashed.
        let h: [u8; 32] = Sha256::digest(NAME).into();
        let mut state = Self {
            h,
            ck: Zeroizing::new(h),
            k: Zeroizing::new([0; 32]),
            #[cfg(test)]
            trace: Vec::new(),
        };
        state.note("h", h);
        state.mix_hash(prologue);
        state.mix_hash(&[server.as_bytes()]);
        state
    }

    /// A state for a knock under the lock of `gate`.
    pub(crate) fn knock(gate: &GateKeys, server: &PublicKey) -> Self {
        Self::new(&[b"aldaba v1 knock", &[SUITE], &gate.lock_id], server)
    }

    /// Token `e`, with the extra `MixKey` of the psk patterns.
    pub(crate) fn ephemeral(&mut self, ephemeral: &[u8; 32]) {
        self.mix_hash(&[ephemeral]);
        self.mix_key(ephemeral);
    }

    /// Tokens `es` and `ss`.
    pub(crate) fn mix_key(&mut self, input: &[u8; 32]) {
        let [ck, k] = hkdf(&self.ck, input);
        (self.ck, self.k) = (ck, k);
        self.note("ck", *self.ck);
        self.note("k", *self.k);
    }

    /// Token `psk`.
    pub(crate) fn mix_key_and_hash(&mut self, psk: &[u8; 32]) {
        let [ck, t, k] = hkdf(&self.ck, psk);
        self.mix_hash(&[t.as_slice()]);
        (self.ck, self.k) = (ck, k);
        self.note("ck", *self.ck);
        self.note("k", *self.k);
    }

    /// Encrypts `buffer` where it is; gives the tag behind it.
    pub(crate) fn encrypt_and_hash(&mut self, buffer: &mut [u8]) -> [u8; TAG] {
        let cipher = ChaCha20Poly1305::new((&*self.k).into());
        // It fails only for messages of 256 GB.
        let tag = cipher
            .encrypt_inout_detached(&Nonce::default(), &self.h, (&mut *buffer).into())
            .unwrap_or_default();
        self.mix_hash(&[buffer, &tag]);
        tag.into()
    }

    /// Decrypts `buffer` where it is.
    pub(crate) fn decrypt_and_hash(&mut self, buffer: &mut [u8], tag: &[u8; TAG]) -> Result<(), Forged> {
        let h = self.h;
        self.mix_hash(&[buffer, tag]);
        let cipher = ChaCha20Poly1305::new((&*self.k).into());
        let tag: &Tag<ChaCha20Poly1305> = tag.into();
        cipher.decrypt_inout_detached(&Nonce::default(), &h, buffer.into(), tag).map_err(|_| Forged)
    }

    fn mix_hash(&mut self, parts: &[&[u8]]) {
        let mut hash = Sha256::new_with_prefix(self.h);
        for part in parts {
            hash.update(part);
        }
        self.h = hash.finalize().into();
        self.note("h", self.h);
    }

    #[cfg(test)]
    fn note(&mut self, name: &'static str, bytes: [u8; 32]) {
        self.trace.push((name, bytes.to_vec()));
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "tests look at each step")]
    const fn note(&mut self, _: &str, _: [u8; 32]) {}

    /// The hash of all that was said.
    #[cfg(test)]
    pub(crate) fn handshake_hash(&self) -> [u8; 32] {
        self.h
    }
}
