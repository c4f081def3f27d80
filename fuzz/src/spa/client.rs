//! A client written a second time, as plainly as spec/spa.md puts it and with `snow` for the Noise message. It seals any
//! bytes as a core, which the real one cannot be made to do.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use snow::Builder;

const NAME: &str = "Noise_Xpsk1_25519_ChaChaPoly_SHA256";
/// Bytes in front of the sealed core: the ephemeral key and the sealed device key.
pub(crate) const HEAD: usize = 32 + 48;

/// HMAC-SHA256 of parts one behind the other.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The pre-shared key of a device.
pub(crate) fn device_psk(seed: &[u8; 32], generation: u32, device: &[u8; 32]) -> [u8; 32] {
    hmac(seed, &[b"aldaba v1 device psk", &generation.to_be_bytes(), device])
}

/// A lock as a client knows it.
pub(crate) struct Gate {
    server: [u8; 32],
    tag: [u8; 32],
    mask: [u8; 32],
    lock_id: [u8; 32],
}

/// Who seals.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) secret: [u8; 32],
    pub(crate) psk: [u8; 32],
}

impl Gate {
    pub(crate) fn new(server: &[u8; 32], gate_psk: &[u8; 32], audience: &str) -> Self {
        let length = u8::try_from(audience.len()).expect("at most 64");
        let prk = hmac(gate_psk, &[b"aldaba v1 gate", &[1], server, &[length], audience.as_bytes()]);
        let tag = hmac(&prk, &[&[1]]);
        let mask = hmac(&prk, &[&tag, &[2]]);
        let lock_id = hmac(&prk, &[&mask, &[3]]);
        Self { server: *server, tag, mask, lock_id }
    }

    /// The secret ephemeral key the real client takes.
    pub(crate) fn hedged(&self, device: &Device, plaintext: &[u8], random: &[u8; 32]) -> [u8; 32] {
        let key = hmac(&device.secret, &[b"aldaba v1 hedge"]);
        hmac(&key, &[random, &self.lock_id, plaintext])
    }

    /// `E || cs || cp`.
    pub(crate) fn message(&self, device: &Device, plaintext: &[u8], ephemeral: &[u8; 32]) -> Vec<u8> {
        let prologue = [b"aldaba v1 knock".as_slice(), &[1], &self.lock_id].concat();
        let mut writer = Builder::new(NAME.parse().expect("a pattern"))
            .prologue(&prologue)
            .and_then(|builder| builder.local_private_key(&device.secret))
            .and_then(|builder| builder.psk(1, &device.psk))
            .and_then(|builder| builder.remote_public_key(&self.server))
            .map(|builder| builder.fixed_ephemeral_key_for_testing_only(ephemeral))
            .and_then(Builder::build_initiator)
            .expect("a client");
        let mut message = vec![0; HEAD + plaintext.len() + 16];
        let length = writer.write_message(plaintext, &mut message).expect("room");
        assert_eq!(length, message.len());
        message
    }

    /// Puts a message into its envelope, whatever it is.
    pub(crate) fn wrap(&self, message: &[u8]) -> Vec<u8> {
        let (head, rest) = message.split_at(32);
        let keystream = hmac(&hmac(&self.mask, &[rest]), &[&[1]]);
        let mut datagram: Vec<u8> = head.iter().zip(keystream).map(|(byte, key)| byte ^ key).collect();
        datagram.extend_from_slice(rest);
        datagram.extend_from_slice(&hmac(&self.tag, &[&datagram])[..16]);
        datagram
    }

    /// Takes a datagram out of its envelope, if it is one of this lock.
    pub(crate) fn unwrap<'d>(&self, datagram: &'d [u8]) -> Option<([u8; 32], &'d [u8])> {
        let (tagged, tag) = datagram.split_at_checked(datagram.len().checked_sub(16)?)?;
        let (head, rest) = tagged.split_first_chunk::<32>()?;
        let keystream = hmac(&hmac(&self.mask, &[rest]), &[&[1]]);
        let ephemeral = std::array::from_fn(|at| head[at] ^ keystream[at]);
        (hmac(&self.tag, &[tagged])[..16] == *tag).then_some((ephemeral, rest))
    }

    /// What a datagram of this lock is called.
    pub(crate) fn knock_id(&self, datagram: &[u8]) -> [u8; 8] {
        let mac = hmac(&self.tag, &[&datagram[..datagram.len() - 16]]);
        *mac[16..].first_chunk().expect("16 bytes")
    }

    /// Reads `E || cs || cp` as the server of this key does: the device's key and the plaintext.
    pub(crate) fn read(
        &self,
        server: &[u8; 32],
        psk: &[u8; 32],
        message: &[u8],
    ) -> Option<([u8; 32], Vec<u8>)> {
        let prologue = [b"aldaba v1 knock".as_slice(), &[1], &self.lock_id].concat();
        let mut reader = Builder::new(NAME.parse().expect("a pattern"))
            .prologue(&prologue)
            .and_then(|builder| builder.local_private_key(server))
            .and_then(|builder| builder.psk(1, psk))
            .and_then(Builder::build_responder)
            .expect("a server");
        let mut plaintext = vec![0; message.len()];
        let length = reader.read_message(message, &mut plaintext).ok()?;
        plaintext.truncate(length);
        let device = reader.get_remote_static()?.try_into().ok()?;
        Some((device, plaintext))
    }
}
