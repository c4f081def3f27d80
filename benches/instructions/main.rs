//! The hot stages execute no more instructions than `benches/instructions.toml` says, within its tolerance.
//!
//! This program is two: the test, and what the test runs under valgrind's callgrind, which counts. A machine that is busy or
//! slow counts the same. The profile is that of the tests: optimised, with checks of arithmetic. What moves the counts besides our
//! own code is the compiler, which the table names (with another one only what doubles fails), and the kind of processor: callgrind
//! shows programs no SHA extensions and no AVX-512, so SHA-256 runs in software here, and AVX2 only where the machine has it. After a
//! change that is meant to cost: `cargo test --profile tests -p aldaba-bench -- --write`.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "runs valgrind on itself")]

mod callgrind;
mod counted;
mod table;

use std::path::Path;
use std::process::{Command, ExitCode};

use callgrind::Counts;
use table::Table;

const TEST: &str = "hot_stages_execute_no_more_instructions_than_written";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let wanted = words.iter().filter(|word| !word.starts_with('-')).all(|word| TEST.contains(word.as_str()));
    if has(callgrind::COUNT) {
        counted::all();
    } else if has("--list") {
        println!("{TEST}: test");
    } else if has("--write") {
        Table::of(&count()).write();
    } else if wanted && cannot_run().is_none() {
        let worse = judge(&count(), &Table::read().judged_with(&table::compiler()));
        let passed = u8::from(worse == 0);
        println!("test {TEST} ... {}", if worse == 0 { "ok" } else { "FAILED" });
        println!("test result: {passed} passed; {} failed", 1 - passed);
        return if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    ExitCode::SUCCESS
}

/// Why there is nothing to count here.
fn cannot_run() -> Option<&'static str> {
    let reason = if !is_of_the_profile() {
        "instructions are counted of what cargo test --profile tests builds"
    } else if !Path::new("/usr/bin/valgrind").exists() {
        "needs valgrind (tests/run installs it)"
    } else {
        return None;
    };
    println!("SKIPPED: {reason}");
    let must = std::env::var_os("ALDABA_TESTS_MUST_RUN").is_some();
    assert!(!must, "this test must run: {reason}");
    Some(reason)
}

/// Whether this program was built as the table's counts were: it lies in the profile's folder.
fn is_of_the_profile() -> bool {
    let program = std::env::current_exe().expect("this program");
    program.ancestors().nth(2).is_some_and(|folder| folder.ends_with("tests"))
}

/// Runs this program under callgrind.
fn count() -> Counts {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("counts");
    let program = std::env::current_exe().expect("this program");
    let valgrind = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg(callgrind::COUNT)
        .output()
        .expect("valgrind runs");
    assert!(valgrind.status.success(), "{}", String::from_utf8_lossy(&valgrind.stderr));
    let counts = callgrind::read(&std::fs::read_to_string(&out).expect("counts"));
    assert_eq!(
        counts.keys().map(String::as_str).collect::<Vec<_>>(),
        counted::names(),
        "every stage was counted"
    );
    counts
}

/// Says what differs; how many stages are worse than they may be.
fn judge(counts: &Counts, table: &Table) -> usize {
    let (mut worse, this) = (0, table::compiler());
    if table.compiler != this {
        println!(
            "note: benches/instructions.toml was written with {}, and this is {this}: a stage fails at {} % more only",
            table.compiler, table.tolerance
        );
    }
    for (stage, count) in counts {
        let Some(written) = table.counts.get(stage) else {
            println!("{stage}: {count} instructions, and benches/instructions.toml does not know it");
            worse += 1;
            continue;
        };
        let (most, least) = table.bounds(*written);
        if *count > most {
            println!(
                "{stage}: {count} instructions, at most {most} are allowed ({written} and {} %)",
                table.tolerance
            );
            worse += 1;
        } else if *count < least {
            println!("{stage}: {count} instructions in place of {written}: better; write it down");
        }
    }
    for (name, of_more, most) in counted::FLAT {
        let (few, many) = (counts[name], counts[of_more]);
        if many * 100 > few * most {
            println!("{of_more}: {many} instructions, at most {most} % of the {few} of {name} are allowed");
            worse += 1;
        }
    }
    if worse > 0 {
        println!("help: `-- --write` writes the table anew; written with {}, this is {this}", table.compiler);
    }
    worse
}
