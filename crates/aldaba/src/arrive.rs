//! Knocks until a TCP port answers: a new knock from time to time, and connection attempts behind each.
//!
//! A firewall that is closed says nothing, and the kernel repeats an attempt that was swallowed only after a second. So
//! each knock is followed by several attempts, and the first that is answered counts. The others are given up before they
//! are connections: a service sees one.
//!
//! Nothing here blocks and nothing waits in the kernel: a look every few milliseconds, which every system can do.

mod schedule;

use std::io;
use std::iter::Peekable;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;
use crate::hit::is_in_progress;
use crate::knocker::{Ask, Knock, KnockError, Knocker};
use crate::paths::Path;
use schedule::{Event, events};

/// How often is looked.
const TICK: Duration = Duration::from_millis(4);
/// The attempts that are waited for at a time on one path; the oldest goes first.
const PENDING: usize = 8;

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) ask: Ask,
    /// The port that is to answer.
    pub(crate) port: u16,
    /// How long, all in all.
    pub(crate) limit: Duration,
    /// How much later than the first path the second one begins.
    pub(crate) stagger: Duration,
}

/// What happened on the way.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// What was sent, in its order.
    pub(crate) knocks: Vec<Knock>,
    /// What was not.
    pub(crate) unsent: Vec<(SocketAddr, KnockError)>,
    /// The last that became of an attempt at each address; nothing at all is `None`.
    pub(crate) attempts: Vec<(SocketAddr, Option<io::Error>)>,
}

/// A connection to the port.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) stream: TcpStream,
    pub(crate) at: SocketAddr,
}

/// Knocks and waits; `None` when the time is over, or nothing can be sent on any path.
pub(crate) fn arrive(knocker: &Knocker, paths: &[Path], goal: Goal, story: &mut Story) -> Option<Arrived> {
    let start = clock::steady();
    let mut tracks: Vec<Track> = paths.iter().map(Track::new).collect();
    loop {
        let elapsed = start.elapsed();
        let mut offset = Duration::ZERO;
        for track in tracks.iter_mut().filter(|track| !track.dead) {
            track.take_steps(elapsed.checked_sub(offset), knocker, goal, story);
            if let Some(arrived) = track.look(story) {
                return Some(arrived);
            }
            // Behind a path that leads nowhere nobody waits.
            if !track.dead {
                offset += goal.stagger;
            }
        }
        if elapsed >= goal.limit || tracks.iter().all(|track| track.dead) {
            return None;
        }
        clock::pause(TICK);
    }
}

/// One path, and what is under way on it.
struct Track<'a> {
    path: &'a Path,
    events: Peekable<Box<dyn Iterator<Item = (Duration, Event)>>>,
    knocks: usize,
    /// Both ends of the last knock: the door opens for its own address.
    knocked: Option<(SocketAddr, SocketAddr)>,
    pending: Vec<(SocketAddr, Socket)>,
    dead: bool,
}

impl<'a> Track<'a> {
    fn new(path: &'a Path) -> Self {
        let events: Box<dyn Iterator<Item = _>> = Box::new(events());
        Self { path, events: events.peekable(), knocks: 0, knocked: None, pending: Vec::new(), dead: false }
    }

    /// Does all that is due by now.
    fn take_steps(&mut self, now: Option<Duration>, knocker: &Knocker, goal: Goal, story: &mut Story) {
        let Some(now) = now else { return };
        while !self.dead
            && let Some((_, event)) = self.events.next_if(|(at, _)| *at <= now)
        {
            match event {
                Event::Knock => self.knock(knocker, goal.ask, story),
                Event::Attempt => self.attempt(goal.port, story),
            }
        }
    }

    fn knock(&mut self, knocker: &Knocker, ask: Ask, story: &mut Story) {
        let Some(address) = self.path.address(self.knocks) else { return };
        self.knocks += 1;
        match knocker.knock(ask, address) {
            Ok(knock) => {
                self.knocked = Some((knock.from, address.socket));
                story.knocks.push(knock);
            }
            Err(error) => {
                story.unsent.push((address.socket, error));
                // All addresses of a family have the same way out; one that has none now may have one soon, and then the
                // user asks again.
                self.dead = self.knocked.is_none() && self.knocks >= self.path.addresses.len();
                if !self.dead && self.knocked.is_none() {
                    self.knock(knocker, ask, story);
                }
            }
        }
    }

    fn attempt(&mut self, port: u16, story: &mut Story) {
        let Some((from, mut to)) = self.knocked else { return };
        to.set_port(port);
        match begin(from, to) {
            Ok(socket) => {
                if self.pending.len() == PENDING {
                    self.pending.remove(0);
                }
                story.note(to, None);
                self.pending.push((to, socket));
            }
            Err(error) => story.note(to, Some(error)),
        }
    }

    /// The first attempt that was answered.
    fn look(&mut self, story: &mut Story) -> Option<Arrived> {
        let mut at = 0;
        while let Some((to, socket)) = self.pending.get(at) {
            match outcome(socket) {
                None => at += 1,
                Some(result) => {
                    let (to, socket) = (*to, self.pending.remove(at).1);
                    match result.and_then(|()| socket.set_nonblocking(false)) {
                        Ok(()) => return Some(Arrived { stream: socket.into(), at: to }),
                        Err(error) => story.note(to, Some(error)),
                    }
                }
            }
        }
        None
    }
}

impl Story {
    fn note(&mut self, to: SocketAddr, error: Option<io::Error>) {
        match self.attempts.iter_mut().find(|(known, _)| *known == to) {
            Some((_, last)) => {
                // A refusal says more than the silence of the next attempt.
                if error.is_some() {
                    *last = error;
                }
            }
            None => self.attempts.push((to, error)),
        }
    }
}

/// Begins to connect, from the address that was knocked from.
fn begin(mut from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
    from.set_port(0);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(socket),
    }
}

/// What became of an attempt; `None`: nothing yet.
fn outcome(socket: &Socket) -> Option<io::Result<()>> {
    match socket.take_error() {
        Ok(Some(error)) | Err(error) => return Some(Err(error)),
        Ok(None) => {}
    }
    let peer = socket.peer_addr().ok()?;
    // On one host a port that nobody listens at can be met by an attempt's own.
    let is_itself = socket.local_addr().is_ok_and(|local| local == peer);
    Some(if is_itself { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn attempts_end_as_the_other_side_has_it() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(here).unwrap();
        let to = listener.local_addr().unwrap();
        let wait = |socket: &Socket| loop {
            match outcome(socket) {
                None => clock::pause(TICK),
                Some(outcome) => break outcome,
            }
        };
        assert!(wait(&begin(here, to).unwrap()).is_ok());
        drop(listener);
        let refused = begin(here, to).and_then(|socket| wait(&socket)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
