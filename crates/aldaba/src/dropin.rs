//! `knock`: knockd's client, with its command line, its words and its exit codes (spec/knock.md, "The client").
//!
//! Where it does otherwise (spec/knock.md, "What is kept of knockd 0.8, and what is not"): `:UDP` is UDP; a number that
//! is no port, or no pause, is refused before anything is sent; a protocol that does not exist is TCP, with a warning;
//! the hits go to one address as long as the host has it; `-v` also says, on standard error, what could not be sent.

mod getopt;
mod options;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Write as _, stderr, stdout};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use crate::resolve::{addresses, written};
use crate::{clock, hit};
use options::{Asked, Options, Target, USAGE};

/// Runs `knock` with its arguments, its own name first.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>, posixly_correct: bool) -> ExitCode {
    match options::parse(arguments, posixly_correct) {
        Asked::Version => {
            // What scripts compare stands on standard output.
            say("knock 0.8\nCopyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>\n");
            complain(format_args!(
                "(this is aldaba {}, which does what that version does)",
                env!("CARGO_PKG_VERSION")
            ));
            ExitCode::SUCCESS
        }
        Asked::Usage(wrong) => {
            if let Some(wrong) = wrong {
                complain(wrong);
            }
            say(USAGE);
            ExitCode::FAILURE
        }
        Asked::Refused(error) => {
            complain(error);
            ExitCode::FAILURE
        }
        Asked::Knock(options) => match knock(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(error);
                ExitCode::FAILURE
            }
        },
    }
}

/// One hit after the other, with a pause after each. What becomes of a hit does not decide the exit code: scripts rely
/// on success all the same.
fn knock(options: &Options) -> Result<(), String> {
    warn(&options.targets);
    let mut first = None;
    for target in &options.targets {
        let address = resolve(options, target, first)?;
        first.get_or_insert(address.ip());
        if options.verbose {
            say(&format!("hitting {} {}:{}\n", target.protocol, written(&address), target.port));
        }
        if let Err(error) = hit::send(address, target.protocol)
            && options.verbose
        {
            complain(format_args!("knock: cannot send to {address}: {error}"));
        }
        clock::pause(options.delay);
    }
    Ok(())
}

fn warn(targets: &[Target]) {
    for Target { port, unknown, .. } in targets {
        if let Some(unknown) = unknown {
            complain(format_args!(
                "knock: warning: '{unknown}' in '{port}:{unknown}' is neither tcp nor udp: TCP is used"
            ));
        }
    }
}

/// Each port is looked up by itself: a service name is as good as a number.
fn resolve(options: &Options, target: &Target, first: Option<IpAddr>) -> Result<SocketAddr, String> {
    let Options { host, family, .. } = options;
    let failed = |reason: String| {
        format!("Failed to resolve hostname '{host}' on port {}\ngetaddrinfo: {reason}", target.port)
    };
    let found = addresses(host, Some(&target.port), *family).map_err(failed)?;
    chosen(&found, first).ok_or_else(|| failed("no address".to_owned()))
}

/// The address of the first hit while the host has it: a name that is answered in turns would spread the sequence over
/// several hosts, and open none.
fn chosen(found: &[SocketAddr], first: Option<IpAddr>) -> Option<SocketAddr> {
    found.iter().find(|address| Some(address.ip()) == first).or_else(|| found.first()).copied()
}

/// Nobody may read any more: no reason to stop knocking.
fn say(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_stays_with_one_address() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = [at("192.0.2.1:7"), at("192.0.2.2:7")];
        assert_eq!(chosen(&found, None), Some(found[0]));
        assert_eq!(chosen(&found, Some(found[1].ip())), Some(found[1]));
        assert_eq!(chosen(&found, Some(at("192.0.2.3:7").ip())), Some(found[0]));
        assert_eq!(chosen(&[], None), None);
    }
}
