//! Each thing the worker must not do, tried from inside its sandbox; and all it must be able to do.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use aldaba_sys::capture::{CaptureSocket, Kept, Ring, RingSize, Target};
use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::pnet_capture::{LinkKind, PnetCapture, PreparedSocket};
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::{clock, memfd, sandbox};

use crate::child::{Child, Ending, end, ending, receive, tell};
use crate::net::{in_namespace, ip};

/// What is tried, on the capture socket where that makes sense. `FD` stands for it.
const DENIED: &[(&str, libc::c_long, [Argument; 6])] = &[
    ("detach the filter", libc::SYS_setsockopt, [FD, N(1), N(27), ZERO, N(4), ZERO]),
    ("attach another filter", libc::SYS_setsockopt, [FD, N(1), N(26), ZERO, N(16), ZERO]),
    ("ask for an option", libc::SYS_getsockopt, [FD, N(1), N(3), ZERO, ZERO, ZERO]),
    ("bind elsewhere", libc::SYS_bind, [FD, ADDRESS, N(20), ZERO, ZERO, ZERO]),
    ("connect", libc::SYS_connect, [FD, ADDRESS, N(20), ZERO, ZERO, ZERO]),
    ("send on the capture socket", libc::SYS_sendto, [FD, ADDRESS, N(16), ZERO, ADDRESS, N(20)]),
    ("send a message on the capture socket", libc::SYS_sendmsg, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("send many", libc::SYS_sendmmsg, [CHANNEL, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("write to the capture socket", libc::SYS_write, [FD, ADDRESS, N(16), ZERO, ZERO, ZERO]),
    ("write to it in parts", libc::SYS_writev, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("write to standard error", libc::SYS_write, [N(2), ADDRESS, ZERO, ZERO, ZERO, ZERO]),
    ("duplicate", libc::SYS_dup, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("put it in the channel's place", libc::SYS_dup3, [FD, CHANNEL, ZERO, ZERO, ZERO, ZERO]),
    #[cfg(target_arch = "x86_64")]
    ("put it there the old way", libc::SYS_dup2, [FD, CHANNEL, ZERO, ZERO, ZERO, ZERO]),
    ("duplicate by fcntl", libc::SYS_fcntl, [FD, N(libc::F_DUPFD as u64), ZERO, ZERO, ZERO, ZERO]),
    ("duplicate by fcntl, closed on exec", libc::SYS_fcntl, [FD, N(1030), ZERO, ZERO, ZERO, ZERO]),
    ("fcntl with a long command", libc::SYS_fcntl, [FD, N(1 << 32), ZERO, ZERO, ZERO, ZERO]),
    ("open a file", libc::SYS_openat, [N(u64::MAX - 99), PATH, ZERO, ZERO, ZERO, ZERO]),
    ("look at a file", libc::SYS_statx, [N(u64::MAX - 99), PATH, ZERO, ZERO, ZERO, ZERO]),
    ("delete a file", libc::SYS_unlinkat, [N(u64::MAX - 99), PATH, ZERO, ZERO, ZERO, ZERO]),
    ("execute", libc::SYS_execve, [PATH, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("execute a descriptor", libc::SYS_execveat, [FD, PATH, ZERO, ZERO, N(0x1000), ZERO]),
    ("make a socket", libc::SYS_socket, [N(2), N(2), ZERO, ZERO, ZERO, ZERO]),
    ("make a pair of sockets", libc::SYS_socketpair, [N(1), N(1), ZERO, ZERO, ZERO, ZERO]),
    ("control a device", libc::SYS_ioctl, [FD, N(0x8933), ZERO, ZERO, ZERO, ZERO]),
    ("kill", libc::SYS_kill, [N(1), ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("kill through a descriptor", libc::SYS_pidfd_send_signal, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("take a descriptor of another", libc::SYS_pidfd_getfd, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("trace", libc::SYS_ptrace, [N(16), N(1), ZERO, ZERO, ZERO, ZERO]),
    ("change itself", libc::SYS_prctl, [N(4), N(1), ZERO, ZERO, ZERO, ZERO]),
    ("become another user", libc::SYS_setuid, [ZERO, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("start a process", libc::SYS_clone, [N(17), ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("start a process the new way", libc::SYS_clone3, [ZERO, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("use another interface of the kernel", libc::SYS_io_uring_setup, [N(1), ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("load a program into the kernel", libc::SYS_bpf, [ZERO, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("map memory to execute", libc::SYS_mmap, [ZERO, N(4096), N(5), N(0x22), N(u64::MAX), ZERO]),
    ("map memory that no limit counts", libc::SYS_mmap, [ZERO, N(4096), N(3), N(0x21), N(u64::MAX), ZERO]),
    ("take more room on a disk", libc::SYS_fallocate, [FD, N(1), ZERO, N((1 << 30) + 1), ZERO, ZERO]),
    ("take room elsewhere", libc::SYS_fallocate, [FD, N(1), N(4096), N(1), ZERO, ZERO]),
    ("make a file longer by its room", libc::SYS_fallocate, [FD, ZERO, ZERO, N(1), ZERO, ZERO]),
    ("make memory executable", libc::SYS_mprotect, [ZERO, N(4096), N(4), ZERO, ZERO, ZERO]),
    ("send a file", libc::SYS_sendfile, [FD, FD, ZERO, N(1), ZERO, ZERO]),
    ("splice", libc::SYS_splice, [FD, ZERO, FD, ZERO, N(1), ZERO]),
    ("listen", libc::SYS_listen, [FD, N(1), ZERO, ZERO, ZERO, ZERO]),
    ("enter a namespace", libc::SYS_setns, [FD, ZERO, ZERO, ZERO, ZERO, ZERO]),
    ("make a namespace", libc::SYS_unshare, [N(0x4000_0000), ZERO, ZERO, ZERO, ZERO, ZERO]),
];

#[derive(Clone, Copy)]
enum Argument {
    N(u64),
    /// The capture socket.
    Fd,
    /// The channel.
    Channel,
    /// 64 readable bytes: a packet socket's address.
    Address,
    /// `/etc/shadow`.
    Path,
}

use Argument::N;
const FD: Argument = Argument::Fd;
const CHANNEL: Argument = Argument::Channel;
const ADDRESS: Argument = Argument::Address;
const PATH: Argument = Argument::Path;
const ZERO: Argument = N(0);

/// The child's side.
pub(crate) fn act(channel: &Channel, task: &str, fds: Vec<OwnedFd>) {
    let (kind, rest) = task.split_once(' ').unwrap_or((task, ""));
    match kind {
        "open" => {}
        // pnet binds by itself, so it comes first.
        "pnet" => return look(channel, fds),
        _ => sandbox::enter(channel.as_fd(), 1 << 30).unwrap(),
    }
    match kind {
        "open" | "deny" => deny(channel, rest.parse().unwrap(), &fds),
        "panic" => {
            tell(channel, "ready");
            panic!("this must not be written");
        }
        "work" => work(channel, fds),
        "wait" => {
            tell(channel, "ready");
            assert!(matches!(receive(channel), Received::End));
        }
        _ => end(92),
    }
}

fn deny(channel: &Channel, which: usize, fds: &[OwnedFd]) {
    let (_, call, arguments) = DENIED[which];
    let address = [17_u8, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let value = |argument| match argument {
        N(number) => number,
        Argument::Fd => u64::try_from(fds[0].as_raw_fd()).unwrap(),
        Argument::Channel => u64::try_from(channel.as_fd().as_raw_fd()).unwrap(),
        Argument::Address => address.as_ptr() as u64,
        Argument::Path => c"/etc/shadow".as_ptr() as u64,
    };
    let x = arguments.map(value);
    tell(channel, "ready");
    // SAFETY: the call is to be denied. Where it is not, it reads from memory that is valid or fails.
    unsafe { libc::syscall(call, x[0], x[1], x[2], x[3], x[4], x[5]) };
}

fn work(channel: &Channel, mut fds: Vec<OwnedFd>) {
    let policy = memfd::read(fds.remove(0), 1 << 20).unwrap();
    let mut ring = Ring::map(fds.remove(0), RingSize::usual(Kept::Datagrams)).unwrap();
    assert_eq!(ring.poll_frames(9, |_| {}).frames, 1);
    assert_eq!(ring.take_fault(), None);
    clock::rest(Duration::from_micros(250));
    // Memory that comes and goes in all sizes, and randomness for the map.
    let map: HashMap<usize, Vec<u8>> = (0..200).map(|n| (n, vec![1; n * n * 50])).collect();
    assert!(clock::boottime() > Duration::ZERO && clock::wall() > Duration::ZERO);
    let sum: usize = map.values().map(Vec::len).sum();
    drop(map);
    drop(ring);
    tell(channel, &format!("{} bytes of policy, {sum} of memory", policy.len()));
    assert!(matches!(receive(channel), Received::End));
}

fn look(channel: &Channel, mut fds: Vec<OwnedFd>) {
    let mut capture = PnetCapture::open(fds.remove(0), LinkKind::Ethernet, 1).unwrap();
    sandbox::enter(channel.as_fd(), 1 << 30).unwrap();
    tell(channel, "ready");
    let waiting = [(capture.as_fd(), Interest::READ)];
    assert_eq!(poll::wait(&waiting, Some(Duration::from_secs(20))).unwrap(), [true]);
    let mut lengths = Vec::new();
    capture.poll_frames(9, |frame| lengths.push(frame.len()));
    assert_eq!(capture.take_fault(), None);
    tell(channel, &format!("{lengths:?}"));
}

#[test]
fn the_fallback_works_in_the_sandbox() {
    in_namespace(|_| {
        ip("link set lo up");
        let prepared = PreparedSocket::open(1, &crate::capture::doors(&[], &[1])).unwrap();
        let child = Child::start("sandbox pnet", &[prepared.try_clone().unwrap().as_fd()]);
        assert_eq!(child.answer(), "ready");
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"knock", "127.0.0.1:1").unwrap();
        assert_eq!(child.answer(), format!("[{}]", 14 + 20 + 8 + 5));
        assert_eq!(child.ending(), Ending::Code(0));
    });
}

/// Somebody's capture socket.
fn socket() -> CaptureSocket {
    ip("link set lo up");
    CaptureSocket::open(
        Target::Interface(1),
        &crate::capture::doors(&[1], &[1]),
        RingSize::usual(Kept::Datagrams),
    )
    .unwrap()
}

#[test]
fn each_denied_call_kills_the_worker() {
    in_namespace(|_| {
        let capture = socket();
        for (which, (what, ..)) in DENIED.iter().enumerate() {
            let child = Child::start(&format!("sandbox deny {which}"), &[capture.as_fd()]);
            assert_eq!(child.answer(), "ready", "{what}");
            assert_eq!(child.ending(), Ending::Signal(libc::SIGSYS), "{what}");
        }
    });
}

/// Or the test above would prove nothing.
#[test]
fn without_the_sandbox_they_do_not_kill() {
    in_namespace(|_| {
        let capture = socket();
        for what in
            ["detach the filter", "bind elsewhere", "send on the capture socket", "duplicate", "open a file"]
        {
            let which = DENIED.iter().position(|(name, ..)| *name == what).unwrap();
            let child = Child::start(&format!("sandbox open {which}"), &[capture.as_fd()]);
            assert_eq!(child.answer(), "ready", "{what}");
            assert_eq!(child.ending(), Ending::Code(0), "{what}");
        }
    });
}

#[test]
fn a_panic_kills_the_worker() {
    let child = Child::start("sandbox panic", &[]);
    assert_eq!(child.answer(), "ready");
    assert_eq!(child.ending(), Ending::Signal(libc::SIGSYS));
}

#[test]
fn the_worker_can_work() {
    in_namespace(|_| {
        let capture = socket();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"knock", "127.0.0.1:1").unwrap();
        let policy = memfd::sealed("policy", &vec![7; 300_000]).unwrap();
        let child = Child::start("sandbox work", &[policy.as_fd(), capture.as_fd()]);
        assert_eq!(child.answer(), "300000 bytes of policy, 132335000 of memory");
        let Child { channel, started } = child;
        drop(channel);
        assert_eq!(ending(&started), Ending::Code(0));
    });
}

#[test]
fn the_channel_stays_open_both_ways() {
    let child = Child::start("sandbox wait", &[]);
    assert_eq!(child.answer(), "ready");
    assert_eq!(child.channel.send(b"not the end", &[]), Ok(Sent::Done));
    // It wanted the end, and cannot say so: the message of its panic is denied.
    assert_eq!(child.ending(), Ending::Signal(libc::SIGSYS));
}
