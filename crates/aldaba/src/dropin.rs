//! `knock`: knockd's client, with its command line, its words and its exit codes (spec/knock.md, "The client").

mod options;

use std::ffi::OsString;
use std::io::{Write as _, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use aldaba_knock::Protocol;

use crate::hit;
use crate::resolve::addresses;
use options::{Asked, Options, Target, USAGE};

/// Runs `knock` with the words after its name.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match options::parse(words) {
        Asked::Version => {
            // What scripts compare stands on standard output.
            println!("knock 0.8\nCopyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>");
            eprintln!("(this is aldaba {}, which does what that version does)", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Asked::Usage(wrong) => {
            if let Some(wrong) = wrong {
                eprintln!("knock: {wrong}");
            }
            print!("{USAGE}");
            ExitCode::FAILURE
        }
        Asked::Refused(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Asked::Knock(options) => match knock(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// One hit after the other, with a pause after each. What goes wrong on the way is not known here: scripts rely on
/// success all the same.
fn knock(options: &Options) -> Result<(), String> {
    for target in &options.targets {
        let address = resolve(options, target)?;
        if options.verbose {
            say(address, target);
        }
        hit::send(address, target.protocol).ok();
        hit::pause(options.delay);
    }
    Ok(())
}

/// Each port is looked up by itself: a service name is as good as a number.
fn resolve(options: &Options, target: &Target) -> Result<SocketAddr, String> {
    let Options { host, family, .. } = options;
    let failed = |reason: String| {
        format!("Failed to resolve hostname '{host}' on port {}\ngetaddrinfo: {reason}", target.port)
    };
    let found = addresses(host, &target.port, target.protocol, *family).map_err(failed)?;
    found.first().copied().ok_or_else(|| failed("no address".to_owned()))
}

fn say(address: SocketAddr, target: &Target) {
    let protocol = match target.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    // Nobody reads any more: no reason to stop knocking.
    let _ = writeln!(stdout(), "hitting {protocol} {}:{}", address.ip(), target.port);
}
