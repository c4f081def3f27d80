//! `aldabad demo`: two hosts on this machine, a closed port, a knock, an open port, and a closed one again; once with a
//! key and once with a sequence of ports. Everything is real: the kernel's firewall, the packets, the daemon. Nothing
//! outside the two hosts is touched.

mod device;
mod hosts;
mod key;
mod scene;
mod sequence;
mod story;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use aldaba_sys::namespace::NamespaceError;
use aldaba_sys::reexec::Program;

use crate::cli::DemoArgs;
use crate::log::aside;
use hosts::{Client, lay_cable};
use scene::Scene;
use story::Story;

/// Why the demonstration ended early.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{0}")]
    Namespace(#[from] NamespaceError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    NotAsTold(String),
}

/// Runs the demonstration.
#[must_use]
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    match tell(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            aside(&format!("aldabad demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &DemoArgs) -> Result<(), DemoError> {
    let story = Story::new(args.fast);
    // Opened before the namespaces change what this process may see.
    let program = Program::open()?;
    let root = aldaba_sys::process::effective_uid() == 0;
    aldaba_sys::namespace::enter()?;
    story.say("This machine now has two more hosts, each with a network of its own (network namespaces),");
    story.say("joined by a cable. Nothing outside them is touched, and they vanish when this ends.");
    story.picture();
    let client = Client::start()?;
    lay_cable(&client)?;
    let _service = hosts::Service::start()?;
    let folder = folder()?;
    let scene = Scene { story, client, program: &program, folder: &folder };
    let told = key::tell(&scene).and_then(|()| sequence::tell(&scene));
    // The folder holds keys and journals of this demonstration only.
    std::fs::remove_dir_all(&folder).ok();
    told?;
    scene.story.ending(root);
    Ok(())
}

/// A folder for the daemon of the demonstration, for this user alone.
fn folder() -> io::Result<PathBuf> {
    let random: [u8; 8] = aldaba_sys::random::bytes()?;
    let path = std::env::temp_dir().join(format!("aldaba-demo-{:016x}", u64::from_ne_bytes(random)));
    aldaba_sys::files::private_dir(&path)?;
    Ok(path)
}
