//! Writes the seeds of `bundle` and `request`, which people cannot write by hand:
//! `cargo run --release --manifest-path fuzz/Cargo.toml --example seeds`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use aldaba_config::{Bundle, FileBytes, FileFacts, Files, Kind, Options};
use aldaba_fuzz::SEEDS;
use aldaba_gate::knock::{Outcome, Protocol};
use aldaba_gate::{DoorId, KnockAction};
use aldabad::ipc::{CaptureOn, FromWorker, Place, ToWorker};

fn main() -> io::Result<()> {
    for (kind, folder, path) in
        [(Kind::Knockd, "knockd_conf", "/etc/knockd.conf"), (Kind::Toml, "aldaba_toml", "/etc/aldaba.toml")]
    {
        let mut seeds = fs::read_dir(format!("{SEEDS}/{folder}"))?.collect::<io::Result<Vec<_>>>()?;
        seeds.sort_by_key(fs::DirEntry::file_name);
        for seed in seeds.iter().take(8) {
            let mut file = OneFile(fs::read(seed.path())?);
            let (bundle, _) = Bundle::record(kind, Path::new(path), &mut file, &Options::default());
            let name = seed.file_name().to_string_lossy().into_owned();
            write("bundle", &format!("{folder}-{name}"), &bundle.encode())?;
        }
    }
    for (number, bytes) in messages().iter().enumerate() {
        // As short as they can be: the target fills them up with zeros.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        write("request", &format!("{number:02}"), &bytes[..end])?;
    }
    Ok(())
}

/// The configuration under whatever name, and nothing of the machine this runs on.
struct OneFile(Vec<u8>);

impl Files for OneFile {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        if !path.starts_with("/etc") {
            return Err(io::ErrorKind::NotFound.into());
        }
        let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        Ok(FileBytes { bytes: self.0.clone(), facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        if !path.starts_with("/usr/sbin") {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(FileFacts { mode: 0o755, uid: 0, is_regular: true })
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::write(Path::new(SEEDS).join(target).join(name), bytes)
}

fn messages() -> Vec<Vec<u8>> {
    let place = Place { generation: 3, door: DoorId(2), knock: 1 };
    let four = "192.0.2.7".parse().expect("an address");
    let six = "2001:db8::7".parse().expect("an address");
    let from = [
        FromWorker::Ready { kept_uid: true },
        FromWorker::Prepared { generation: 9 },
        FromWorker::Unfit { generation: u32::MAX },
        FromWorker::Request { place, action: KnockAction::Open, source: four },
        FromWorker::Request { place, action: KnockAction::Close, source: six },
        FromWorker::Stage { place, stage: 32, source: four },
        FromWorker::Expired { place, stage: 2, source: six },
        FromWorker::LeftOut { events: u64::MAX },
        FromWorker::Overrun { requests: 1 },
        FromWorker::CaptureFailed { capture: 4 },
        FromWorker::Hit {
            source: (four, 40_000),
            protocol: Protocol::Udp,
            destination: (six, 7000),
            outcome: Outcome::Completed,
        },
    ];
    let to = [
        ToWorker::Prepare { generation: 1, keep_attempts: true, stages: false, hits: true, ipv4_only: true },
        ToWorker::Commit { generation: 1 },
        ToWorker::Interface { index: 2, loopback: true, name: "eth0".into() },
        ToWorker::Address { index: 2, address: six },
        ToWorker::InterfaceReady { index: 2 },
        ToWorker::InterfaceGone { index: 7 },
        ToWorker::Capture { capture: 1, on: CaptureOn::Interface(2), ring: 1 << 22 },
        ToWorker::CaptureGone { capture: 1 },
        ToWorker::NextSequence { place, sequence: "7000,8000:udp".parse().ok() },
        ToWorker::NextSequence { place, sequence: None },
    ];
    let from = from.iter().map(|message| message.encode().to_vec());
    from.chain(to.iter().map(|message| message.encode().to_vec())).collect()
}
