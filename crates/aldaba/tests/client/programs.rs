//! The programs under test, and the one they are compared with.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

pub(crate) const ALDABA: &str = env!("CARGO_BIN_EXE_aldaba");
pub(crate) const KNOCK: &str = env!("CARGO_BIN_EXE_knock");
/// Debian's.
pub(crate) const ORIGINAL: &str = "/usr/bin/knock";

/// What a program said and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[expect(clippy::disallowed_methods, reason = "starts the program under test")]
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("POSIXLY_CORRECT");
    command
}

pub(crate) fn run(program: &str, words: &[&str]) -> Said {
    command(program).args(words).output().expect("it starts").into()
}

/// Whether a test that needs something can go on; where everything must run it fails instead.
pub(crate) fn needs(there: bool, what: &str) -> bool {
    if !there {
        assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "needs {what} (tests/run)");
        println!("SKIPPED: needs {what}");
    }
    there
}

/// Whether the program to compare with is here.
pub(crate) fn original_is_here() -> bool {
    needs(Path::new(ORIGINAL).exists(), "Debian's knock")
}

#[expect(clippy::disallowed_methods, reason = "measures pauses")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
