//! `aldabad demo`: two hosts on this machine, a closed port, a knock, an open port, and a closed one again. Everything is
//! real: the kernel's firewall, the packets, the daemon. Nothing outside the two hosts is touched.

mod hosts;
mod story;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_sys::namespace::NamespaceError;
use aldaba_sys::reexec::Program;

use crate::cli::DemoArgs;
use hosts::{Client, DEMO_PORT, SERVER, Server, lay_cable};
use story::Story;

/// The demonstration's own configuration, shown as it is used.
const CONFIG: &str = "\
interfaces = [\"srv0\"]

[[door]]
name = \"ssh\"
sequence = \"7391,2804,8816\"
ports = [\"2222/tcp\"]
lease = \"3s\"
";
/// The ports of that sequence.
const SEQUENCE: [u16; 3] = [7391, 2804, 8816];
/// How long the open door is waited for, and how long its end.
const PATIENCE: Duration = Duration::from_secs(8);

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
            eprintln!("aldabad demo: {error}");
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
    let folder = folder()?;
    let told = with_server(&story, &client, &program, &folder);
    // The folder holds a configuration and an empty journal; nothing is lost with it.
    std::fs::remove_dir_all(&folder).ok();
    told?;
    story.ending(root);
    Ok(())
}

fn with_server(story: &Story, client: &Client, program: &Program, folder: &Path) -> Result<(), DemoError> {
    let _service = hosts::Service::start()?;
    story.chapter("1. Without a firewall, everybody reaches the service on port 2222");
    expect(story, client, true)?;
    story.chapter("2. aldabad guards the port");
    story.say("This is its whole configuration:");
    story.file(CONFIG);
    let mut server = Server::start(program, folder, CONFIG)?;
    server.wait_for("started ", PATIENCE)?;
    story.server_says(&server.news());
    story.say("It has made a table of its own in the kernel's firewall, with default drop for port 2222.");
    expect(story, client, false)?;
    story.chapter("3. A stranger scans: every port from 2800 to 9000, one after the other");
    client.knock(&(2800..9000).collect::<Vec<u16>>());
    client.pause(Duration::from_millis(200));
    story.server_says(&server.news());
    story.say("All three ports of the sequence were among them; but they must come in their order, and any other port");
    story.say("in between cancels the attempt.");
    expect(story, client, false)?;
    story.chapter("4. The client knocks: a connection attempt to 7391, to 2804, to 8816");
    story.say(
        "(Anybody could: `aldaba knock SERVER 7391 2804 8816`. All three ports are closed and stay silent.)",
    );
    client.knock(&SEQUENCE);
    server.wait_for("opened door=ssh", PATIENCE)?;
    story.server_says(&server.news());
    expect(story, client, true)?;
    story.chapter("5. Three seconds later the kernel closes the door by itself");
    story.say("The opening is an element with a timeout in a set of the firewall. Were aldabad killed now,");
    story.say("the door would close all the same.");
    let started = aldaba_sys::clock::boottime();
    while client.reaches(DEMO_PORT) {
        if aldaba_sys::clock::boottime().saturating_sub(started) > PATIENCE {
            return Err(DemoError::NotAsTold("the door did not close".to_owned()));
        }
        client.pause(Duration::from_millis(50));
    }
    client.pause(Duration::from_millis(100));
    story.server_says(&server.news());
    expect(story, client, false)
}

/// Tries the port from the client, tells what came of it, and fails if that is not what the story says.
fn expect(story: &Story, client: &Client, open: bool) -> Result<(), DemoError> {
    let mut reached = client.reaches(DEMO_PORT);
    // A cable that was just laid takes a moment to carry the first packet.
    for _ in 0..5 {
        reached = reached || (open && client.reaches(DEMO_PORT));
    }
    story.attempt(reached);
    if reached == open {
        return Ok(());
    }
    let (is, should) = if open { ("closed", "open") } else { ("open", "closed") };
    Err(DemoError::NotAsTold(format!("port {DEMO_PORT} of {SERVER} is {is} and should be {should}")))
}

/// A folder for the daemon of the demonstration, for this user alone.
fn folder() -> io::Result<PathBuf> {
    let random: [u8; 8] = aldaba_sys::random::bytes()?;
    let path = std::env::temp_dir().join(format!("aldaba-demo-{:016x}", u64::from_ne_bytes(random)));
    aldaba_sys::files::private_dir(&path)?;
    Ok(path)
}
