//! Lines for somebody who may not read them: written at once or not at all. Whoever waits for a reader that hangs does nothing
//! else meanwhile.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::SendFlags;

use crate::poll::{self, Interest};

/// What a pipe takes whole when it has room (POSIX `PIPE_BUF`, as Linux has it).
const PIECE: usize = 4096;

/// An output of this program's, for its own use: what others do to theirs, which may be the same, does not make it wait.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    /// For the lines that go to this descriptor.
    pub fn of(output: BorrowedFd<'_>) -> io::Result<Self> {
        if !matches!(kind(output)?, FileType::Fifo | FileType::CharacterDevice) {
            return Ok(Self(output.try_clone_to_owned()?));
        }
        // Opened anew it has flags of its own, so that it never waits. Who may not open it asks first, as for the others.
        let path = format!("/proc/self/fd/{}", output.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let own = rustix::fs::open(path, flags, Mode::empty());
        own.or_else(|_| output.try_clone_to_owned()).map(Self)
    }

    /// Writes it now.
    ///
    /// # Errors
    /// Nobody takes it now (`WouldBlock`), or ever. A long one may have been written in part.
    pub fn write_at_once(&self, bytes: &[u8]) -> io::Result<()> {
        write_at_once(self.0.as_fd(), bytes)
    }
}

/// Writes it now, to a descriptor that others may use, too. If those are quick the last room may be theirs, and this waits.
///
/// # Errors
/// As [`Stream::write_at_once`].
pub fn write_at_once(output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let is_socket = kind(output)? == FileType::Socket;
    for piece in bytes.chunks(PIECE) {
        let written = if is_socket {
            rustix::net::send(output, piece, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?
        } else if poll::wait(&[(output, Interest::WRITE)], Some(Duration::ZERO))? == [true] {
            rustix::io::write(output, piece)?
        } else {
            0
        };
        if written < piece.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(())
}

fn kind(output: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(output)?.st_mode))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Lines that go in before it says that nobody reads.
    fn fill(stream: &Stream) -> usize {
        let full = |_: &usize| stream.write_at_once(b"0123456789\n").is_ok();
        (0..1_000_000).take_while(full).count()
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let stream = Stream::of(writer.as_fd()).expect("a stream");
        let lines = fill(&stream);
        assert!(lines > 100, "{lines}");
        assert!(
            write_at_once(writer.as_fd(), b"x").is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        );
        let mut page = vec![0; 2 * PIECE];
        reader.read_exact(&mut page).expect("lines");
        stream.write_at_once(b"again\n").expect("there is room");
        drop(reader);
        // A process that another test starts has it for a moment too.
        let broken = (0..1000).any(|_| {
            crate::clock::rest(Duration::from_millis(10));
            stream.write_at_once(b"x").is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        });
        assert!(broken);
    }

    #[test]
    fn a_socket_that_nobody_reads_is_not_waited_for() {
        let (_reader, writer) = UnixStream::pair().expect("a pair");
        let stream = Stream::of(writer.as_fd()).expect("a stream");
        let lines = fill(&stream);
        assert!(lines > 100, "{lines}");
    }

    #[test]
    fn a_file_takes_everything() {
        let mut file = tempfile::tempfile().expect("a file");
        Stream::of(file.as_fd()).expect("a stream").write_at_once(&[b'x'; 3 * PIECE + 1]).expect("written");
        let mut text = Vec::new();
        file.rewind().expect("rewound");
        file.read_to_end(&mut text).expect("read");
        assert_eq!(text.len(), 3 * PIECE + 1);
    }
}
