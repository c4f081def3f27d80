//! The configuration file a daemon was started with: read at start and again at every reload.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{Bundle, Disk, FileBytes, FileFacts, Files, Kind, Loaded, Options, Report};
use aldaba_runner::door::Style;
use zeroize::Zeroizing;

use crate::last_in_force::{LastInForce, NoStandIn};

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
    /// The main file and its drop-ins, as they were.
    pub texts: Texts,
    /// With so many errors there: then the policy is the one that was last in force, and stands in for them.
    pub stands_in_for: Option<usize>,
}

/// A configuration with errors.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong with it.
    pub report: Report,
    /// The main file and its drop-ins, as they were.
    texts: Texts,
}

/// The files of a configuration and what stands in them, without what they refer to.
pub type Texts = Vec<(PathBuf, Zeroizing<Vec<u8>>)>;

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

    /// The grammar it is in.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Besides root, the only legitimate owner of its files.
    #[must_use]
    pub const fn own_uid(&self) -> u32 {
        self.own_uid
    }

    /// Reads it with all it refers to. `reload`: by a running daemon, which is more forgiving about what was used up.
    pub fn read(&self, reload: bool) -> Result<Read, Report> {
        self.read_with(&mut Disk, reload)
    }

    /// The same from other files than the real ones.
    pub fn read_with(&self, files: &mut dyn Files, reload: bool) -> Result<Read, Report> {
        self.record(files, reload).map_err(|refused| refused.report)
    }

    /// The same at the start of a daemon that may take another policy when this one has errors.
    pub fn read_at_start(&self) -> Result<Read, Refused> {
        self.record(&mut Disk, false)
    }

    fn record(&self, files: &mut dyn Files, reload: bool) -> Result<Read, Refused> {
        let (bundle, loaded) = Bundle::record(self.kind, &self.path, files, &self.options(reload));
        let texts = bundle.texts();
        match loaded {
            Ok(loaded) => Ok(Read { loaded, bundle: bundle.encode(), texts, stands_in_for: None }),
            Err(report) => Err(Refused { report, texts }),
        }
    }

    const fn options(&self, reload: bool) -> Options {
        Options { strict_check: false, reload, own_uid: self.own_uid, keyless: false }
    }

    /// The policy that was last in force, in place of a configuration with errors. As texts it has those with the errors: they are
    /// what the disk must go on to hold for a next start to take the same policy again.
    pub fn stand_in(&self, mut last: LastInForce, refused: Refused) -> Result<Read, NoStandIn> {
        let path = last.path().to_owned();
        let (bundle, loaded) = Bundle::record(Kind::Toml, &path, &mut last, &self.options(false));
        let stands_in_for = Some(refused.report.errors());
        match loaded {
            Ok(loaded) => Ok(Read { loaded, bundle: bundle.encode(), texts: refused.texts, stands_in_for }),
            Err(report) => Err(NoStandIn::errors(path, report)),
        }
    }
}

/// The real files, but for one, which need not be there yet.
#[derive(Debug)]
pub struct Instead<'a> {
    /// Which.
    pub path: &'a Path,
    /// What it is taken to hold.
    pub bytes: &'a [u8],
    /// Whose it would be.
    pub own_uid: u32,
}

impl Instead<'_> {
    /// What is to be believed of a file when this is what the disk says.
    fn answer(&self, path: &Path, on_disk: io::Result<FileBytes>) -> io::Result<FileBytes> {
        if path != self.path {
            return on_disk;
        }
        match on_disk {
            Ok(file) => Ok(FileBytes { bytes: self.bytes.to_vec(), ..file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let facts = FileFacts { mode: 0o600, uid: self.own_uid, is_regular: true };
                Ok(FileBytes { bytes: self.bytes.to_vec(), facts })
            }
            Err(error) => Err(error),
        }
    }
}

impl Files for Instead<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        self.answer(path, Disk.read(path))
    }

    fn read_secret(&mut self, path: &Path) -> io::Result<FileBytes> {
        self.answer(path, Disk.read_secret(path))
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Disk.list_dir(path)?;
        if let Some(name) = self.path.file_name().filter(|_| self.path.parent() == Some(path))
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        Disk.facts(path)
    }
}
