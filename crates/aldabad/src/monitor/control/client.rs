//! One who has connected: its request comes in, its answer goes out, and each has its time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use aldaba_sys::poll::Interest;

use crate::control::{Answer, LONGEST_REQUEST, Request, TroubleKind, Unreadable};

/// For the request to be there.
const TO_ASK: Duration = Duration::from_secs(2);
/// For what was asked to be done.
const TO_DO: Duration = Duration::from_secs(15);
/// For the answer to be taken.
const TO_HEAR: Duration = Duration::from_secs(2);

/// How far a client is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    Going,
    /// Its request is there.
    Asked(Request),
    /// It has had its answer, or is gone: to be dropped.
    Over,
}

#[derive(Debug)]
enum State {
    /// What it has said so far.
    Asking(Vec<u8>),
    /// What it asked for is being done.
    Waiting,
    /// What it is still to get.
    Hearing(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    uid: u32,
    state: State,
    deadline: Duration,
}

impl Client {
    /// Has connected just now. The stream must not block.
    pub(super) fn new(now: Duration, stream: UnixStream, uid: u32) -> Self {
        Self { stream, uid, state: State::Asking(Vec::new()), deadline: now.saturating_add(TO_ASK) }
    }

    /// The user who asks.
    pub(super) const fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// One that waits is looked at only when it hangs up.
    pub(super) const fn interest(&self) -> Interest {
        match self.state {
            State::Asking(_) => Interest::READ,
            State::Waiting => Interest { read: false, write: false },
            State::Hearing(_) => Interest::WRITE,
        }
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// It is ready for what it is waited for, or has hung up.
    pub(super) fn advance(&mut self, now: Duration) -> Progress {
        match self.state {
            State::Asking(_) => self.read(now),
            State::Waiting => Progress::Over,
            State::Hearing(_) => self.write(),
        }
    }

    fn read(&mut self, now: Duration) -> Progress {
        let State::Asking(said) = &mut self.state else { return Progress::Going };
        let mut bytes = [0; LONGEST_REQUEST + 1];
        let length = match self.stream.read(&mut bytes) {
            // It hung up without a whole line.
            Ok(0) => return Progress::Over,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Progress::Going;
            }
            Err(_) => return Progress::Over,
        };
        said.extend_from_slice(bytes.get(..length).unwrap_or_default());
        let end = said.iter().position(|byte| *byte == b'\n');
        let request = match end {
            Some(end) => Request::parse(said.get(..end).unwrap_or_default()),
            None if said.len() <= LONGEST_REQUEST => return Progress::Going,
            None => Request::parse(said),
        };
        match request {
            Ok(request) => {
                self.state = State::Waiting;
                self.deadline = now.saturating_add(TO_DO);
                Progress::Asked(request)
            }
            Err(unreadable) => {
                let kind = match unreadable {
                    Unreadable::Version(_) => TroubleKind::Version,
                    Unreadable::Malformed(_) => TroubleKind::Malformed,
                };
                self.answer(now, &kind.answer(unreadable.to_string()));
                self.write()
            }
        }
    }

    /// Its answer, which [`Client::write`] sends.
    pub(super) fn answer(&mut self, now: Duration, answer: &Answer) {
        self.state = State::Hearing(answer.to_line());
        self.deadline = now.saturating_add(TO_HEAR);
    }

    /// Sends what there is room for.
    pub(super) fn write(&mut self) -> Progress {
        let State::Hearing(rest) = &mut self.state else { return Progress::Going };
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Progress::Over,
                Ok(sent) => drop(rest.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Going,
                Err(_) => return Progress::Over,
            }
        }
        Progress::Over
    }

    /// One whose request could not be done in time is told so; one that is slow itself is dropped.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> Progress {
        if now < self.deadline {
            return Progress::Going;
        }
        match self.state {
            State::Waiting => {
                let text = "it could not be done in time; the log may say more";
                self.answer(now, &TroubleKind::NotDone.answer(text));
                self.write()
            }
            State::Asking(_) | State::Hearing(_) => Progress::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Client::new(NOW, ours, 0), theirs)
    }

    fn heard(stream: UnixStream) -> String {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_request_may_come_in_pieces() {
        let (mut client, mut stream) = pair();
        let line = Request::Reload.to_line();
        for byte in &line[..line.len() - 1] {
            stream.write_all(&[*byte]).unwrap();
            assert_eq!(client.advance(NOW), Progress::Going);
        }
        stream.write_all(b"\n and more that nobody reads").unwrap();
        assert_eq!(client.advance(NOW), Progress::Asked(Request::Reload));
        client.answer(NOW, &TroubleKind::NotDone.answer("later"));
        assert_eq!(client.write(), Progress::Over);
        drop(client);
        assert!(heard(stream).contains("later"));
    }

    #[test]
    fn nonsense_is_answered_and_a_line_without_end_too() {
        for said in [&b"{}\n"[..], b"\n", &[b'x'; LONGEST_REQUEST + 1], &[0xff, b'\n']] {
            let (mut client, mut stream) = pair();
            stream.write_all(said).unwrap();
            assert_eq!(client.advance(NOW), Progress::Over);
            drop(client);
            assert!(heard(stream).contains("\"kind\":\"malformed\""));
        }
    }

    #[test]
    fn the_slow_are_let_go() {
        let (mut client, stream) = pair();
        assert_eq!(client.handle_timeout(NOW), Progress::Going);
        assert_eq!(client.handle_timeout(client.deadline()), Progress::Over);
        drop(stream);
        let (mut client, mut stream) = pair();
        stream.write_all(&Request::Reload.to_line()).unwrap();
        assert_eq!(client.advance(NOW), Progress::Asked(Request::Reload));
        assert_eq!(client.handle_timeout(client.deadline()), Progress::Over, "told, and over");
        drop(client);
        assert!(heard(stream).contains("in time"));
    }

    #[test]
    fn one_that_does_not_read_holds_nothing_up() {
        let (mut client, _stream) = pair();
        client.answer(NOW, &TroubleKind::NotDone.answer("x".repeat(900_000)));
        assert_eq!(client.write(), Progress::Going, "the kernel's buffer is full");
        assert_eq!(client.handle_timeout(NOW + TO_HEAR), Progress::Over);
    }

    #[test]
    fn whoever_hangs_up_is_gone() {
        let (mut client, stream) = pair();
        drop(stream);
        assert_eq!(client.advance(NOW), Progress::Over);
    }
}
