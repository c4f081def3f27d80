//! The client's device, and what the server knows of it.

use std::io::{self, Write as _};
use std::path::Path;

use aldaba_gate::spa::{
    Audience, KeyKind, Lock, Operation, Psk, Request, Sealed, SecretKey, Timestamp, device_psk, seal, text,
};
use aldaba_sys::{clock, files, random};

use crate::monitor::make_store;

/// Where the server takes datagrams, as the story's configuration says.
pub(super) const PORT: u16 = 42731;

/// What a client holds after `aldaba enrol`.
pub(super) struct Device {
    key: SecretKey,
    psk: Psk,
    lock: Lock,
    line: String,
}

impl Device {
    /// Makes a server's keys and registry in this folder, with one device in it.
    pub(super) fn enrolled_at(folder: &Path) -> io::Result<Self> {
        files::private_dir(folder)?;
        let (server, gate, seed) = (random::bytes()?, random::bytes()?, random::bytes()?);
        for (name, kind, bytes) in [
            ("server.key", KeyKind::ServerSecret, &server),
            ("gate.key", KeyKind::Gate, &gate),
            ("psk.key", KeyKind::Seed, &seed),
        ] {
            let mut file = files::open_private(&folder.join(name))?;
            file.write_all(text::encode(kind, bytes).as_bytes())?;
        }
        let key = SecretKey::new(&random::bytes()?);
        let line = format!("{} alice/laptop\n", key.public().to_text(KeyKind::Device));
        std::fs::write(folder.join("authorized_keys"), &line)?;
        make_store(&folder.join("state"))?;
        let lock = SecretKey::new(&server).lock(Psk::new(gate), Audience::default());
        let psk = device_psk(&Psk::new(seed), 0, &key.public());
        Ok(Self { key, psk, lock, line })
    }

    /// Its line in the server's registry.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// A request of this moment.
    pub(super) fn seal(&self, operation: Operation) -> io::Result<Sealed> {
        let time = u64::try_from(clock::wall().as_micros()).map_err(io::Error::other)?;
        let request = Request { operation, time: Timestamp(time) };
        let [padding] = random::bytes::<1>()?;
        seal(&self.key, &self.psk, &self.lock, &request, usize::from(padding % 57), &random::bytes()?)
            .map_err(io::Error::other)
    }

    /// As many bytes as a stranger likes.
    pub(super) fn junk(length: usize) -> io::Result<Vec<u8>> {
        Ok(random::bytes::<1500>()?.into_iter().take(length).collect())
    }
}
