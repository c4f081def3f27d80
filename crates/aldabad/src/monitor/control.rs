//! The control socket: the administrator's commands ask, the monitor answers (spec/control.md). Nobody is waited for: few
//! clients at once, each with a deadline, and a pause when the kernel has no descriptor left.

mod client;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_sys::local::LocalListener;
use aldaba_sys::poll::Interest;
use aldaba_sys::process;

use super::Monitor;
use crate::control::{Answer, Request, TroubleKind};
use client::{Client, Progress};

/// Clients at once; more wait in the kernel.
const MOST_CLIENTS: u64 = 16;
/// Of the descriptors this process may have, every eighth may be a client's: doors need some too.
const SHARE: u64 = 8;
/// After the kernel refused a client nobody is accepted for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a socket that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// One who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientId(u64);

/// The socket and those who have connected.
#[derive(Debug)]
pub(super) struct Control {
    /// `None`: this daemon answers nobody.
    path: Option<PathBuf>,
    listener: Option<LocalListener>,
    clients: Vec<(ClientId, Client)>,
    last: u64,
    /// Nobody is accepted before.
    pause: Option<Duration>,
    /// When the socket is tried again.
    retry: Option<Duration>,
    own_uid: u32,
}

impl Control {
    /// Not listening yet.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            listener: None,
            clients: Vec::new(),
            last: 0,
            pause: None,
            retry: None,
            own_uid: process::effective_uid(),
        }
    }

    /// Listens, or says why not; then it is tried again in a while.
    fn open(&mut self, now: Duration) -> Result<(), String> {
        self.retry = None;
        let Some(path) = self.path.as_deref().filter(|_| self.listener.is_none()) else { return Ok(()) };
        match LocalListener::bind(path) {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => {
                let error = format!("{}: {error}", path.display());
                self.retry = Some(now.saturating_add(RETRY));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The listening socket, when somebody more may come.
    pub(super) fn listener(&self) -> Option<BorrowedFd<'_>> {
        let most = (process::descriptor_limit() / SHARE).clamp(1, MOST_CLIENTS);
        let room = u64::try_from(self.clients.len()).is_ok_and(|clients| clients < most);
        self.listener.as_ref().filter(|_| room && self.pause.is_none()).map(LocalListener::as_fd)
    }

    /// Those who are there, and what to wait for.
    pub(super) fn clients(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, Interest)> {
        self.clients.iter().map(|(id, client)| (*id, client.as_fd(), client.interest()))
    }

    /// Takes one who has connected.
    pub(super) fn accept(&mut self, now: Duration) {
        let accepted = self.listener.as_ref().map(LocalListener::accept);
        match accepted {
            Some(Ok(Some(peer))) => {
                self.last = self.last.wrapping_add(1);
                let may_ask = peer.uid == 0 || peer.uid == self.own_uid;
                let mut client = Client::new(now, peer.stream, peer.uid);
                if !may_ask {
                    let text = format!("user {} may not ask this daemon", peer.uid);
                    client.answer(now, &TroubleKind::NotAllowed.answer(text));
                }
                self.clients.push((ClientId(self.last), client));
                self.write(ClientId(self.last));
            }
            Some(Err(_)) => self.pause = Some(now.saturating_add(PAUSE)),
            Some(Ok(None)) | None => {}
        }
    }

    /// Reads what a client has sent, or writes what it is to get; a request that is complete.
    fn advance(&mut self, now: Duration, id: ClientId) -> Option<Request> {
        let (_, client) = self.clients.iter_mut().find(|(known, _)| *known == id)?;
        match client.advance(now) {
            Progress::Going => None,
            Progress::Asked(request) => Some(request),
            Progress::Over => {
                self.clients.retain(|(known, _)| *known != id);
                None
            }
        }
    }

    fn write(&mut self, id: ClientId) {
        self.clients.retain_mut(|(known, client)| *known != id || client.write() != Progress::Over);
    }

    /// Answers a client, if it is still there.
    pub(super) fn answer(&mut self, now: Duration, id: ClientId, answer: &Answer) {
        if let Some((_, client)) = self.clients.iter_mut().find(|(known, _)| *known == id) {
            client.answer(now, answer);
            self.write(id);
        }
    }

    /// The user who asks, as the kernel says.
    pub(super) fn uid_of(&self, id: ClientId) -> u32 {
        let client = self.clients.iter().find(|(known, _)| *known == id);
        client.map_or(u32::MAX, |(_, client)| client.uid())
    }

    /// Lets those go who took too long.
    fn handle_timeout(&mut self, now: Duration) {
        self.clients.retain_mut(|(_, client)| client.handle_timeout(now) != Progress::Over);
        self.pause = self.pause.filter(|due| *due > now);
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let deadlines = self.clients.iter().map(|(_, client)| client.deadline());
        deadlines.chain(self.pause).chain(self.retry).min()
    }

    /// Where it listens.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl Monitor {
    /// Listens for the administrator's commands. Doors do not depend on it: without it the daemon goes on, and says so once.
    pub(super) fn open_control(&mut self, now: Duration) {
        if let Err(error) = self.control.open(now) {
            let line = format!("degraded what=control error={}", crate::wording::quoted(&error));
            self.speech.tell(crate::log::Level::Warning, line);
        }
    }

    /// A client wants attention.
    pub(super) fn handle_client(&mut self, now: Duration, id: ClientId) {
        match self.control.advance(now, id) {
            Some(Request::Reload) => self.handle_reload(now, id),
            Some(Request::Why(about)) => self.handle_why(now, id, about),
            Some(Request::Status) => self.handle_status(now, id),
            Some(Request::Leases) => self.handle_leases(now, id),
            Some(Request::Close(close)) => self.handle_close(now, id, close),
            Some(Request::Open(open)) => self.handle_open(now, id, open),
            Some(Request::Apply(apply)) => self.handle_apply(now, id, apply),
            Some(Request::Trial(ask)) => self.handle_trial(now, id, ask),
            None => {}
        }
    }

    /// What is due at the socket.
    pub(super) fn handle_control_timeout(&mut self, now: Duration) {
        self.control.handle_timeout(now);
        if self.control.retry.is_some_and(|due| due <= now) && self.control.open(now).is_ok() {
            let path = self.control.path().map(|path| path.display().to_string()).unwrap_or_default();
            let line = format!("control-found path={}", crate::wording::quoted(&path));
            self.speech.tell(crate::log::Level::Notice, line);
        }
    }
}
