//! Configurations: text to policy, as at a start and a reload.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Loaded, Options, load};
use aldaba_sys::filter::{FilterSpec, MOST_INSTRUCTIONS, Offset};

use crate::ports;

const PATH: &str = "/etc/aldaba/aldaba.toml";

/// A configuration in memory.
#[derive(Debug)]
pub struct Configuration {
    text: String,
    filter: FilterSpec,
}

impl Configuration {
    /// One of so many doors.
    #[must_use]
    pub fn new(doors: u32) -> Self {
        let mut text = "interfaces = [\"eth0\"]\n".to_owned();
        for door in 0..doors {
            let [first, second, third] = ports(door);
            writeln!(
                text,
                "[[door]]\nname = \"door{door}\"\nsequence = \"{first},{second},{third}\"\nports = [\"{}/tcp\"]\nlease = \"30s\"",
                door % 9_000 + 1_000
            )
            .expect("text takes text");
        }
        // A third of the ports there are, spread, so that a tree of comparisons has something to tell apart.
        let tcp = (0..doors.min(20_000)).map_while(|door| u16::try_from(door * 3 + 1_000).ok()).collect();
        Self { text, filter: FilterSpec { tcp, ipv6: true, ..FilterSpec::default() } }
    }

    /// Reads it.
    #[must_use]
    pub fn read(&self) -> Loaded {
        match load(Kind::Toml, Path::new(PATH), &mut Memory(&self.text), &Options::default()) {
            Ok(loaded) => loaded,
            Err(report) => panic!("{}", report.render(aldaba_config::Paint::Plain)),
        }
    }

    /// Compiles a filter for as many ports as there are doors; its length.
    #[must_use]
    pub fn compile_filter(&self) -> usize {
        self.filter.program(Offset::Network, MOST_INSTRUCTIONS).instructions.len()
    }
}

/// The one file there is.
struct Memory<'a>(&'a str);

impl Files for Memory<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        if path != Path::new(PATH) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        Ok(FileBytes { bytes: self.0.as_bytes().to_vec(), facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}
