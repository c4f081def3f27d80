//! Runs every target on mutated seeds for some seconds each; `fuzz/smoke` calls it.
//!
//! No coverage guides it: it is the check that can run everywhere, on a stable toolchain, in seconds. The order of
//! inputs depends on nothing but the seed number, so that a failure can be repeated.
#![forbid(unsafe_code)]

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aldaba_fuzz::{SEEDS, TARGETS, Target};
use fastrand::Rng;

/// Longer inputs are cut: short ones run faster and say more.
const LONGEST: usize = 4096;
/// How long each target runs unless the command line says.
const DEFAULT: Duration = Duration::from_secs(3);
/// Where a failing input is put.
const CRASHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crashes");

/// A word on the command line means nothing here: not the same as a target that fails.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        None => smoke(DEFAULT, &[]),
        Some((first, rest)) => match (first.parse().map(Duration::try_from_secs_f64), rest) {
            (Ok(Ok(time)), targets) => smoke(time, targets),
            (Err(_), [file]) => replay(first, file),
            _ => usage(&format!("{first:?} is no number of seconds")),
        },
    }
}

fn usage(what: &str) -> ExitCode {
    let known = TARGETS.map(|(name, _)| name).join(", ");
    eprintln!("{what}\nusage: fuzz/smoke [SECONDS [TARGET...]], or fuzz/smoke TARGET FILE; targets: {known}");
    ExitCode::from(USAGE)
}

fn find(name: &str) -> Option<(&'static str, Target)> {
    TARGETS.into_iter().find(|(known, _)| *known == name)
}

/// `smoke TARGET FILE`: one input.
fn replay(name: &str, file: &str) -> ExitCode {
    let Some((_, target)) = find(name) else { return usage(&format!("no target {name:?}")) };
    match fs::read(file) {
        Ok(bytes) => target(&bytes),
        Err(error) => return usage(&format!("{file}: {error}")),
    }
    println!("{name} holds for {file}");
    ExitCode::SUCCESS
}

/// `smoke [SECONDS [TARGET...]]`.
fn smoke(time: Duration, words: &[String]) -> ExitCode {
    if let Some(unknown) = words.iter().find(|word| find(word).is_none()) {
        return usage(&format!("no target {unknown:?}"));
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let mut failed = false;
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| wanted(name)) {
        match run(name, target, time) {
            Ok(inputs) => println!("{name}: {inputs} inputs"),
            Err(input) => {
                failed = true;
                report(name, &input);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(name: &str, input: &[u8]) {
    let mut hasher = DefaultHasher::new();
    hasher.write(input);
    let path = format!("{CRASHES}/{name}-{:016x}", hasher.finish());
    let kept = fs::create_dir_all(CRASHES).and_then(|()| fs::write(&path, input));
    match kept {
        Ok(()) => println!("{name}: FAILED; repeat with: fuzz/smoke {name} {path}"),
        Err(error) => println!("{name}: FAILED, and {path} cannot be written: {error}"),
    }
}

/// How many inputs held, or the one that did not.
#[expect(clippy::disallowed_methods, reason = "measures how long it may go on")]
fn run(name: &str, target: Target, time: Duration) -> Result<u64, Vec<u8>> {
    let seeds = seeds(name);
    let mut random = Rng::with_seed(0x616c_6461_6261);
    let start = Instant::now();
    let mut inputs = 0;
    for seed in &seeds {
        hold(target, seed)?;
    }
    while start.elapsed() < time {
        for _ in 0..64 {
            hold(target, &mutated(&seeds, &mut random))?;
            inputs += 1;
        }
    }
    Ok(inputs)
}

fn hold(target: Target, input: &[u8]) -> Result<(), Vec<u8>> {
    catch_unwind(AssertUnwindSafe(|| target(input))).map_err(|_| input.to_vec())
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = fs::read_dir(format!("{SEEDS}/{name}")).expect("a folder of seeds");
    let mut paths: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// A seed with some changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let pick = |random: &mut Rng| seeds[random.usize(..seeds.len())].clone();
    let mut bytes = pick(random);
    for _ in 0..random.usize(1..=6) {
        if bytes.is_empty() {
            bytes.push(random.u8(..));
        }
        let at = random.usize(..bytes.len());
        match random.u8(..9) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap_or(&0),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, random.u8(..)),
            5 => drop(bytes.remove(at)),
            6 => {
                // A part again, or of another seed.
                let other = if random.bool() { bytes.clone() } else { pick(random) };
                let from = random.usize(..=other.len());
                let to = random.usize(from..=other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            7 => {
                let word = random.choice(WORDS).copied().unwrap_or_default();
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {
                let end = random.usize(at..=bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Words that mean something to one of the readers.
const WORDS: &[&[u8]] = &[
    b"[",
    b"]",
    b"=",
    b"\n",
    b",",
    b":udp",
    b":tcp",
    b"#",
    b" ",
    b"\r\n",
    b"65535",
    b"65536",
    b"0",
    b"-1",
    b"sequence = 7000,8000\n",
    b"[[door]]\n",
    b"[options]\n",
    b"tcpflags = syn,!ack\n",
    b"%IP%",
    b"{ip}",
    b"\"",
    b"'",
    b"\\",
    b"cmd_timeout = 5\n",
    b"stop_command = x\n",
    b"lease = \"5s\"\n",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x81\0\0\x01",
    b"\x88\xa8\0\x01",
    b"\x86\xdd",
    b"ports = [\"22/tcp\"]\n",
    b"aldaba1",
    b"aldaba-secret-1",
    b"doors=\"ssh\"",
    b"from=192.0.2.0/24,",
    b"expires=2027-01-01",
    b"max-lease=1h",
    b"bind,",
];
