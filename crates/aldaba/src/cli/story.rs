//! What was done, for whoever must find out why it did not help.

use std::fmt;
use std::io::{self, Write};

use crate::arrive::{Goal, Story};
use crate::clock;
use crate::knocker::{Knock, KnockError};
use crate::resolve::written;
use crate::servers::Server;

/// A knock in one line: its name, what it asks, where it went and where it came from.
pub(super) fn said(knock: &Knock, what: &str) -> String {
    let bound = if knock.bound { ", good from there only" } else { "" };
    format!(
        "knock {}: {what}, to {} UDP port {}, from {}{bound}",
        knock.id,
        written(&knock.to),
        knock.to.port(),
        written(&knock.from)
    )
}

/// Says each doubt about a knock's time once.
pub(super) fn told(story: &Story, err: &mut dyn Write) -> io::Result<()> {
    let doubts = story.knocks.iter().filter_map(|knock| knock.doubt.as_ref());
    doubts.take(1).try_for_each(|doubt| writeln!(err, "warning: {doubt}"))
}

/// A port that did not answer.
pub(super) struct NoAnswer<'a> {
    pub(super) server: &'a Server,
    pub(super) goal: Goal,
    pub(super) story: &'a Story,
}

impl NoAnswer<'_> {
    /// There is nothing to tell but why.
    pub(super) fn nothing_sent(server: &Server, story: &Story) -> String {
        let mut reasons: Vec<String> = Vec::new();
        for (to, error) in &story.unsent {
            let reason = match error {
                KnockError::Network(error) => format!("to {}: {error}", written(to)),
                other => other.to_string(),
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let has_no_lock = story.unsent.iter().any(|(_, error)| matches!(error, KnockError::NoLock { .. }));
        let help = if has_no_lock {
            "if the date is right, ask the administrator for a new bundle"
        } else {
            "is this host on a network that reaches the server?"
        };
        format!("nothing was sent to {}: {}\n  help: {help}", server.name, reasons.join("; "))
    }

    fn attempts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (to, error) in &self.story.attempts {
            let family = if to.is_ipv4() { "IPv4" } else { "IPv6" };
            let outcome = error.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string);
            write!(f, "\n  {} port {} ({family}): {outcome}", written(to), to.port())?;
        }
        for (to, error) in &self.story.unsent {
            write!(f, "\n  {}: not sent: {error}", written(to))?;
        }
        Ok(())
    }

    fn helps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let knocks = &self.story.knocks;
        if knocks.iter().any(|knock| knock.bound) {
            write!(
                f,
                "\n  help: these knocks are good from this host's own address only; where the network translates \
                 addresses they are refused: try --bind never"
            )?;
        }
        if let Some(knock) = knocks.iter().find(|knock| knock.is_refused()) {
            write!(
                f,
                "\n  help: {} says that nothing takes datagrams at UDP port {}, which aldabad never says: does it run?",
                written(&knock.to),
                knock.to.port()
            )?;
        }
        if let Some(knock) = knocks.first() {
            write!(f, "\n  help: on the server: aldabad why {}", knock.id)?;
        }
        let refused = |error: &Option<io::Error>| {
            error.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        if self.story.attempts.iter().any(|(_, error)| refused(error)) {
            write!(
                f,
                "\n  help: refused means that a host answered: is the service running, and at this port?"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for NoAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, goal, story } = self;
        write!(
            f,
            "port {} of {} did not answer within {} s; what was sent:",
            goal.port,
            server.name,
            goal.limit.as_secs()
        )?;
        for knock in &story.knocks {
            write!(f, "\n  {}, at {}", said(knock, "open"), clock::written(knock.time))?;
        }
        self.attempts(f)?;
        let ahead = server.bundle.future.as_secs();
        write!(
            f,
            "\n  this clock says {}; the server takes no knock that is more than {ahead} s ahead of its own, or too old",
            clock::written(clock::wall())
        )?;
        self.helps(f)
    }
}
