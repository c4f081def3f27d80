//! Writes the seeds of `bundle`, `request` and of all that has to do with keys, which people cannot write by hand:
//! `cargo run --release --manifest-path fuzz/Cargo.toml --example seeds`.

mod spa;

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use aldaba_config::{Bundle, Disk, Kind, Options};
use aldaba_fuzz::SEEDS;
use aldaba_gate::knock::{Outcome, Protocol};
use aldaba_gate::spa::{KnockId, Malformed, Refusal};
use aldaba_gate::{DoorId, KnockAction};
use aldabad::control::About;
use aldabad::counts::PAGE;
use aldabad::ipc::{CaptureOn, FromWorker, Place, Seen, ToWorker};

fn main() -> io::Result<()> {
    for (kind, folder) in [(Kind::Knockd, "knockd_conf"), (Kind::Toml, "aldaba_toml")] {
        // From within: a bundle names its file, and where this runs is nobody's business.
        env::set_current_dir(Path::new(SEEDS).join(folder))?;
        let mut names = fs::read_dir(".")?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names.iter().take(8) {
            let (bundle, _) = Bundle::record(kind, Path::new(name), &mut Disk, &Options::default());
            write("bundle", &format!("{folder}-{}", name.to_string_lossy()), &bundle.encode())?;
        }
    }
    for (number, bytes) in messages().iter().enumerate() {
        // As short as they can be: the target fills them up with zeros.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        write("request", &format!("{number:02}"), &bytes[..end])?;
    }
    spa::write_all()
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::write(Path::new(SEEDS).join(target).join(name), bytes)
}

fn messages() -> Vec<Vec<u8>> {
    let place = Place { generation: 3, door: DoorId(2), knock: 1 };
    let four = "192.0.2.7".parse().expect("an address");
    let six = "2001:db8::7".parse().expect("an address");
    let id = KnockId([1, 2, 3, 4, 5, 6, 7, 8]);
    let from = [
        FromWorker::Ready(aldabad::worker::Confined { kept_uid: true, landlock: 7 }),
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
        FromWorker::Admitted {
            place: Place { knock: 0, ..place },
            action: KnockAction::Open,
            source: four,
            from: six,
            device: [7; 32],
            id,
            seconds: 300,
            offset: -20_000,
        },
        FromWorker::Hello { from: six, device: [7; 32], id, offset: 2_500_000 },
        FromWorker::Rejected {
            from: four,
            refusal: Refusal::Clock { offset: -14_400_000_000, used: true },
            id,
            device: Some([7; 32]),
        },
        FromWorker::Rejected { from: six, refusal: Refusal::Malformed(Malformed::Padding), id, device: None },
        FromWorker::StoreFailed,
        FromWorker::Recalled {
            query: 1,
            age: 3_200_000,
            from: four,
            refusal: Refusal::Door,
            id,
            device: Some([7; 32]),
            again: 2,
        },
        FromWorker::Counted { query: 1, page: 3, values: [7; PAGE] },
        FromWorker::RecallEnd {
            query: 1,
            seen: Seen { datagrams: 9, foreign: 2, foreign_age: Some(1_000_000), guard_left: 0 },
        },
    ];
    let to = [
        ToWorker::Prepare { generation: 1, keep_attempts: true, stages: false, hits: true, ipv4_only: true },
        ToWorker::Commit { generation: 1 },
        ToWorker::Interface { index: 2, loopback: true, name: "eth0".into() },
        ToWorker::Address { index: 2, address: six },
        ToWorker::InterfaceReady { index: 2 },
        ToWorker::InterfaceGone { index: 7 },
        ToWorker::Capture { capture: 1, on: CaptureOn::Interface(2), ring: 1 << 22, slot: 512 },
        ToWorker::Recall { query: 1, about: About::Id(id) },
        ToWorker::Recall { query: 2, about: About::Address(six) },
        ToWorker::CaptureGone { capture: 1 },
        ToWorker::NextSequence { place, sequence: "7000,8000:udp".parse().ok() },
        ToWorker::NextSequence { place, sequence: None },
        ToWorker::Count { query: 1 },
        ToWorker::Store,
        ToWorker::Listen { stand_in: None },
        ToWorker::Listen { stand_in: std::num::NonZeroU16::new(u16::MAX) },
    ];
    let from = from.iter().map(|message| message.encode().to_vec());
    from.chain(to.iter().map(|message| message.encode().to_vec())).collect()
}
