//! The table that is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::callgrind::Counts;

/// How much a count may differ, in percent: a compiler's mood, not a new loop.
const TOLERANCE: u64 = 5;
/// The same with another compiler than the table's: what is beyond that is a loop of ours, or an inner one that was lost.
const TOLERANCE_OF_ANOTHER: u64 = 100;
/// So many more are allowed in any case: of few instructions one more is much.
const SLACK: u64 = 10;

/// `benches/instructions.toml`.
#[derive(Debug, Deserialize)]
pub(crate) struct Table {
    /// In percent.
    pub(crate) tolerance: u64,
    /// Which compiler made what was counted.
    pub(crate) compiler: String,
    /// Instructions for each call of a stage.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Table {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(path()).expect("the table");
        toml::from_str(&text).expect("a table of counts")
    }

    pub(crate) fn of(counts: &Counts) -> Self {
        Self { tolerance: TOLERANCE, compiler: compiler(), counts: counts.clone() }
    }

    /// The same as it is to be judged of what this compiler makes: by another one's numbers only roughly.
    pub(crate) fn judged_with(self, compiler: &str) -> Self {
        if self.compiler == compiler { self } else { Self { tolerance: TOLERANCE_OF_ANOTHER, ..self } }
    }

    /// The most a stage may execute, and below what it is worth writing down.
    pub(crate) const fn bounds(&self, written: u64) -> (u64, u64) {
        let part = written * self.tolerance / 100 + SLACK;
        (written + part, written.saturating_sub(part))
    }

    pub(crate) fn write(&self) {
        let Self { tolerance, compiler, counts } = self;
        let mut text = format!(
            "# Instructions for each call of a stage, as callgrind counts them (benches/instructions). Written by\n\
             # cargo test --profile tests -p aldaba-bench -- --write\n\
             tolerance = {tolerance}\ncompiler = \"{compiler}\"\n\n[counts]\n"
        );
        for (stage, count) in counts {
            writeln!(text, "{stage} = {count}").expect("text takes text");
        }
        std::fs::write(path(), text).expect("written");
        println!("written: {}", path().display());
    }
}

/// What the compiler says it is, and what it and the libraries choose their instructions by.
pub(crate) fn compiler() -> String {
    let said =
        Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let wide = if has_avx2() { "AVX2" } else { "no AVX2" };
    format!("{}, {}, {wide}", String::from_utf8_lossy(&said).trim(), std::env::consts::ARCH)
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
const fn has_avx2() -> bool {
    false
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.toml")
}
