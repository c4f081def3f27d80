//! What both stories stand on: the two hosts, and what must be true of the port after each step.

use std::path::Path;
use std::time::Duration;

use aldaba_sys::clock;
use aldaba_sys::reexec::Program;

use super::DemoError;
use super::hosts::{Client, DEMO_PORT, SERVER, Server};
use super::story::Story;

/// How long the open door is waited for, and how long its end.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// The hosts, the program that is started on one of them, and who tells of it.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) story: Story,
    pub(super) client: Client,
    pub(super) program: &'a Program,
    /// For this user alone; each story takes a folder of its own in it.
    pub(super) folder: &'a Path,
}

impl Scene<'_> {
    /// Shows a configuration and starts the daemon with it.
    pub(super) fn serve(&self, folder: &Path, config: &str) -> Result<Server, DemoError> {
        self.story.file(config);
        let mut server = Server::start(self.program, folder, config)?;
        server.wait_for("started ", PATIENCE)?;
        self.story.server_says(&server.news());
        Ok(server)
    }

    /// Waits for a line of the daemon, and shows all it has said.
    pub(super) fn hear(&self, server: &mut Server, line: &str) -> Result<(), DemoError> {
        server.wait_for(line, PATIENCE)?;
        self.story.server_says(&server.news());
        Ok(())
    }

    /// Tries the port from the client, tells what came of it, and fails if that is not what the story says.
    pub(super) fn expect(&self, open: bool) -> Result<(), DemoError> {
        let mut reached = self.client.reaches(DEMO_PORT);
        // A cable that was just laid takes a moment to carry the first packet.
        for _ in 0..5 {
            reached = reached || (open && self.client.reaches(DEMO_PORT));
        }
        self.story.attempt(reached);
        if reached == open {
            return Ok(());
        }
        let (is, should) = if open { ("closed", "open") } else { ("open", "closed") };
        Err(DemoError::NotAsTold(format!("port {DEMO_PORT} of {SERVER} is {is} and should be {should}")))
    }

    /// Waits for the end of the lease.
    pub(super) fn expect_its_end(&self, server: &mut Server) -> Result<(), DemoError> {
        let started = clock::boottime();
        while self.client.reaches(DEMO_PORT) {
            if clock::boottime().saturating_sub(started) > PATIENCE {
                return Err(DemoError::NotAsTold("the door did not close".to_owned()));
            }
            self.client.pause(Duration::from_millis(50));
        }
        self.client.pause(Duration::from_millis(100));
        self.story.server_says(&server.news());
        self.expect(false)
    }
}
