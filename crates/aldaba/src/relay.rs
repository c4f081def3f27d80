//! Between ssh and a connection, where ssh does not take the connection itself: standard input goes out, what comes in goes
//! to standard output. Each direction ends by itself, and its end is passed on.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// What a pipe holds on most systems.
const BUFFER: usize = 64 * 1024;

/// Relays until both directions have ended, or nobody reads standard output any more.
pub(crate) fn relay(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = output()?;
    let away = stream.try_clone()?;
    let outward = thread::spawn(move || send(&away));
    let inward = copy(&mut &*stream, &mut out);
    match inward {
        // Closed: whoever reads there learns that nothing more comes.
        Ok(()) => drop(out),
        // That is the reader of standard output; a connection that is lost says otherwise.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err(error),
    }
    if !cfg!(unix) {
        // Here standard output stays open while the process lives; to be done is the only way to say so.
        return Ok(());
    }
    outward.join().unwrap_or_else(|_| Err(io::Error::other("the relay ended by itself")))
}

/// All of standard input, and its end.
fn send(stream: &TcpStream) -> io::Result<()> {
    let copied = copy(&mut input()?, &mut &*stream);
    // There may be nobody any more to be told.
    let _ = stream.shutdown(Shutdown::Write);
    match copied {
        // The other side had closed: that is for it to decide.
        Err(error) if !is_hang_up(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Passes on what there is as soon as it is there. With [`io::copy`], which moves bytes within the kernel where it can, a
/// conversation between a pipe and a connection stood still.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(length) => to.write_all(buffer.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Standard input without a buffer.
#[cfg(unix)]
fn input() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn input() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// Standard output without a buffer; closed when it is dropped.
#[cfg(unix)]
fn output() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    // The process has it once more, under its number.
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(out.into())
}

#[cfg(windows)]
fn output() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
