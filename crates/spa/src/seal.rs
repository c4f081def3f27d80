//! The client's side: one request, one datagram. spec/spa.md, sections 5 and 6.

use zeroize::{Zeroize, Zeroizing};

use crate::envelope::{masked, tags};
use crate::lock::GateKeys;
use crate::noise::{State, hmac};
use crate::{KnockId, Lock, MAX_PADDING, Psk, PublicKey, Request, SecretKey};

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More padding than a datagram has room for.
    #[error("at most {MAX_PADDING} bytes of padding fit")]
    Padding,
    /// A key agreement came out as zero.
    #[error("the server's key is not usable")]
    Server,
}

/// A datagram to send, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What goes into one UDP datagram, once.
    pub datagram: Vec<u8>,
    /// What the server's log calls it.
    pub id: KnockId,
}

/// Seals a request for the server behind `lock`. `random` is fresh for every call; should it ever repeat, the ephemeral key
/// still does not, unless everything else is the same too.
pub fn seal(
    device: &SecretKey,
    psk: &Psk,
    lock: &Lock,
    request: &Request,
    padding: usize,
    random: &[u8; 32],
) -> Result<Sealed, SealError> {
    let gate = lock.gate_keys();
    let plaintext = plaintext(request, padding)?;
    let ephemeral = hedged(device, &gate, &plaintext, random);
    seal_with(device, psk, lock, &gate, &plaintext, &ephemeral)
}

/// The core and its padding.
fn plaintext(request: &Request, padding: usize) -> Result<Vec<u8>, SealError> {
    if padding > MAX_PADDING {
        return Err(SealError::Padding);
    }
    let mut plaintext = request.encode().to_vec();
    plaintext.resize(plaintext.len().saturating_add(padding), 0);
    Ok(plaintext)
}

/// The ephemeral key: from the random bytes and from everything the datagram will say.
fn hedged(device: &SecretKey, gate: &GateKeys, plaintext: &[u8], random: &[u8; 32]) -> SecretKey {
    let key = hmac(device.expose_secret(), &[b"aldaba v1 hedge"]);
    SecretKey::new(&hmac(&key, &[random, &gate.lock_id, plaintext]))
}

/// Seals under an ephemeral key.
pub(crate) fn seal_with(
    device: &SecretKey,
    psk: &Psk,
    lock: &Lock,
    gate: &GateKeys,
    plaintext: &[u8],
    ephemeral: &SecretKey,
) -> Result<Sealed, SealError> {
    let mut state = State::knock(gate, &lock.server);
    let (public, rest) = message(&mut state, device, psk, &lock.server, plaintext, ephemeral)?;
    let mut datagram = masked(gate, public.as_bytes(), &[&rest]).to_vec();
    datagram.extend_from_slice(&rest);
    let (tag, id) = tags(gate, &datagram);
    datagram.extend_from_slice(&tag);
    Ok(Sealed { datagram, id })
}

/// The one message of the Noise pattern: the ephemeral key, and `cs || cp`.
pub(crate) fn message(
    state: &mut State,
    device: &SecretKey,
    psk: &Psk,
    server: &PublicKey,
    plaintext: &[u8],
    ephemeral: &SecretKey,
) -> Result<(PublicKey, Vec<u8>), SealError> {
    let public = ephemeral.public();
    state.ephemeral(public.as_bytes());
    let es = ephemeral.diffie_hellman(server.as_bytes()).ok_or(SealError::Server)?;
    state.mix_key(&es);
    let mut key = *device.public().as_bytes();
    let key_tag = state.encrypt_and_hash(&mut key);
    let ss = device.diffie_hellman(server.as_bytes()).ok_or(SealError::Server)?;
    state.mix_key(&ss);
    state.mix_key_and_hash(psk.expose_secret());
    let mut payload = Zeroizing::new(plaintext.to_vec());
    let payload_tag = state.encrypt_and_hash(&mut payload);
    let rest = [key.as_slice(), &key_tag, &payload, &payload_tag].concat();
    key.zeroize();
    Ok((public, rest))
}
