//! The configuration file a daemon was started with: read at start and again at every reload.

use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{Bundle, Disk, Kind, Loaded, Options, Report};
use aldaba_runner::door::Style;
use zeroize::Zeroizing;

/// The largest policy, with all its files, as it goes to the worker: 100,000 devices with every option take a third of it.
pub const LARGEST_POLICY: usize = 64 << 20;

/// Where the policy comes from.
#[derive(Debug, Clone)]
pub struct Source {
    kind: Kind,
    path: PathBuf,
    started_in: PathBuf,
    own_uid: u32,
}

/// A policy with the bytes it was made of.
#[derive(Debug)]
pub struct Read {
    /// What the file says.
    pub loaded: Loaded,
    /// The same for the worker, encoded.
    pub bundle: Zeroizing<Vec<u8>>,
}

impl Source {
    /// A file in this grammar. The path is made absolute: a daemon that changes its directory finds it again.
    pub fn new(kind: Kind, path: &Path, own_uid: u32) -> io::Result<Self> {
        let started_in = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Ok(Self { kind, path: std::path::absolute(path)?, started_in, own_uid })
    }

    /// A name in the file: relative ones are relative to where the daemon was started, also when it has left that folder.
    #[must_use]
    pub fn resolve(&self, name: &Path) -> PathBuf {
        self.started_in.join(name)
    }

    /// Whose rules doors of this file follow.
    #[must_use]
    pub const fn style(&self) -> Style {
        match self.kind {
            Kind::Toml => Style::Native,
            Kind::Knockd => Style::Knockd,
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it with all it refers to. `reload`: by a running daemon, which is more forgiving about what was used up.
    pub fn read(&self, reload: bool) -> Result<Read, Report> {
        let options = Options { strict_check: false, reload, own_uid: self.own_uid };
        let (bundle, loaded) = Bundle::record(self.kind, &self.path, &mut Disk, &options);
        Ok(Read { loaded: loaded?, bundle: bundle.encode() })
    }
}
