//! Names of addresses for `knockd -l`: looked up beside the daemon, never waited for by anything but a log line.
//!
//! Whom an address belongs to is answered by servers a stranger may have chosen, at the pace they choose. So lookups run
//! in a few threads, questions and answers are bounded, and a name is only ever written into the log.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Lookups at the same time.
const THREADS: usize = 4;
/// Questions that wait for a thread; an address that finds no room goes without a name.
const QUESTIONS: usize = 64;
/// Addresses remembered; all are forgotten when there are more.
const REMEMBERED: usize = 1024;
/// How long a line waits for a name.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(300);

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// Its name.
    Known(String),
    /// It has none, or none that came in time.
    None,
    /// Ask again when [`Names::as_fd`] is readable, or at this time.
    Later(Duration),
}

#[derive(Debug)]
struct Remembered {
    name: Name,
    since: Duration,
}

/// Looks names up.
#[derive(Debug)]
pub(crate) struct Names {
    questions: SyncSender<IpAddr>,
    answers: Receiver<(IpAddr, Option<String>)>,
    bell: PipeReader,
    known: HashMap<IpAddr, Remembered>,
}

impl Names {
    /// With the system's resolver. Call it after signals are blocked: its threads must not catch any.
    pub(crate) fn start() -> io::Result<Self> {
        Self::with(|address| dns_lookup::lookup_addr(&address).ok())
    }

    fn with(resolve: impl Fn(IpAddr) -> Option<String> + Clone + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = sync_channel(QUESTIONS);
        let (answer, answers) = channel();
        let (bell, ring) = io::pipe()?;
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..THREADS {
            let (asked, answer, ring, resolve) =
                (Arc::clone(&asked), answer.clone(), ring.try_clone()?, resolve.clone());
            thread::Builder::new()
                .name("names".to_owned())
                .spawn(move || answer_all(&asked, &answer, ring, resolve))?;
        }
        Ok(Self { questions, answers, bell, known: HashMap::new() })
    }

    /// What is known of this address now; the first call for an address asks.
    pub(crate) fn find(&mut self, now: Duration, address: IpAddr) -> Name {
        self.hear(now);
        let stale = |known: &Remembered| now.saturating_sub(known.since) >= BELIEVED;
        if self.known.get(&address).is_none_or(stale) {
            self.ask(now, address);
        }
        match self.known.get(&address).map(|known| &known.name) {
            Some(Name::Later(due)) if *due <= now => Name::None,
            Some(name) => name.clone(),
            None => Name::None,
        }
    }

    fn ask(&mut self, now: Duration, address: IpAddr) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        if self.questions.try_send(address).is_ok() {
            self.remember(now, address, Name::Later(now.saturating_add(PATIENCE)));
        }
    }

    fn hear(&mut self, now: Duration) {
        while let Ok((address, name)) = self.answers.try_recv() {
            // Its byte was written before it was sent: this does not wait.
            let _ = self.bell.read(&mut [0]);
            self.remember(now, address, name.map_or(Name::None, Name::Known));
        }
    }

    fn remember(&mut self, now: Duration, address: IpAddr, name: Name) {
        self.known.insert(address, Remembered { name, since: now });
    }
}

impl AsFd for Names {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// A thread's work: until nobody asks any more.
fn answer_all(
    asked: &Mutex<Receiver<IpAddr>>,
    answer: &Sender<(IpAddr, Option<String>)>,
    mut ring: PipeWriter,
    resolve: impl Fn(IpAddr) -> Option<String>,
) {
    loop {
        let question = asked.lock().ok().and_then(|asked| asked.recv().ok());
        let Some(address) = question else { return };
        // A resolver gives the address itself where there is no name.
        let name = resolve(address).filter(|name| name.parse::<IpAddr>().is_err());
        if ring.write_all(&[0]).is_err() || answer.send((address, name)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Asks again, as the monitor does when the bell rings, until something is known.
    #[expect(clippy::disallowed_methods, reason = "waits for a thread, for a bounded time")]
    fn settled(names: &mut Names, now: Duration, address: IpAddr) -> Name {
        let start = Instant::now();
        loop {
            match names.find(now, address) {
                Name::Later(_) if start.elapsed() < Duration::from_secs(10) => thread::yield_now(),
                name => return name,
            }
        }
    }

    #[test]
    fn names_are_found_remembered_and_asked_again_when_old() {
        let (say, hear) = channel();
        let mut names = Names::with(move |address| {
            say.send(address).ok()?;
            Some(format!("host-{address}"))
        })
        .unwrap();
        assert_eq!(names.find(NOW, address(1)), Name::Later(NOW + PATIENCE));
        assert_eq!(settled(&mut names, NOW, address(1)), Name::Known("host-192.0.2.1".into()));
        assert_eq!(settled(&mut names, NOW + BELIEVED, address(1)), Name::Known("host-192.0.2.1".into()));
        assert_eq!(hear.try_iter().count(), 2);
    }

    #[test]
    fn an_address_is_no_name_of_itself() {
        let mut names = Names::with(|address| Some(address.to_string())).unwrap();
        assert_eq!(settled(&mut names, NOW, address(1)), Name::None);
    }

    #[test]
    fn a_dead_resolver_costs_a_line_its_patience_and_no_more() {
        let (_keep, never) = channel::<()>();
        let never = Arc::new(Mutex::new(never));
        let mut names = Names::with(move |_| {
            let _ = never.lock().ok()?.recv();
            None
        })
        .unwrap();
        assert_eq!(names.find(NOW, address(1)), Name::Later(NOW + PATIENCE));
        assert_eq!(names.find(NOW + PATIENCE, address(1)), Name::None);
        // More than threads and questions together hold: the rest goes without at once.
        let later = (1..=200)
            .filter(|last| matches!(names.find(NOW + PATIENCE, address(*last)), Name::Later(_)))
            .count();
        assert!((QUESTIONS - 1..=QUESTIONS + THREADS).contains(&later), "{later}");
    }
}
