//! The client's device: made, enrolled and served as anybody else's, by the functions behind the commands.

use std::io::{self, Write as _};
use std::path::Path;

use aldaba_gate::spa::{Bundle, Host, KeyKind, Operation, Request, Sealed, SecretKey, seal};
use aldaba_sys::{process, random};
use zeroize::Zeroizing;

use super::DemoError;
use super::hosts::SERVER;
use crate::init::identity::{CONFIG, Folders, REGISTRY, make_identity};
use crate::site::Site;
use crate::users::bundle;

/// What a client holds after `aldaba enrol`.
pub(super) struct Device {
    key: SecretKey,
    bundle: Bundle,
    line: String,
}

impl Device {
    /// Makes a server with this configuration in a folder of its own, and enrols one device.
    pub(super) fn enrolled_at(folder: &Path, config: &str) -> Result<Self, DemoError> {
        let folders = Folders { config: folder.to_owned(), state: folder.join("state") };
        make_identity(&folders).map_err(not_as_told)?;
        let path = folder.join(CONFIG);
        std::fs::write(&path, config)?;
        let key = SecretKey::new(&Zeroizing::new(random::bytes()?));
        let text = key.public().to_text(KeyKind::Device);
        let line = format!("{text} alice/laptop\n");
        std::fs::File::options().append(true).open(folder.join(REGISTRY))?.write_all(line.as_bytes())?;
        let site = Site::without_daemon(&path, process::effective_uid()).map_err(not_as_told)?;
        let device = bundle::device(&site, &text).ok_or_else(|| not_as_told("the device is not listed"))?;
        let sealed =
            bundle::seal(&site, device, &[Host::Address(SERVER.into())], None).map_err(not_as_told)?;
        let bundle = sealed.open(&key, None).map_err(not_as_told)?.bundle;
        Ok(Self { key, bundle, line })
    }

    /// Its line in the server's registry.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// Where the server takes datagrams.
    pub(super) const fn port(&self) -> u16 {
        self.bundle.port.get()
    }

    /// A request of this moment.
    pub(super) fn seal(&self, operation: Operation) -> Result<Sealed, DemoError> {
        let Bundle { device_psk, .. } = &self.bundle;
        let time = bundle::wall();
        let lock = self.bundle.lock_at(time).ok_or_else(|| not_as_told("no lock is valid"))?;
        let [padding] = random::bytes::<1>()?;
        let request = Request { operation, time };
        seal(&self.key, device_psk, &lock, &request, usize::from(padding % 57), &random::bytes()?)
            .map_err(not_as_told)
    }

    /// As many bytes as a stranger likes.
    pub(super) fn junk(length: usize) -> io::Result<Vec<u8>> {
        Ok(random::bytes::<1500>()?.into_iter().take(length).collect())
    }
}

fn not_as_told(error: impl std::fmt::Display) -> DemoError {
    DemoError::NotAsTold(error.to_string())
}
