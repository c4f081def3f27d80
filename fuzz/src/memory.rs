//! A file system of one file, and what every reading of a configuration must fulfil.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Loaded, Options, Paint, Report, explain, load};

/// One file of these bytes; every other one is missing, and every second program.
struct Memory<'a>(&'a [u8]);

impl Files for Memory<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        if path != Path::new("/file") {
            return Err(io::ErrorKind::NotFound.into());
        }
        let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        Ok(FileBytes { bytes: self.0.to_vec(), facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        if path.as_os_str().len().is_multiple_of(2) {
            return Ok(FileFacts { mode: 0o755, uid: 0, is_regular: true });
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

fn read(kind: Kind, bytes: &[u8], strict_check: bool) -> Result<Loaded, Report> {
    let options = Options { strict_check, ..Options::default() };
    load(kind, Path::new("/file"), &mut Memory(bytes), &options)
}

/// Reads the bytes: what is refused says where and why, and what is taken means the same as aldaba.toml.
///
/// # Panics
/// If not.
pub fn check(kind: Kind, bytes: &[u8]) {
    for strict in [false, true] {
        match read(kind, bytes, strict) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    assert!(!warning.render(Paint::Plain).is_empty());
                }
                if !strict {
                    means_the_same(&loaded);
                }
            }
            Err(report) => {
                assert!(report.errors() > 0, "refused without a reason");
                let text = report.render(Paint::Plain);
                assert!(text.contains("error"), "{text}");
            }
        }
    }
}

/// One-time files are missing here, and an `aldaba.toml` has a door: such a policy cannot be read back.
fn means_the_same(loaded: &Loaded) {
    let policy = &loaded.policy;
    if !policy.one_time.is_empty() || policy.gate.doors.is_empty() {
        return;
    }
    let text = explain(policy);
    let again = read(Kind::Toml, text.as_bytes(), false)
        .unwrap_or_else(|report| panic!("{text}\n{}", report.render(Paint::Plain)));
    assert_eq!(&again.policy, policy, "{text}");
    assert_eq!(explain(&again.policy), text);
}
