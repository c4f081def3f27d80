//! What a worker that was taken over tries, by system call.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use aldaba_sys::channel::Channel;

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
enum Argument {
    N(u64),
    /// A path.
    P(&'static CStr),
    /// One of the descriptors a worker has.
    Held(usize),
    Channel,
    /// 256 bytes that may be read and written.
    Room,
    /// One piece of memory that is there, as calls over several take it.
    Piece,
    /// A page of its own.
    Page,
    /// Whoever started it.
    Parent,
}

use Argument::{N, P};
const CAPTURE: Argument = Argument::Held(0);
const UDP: Argument = Argument::Held(1);
const STORE: Argument = Argument::Held(2);
const POLICY: Argument = Argument::Held(3);
const CHANNEL: Argument = Argument::Channel;
const ADDRESS: Argument = Argument::Room;
const PIECE: Argument = Argument::Piece;
const PAGE: Argument = Argument::Page;
const PARENT: Argument = Argument::Parent;
const ZERO: Argument = N(0);
/// The folder it is in; -1.
const AT_CWD: u64 = u64::MAX - 99;
const M1: u64 = u64::MAX;
const ALL: u64 = u64::MAX;
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;

/// One thing to try.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) what: &'static str,
    call: libc::c_long,
    arguments: &'static [Argument],
    /// The error it meets where the list of calls is not in force, or allows it, and the version of Landlock that takes.
    pub(crate) without_list: Option<(i32, u8)>,
}

/// What the worker has in hand.
#[derive(Debug)]
pub(crate) struct Holds {
    channel: u64,
    held: Vec<u64>,
    parent: u64,
}

impl Holds {
    pub(crate) fn new(channel: &Channel, fds: &[OwnedFd], parent: u32) -> Self {
        let held = fds.iter().map(super::number).collect();
        Self { channel: super::number(channel), held, parent: parent.into() }
    }
}

impl Attempt {
    /// Makes the call: what it returned, and its error. A worker does not live to see it.
    pub(crate) fn run(&self, holds: &Holds) -> (i64, i32) {
        // A packet socket's address at its beginning; as a vector of messages, of memory or of limits it is empty.
        let mut room = [0_u8; 256];
        room[..6].copy_from_slice(&[17, 0, 0, 3, 1, 0]);
        let piece = [room.as_ptr() as u64, 8];
        let page = Box::new([0_u8; 8192]);
        let value = |argument: &Argument| match *argument {
            N(number) => number,
            P(path) => path.as_ptr() as u64,
            Argument::Held(which) => holds.held.get(which).copied().unwrap_or(M1),
            Argument::Channel => holds.channel,
            Argument::Room => room.as_ptr() as u64,
            Argument::Piece => piece.as_ptr() as u64,
            Argument::Page => (page.as_ptr() as u64).next_multiple_of(4096),
            Argument::Parent => holds.parent,
        };
        let mut x = [0; 6];
        for (place, argument) in x.iter_mut().zip(self.arguments) {
            *place = value(argument);
        }
        // SAFETY: the call is to be denied. One that is not reads and writes memory that is there, or fails.
        let result = unsafe { libc::syscall(self.call, x[0], x[1], x[2], x[3], x[4], x[5]) };
        (result, std::io::Error::last_os_error().raw_os_error().unwrap_or_default())
    }
}

/// The attempt of this name.
pub(crate) fn named(what: &str) -> &'static Attempt {
    all().iter().find(|attempt| attempt.what == what).expect("there is such an attempt")
}

/// All of them.
pub(crate) const fn all() -> &'static [Attempt] {
    ATTEMPTS
}

/// What the list allows, tried at standard error.
pub(crate) const fn at_standard_error() -> &'static [Attempt] {
    AT_STANDARD_ERROR
}

/// What the list allows, and limits do not: each with the error it meets.
pub(crate) const fn beyond_limits() -> &'static [Attempt] {
    BEYOND_LIMITS
}

/// The one of this number, over all lists.
pub(crate) fn numbered(number: usize) -> Option<&'static Attempt> {
    ATTEMPTS.iter().chain(AT_STANDARD_ERROR).chain(BEYOND_LIMITS).nth(number)
}

const BEYOND_LIMITS: &[Attempt] = &[
    tried(
        "map a gigabyte",
        libc::SYS_mmap,
        &[ZERO, N(1 << 30), N(3), N(0x22), N(M1), ZERO],
        Some((libc::ENOMEM, 0)),
    ),
    tried(
        "grow by a gigabyte",
        libc::SYS_mremap,
        &[PAGE, N(4096), N(1 << 30), N(1)],
        Some((libc::ENOMEM, 0)),
    ),
    tried(
        "map all addresses",
        libc::SYS_mmap,
        &[ZERO, N(1 << 40), N(1), N(0x4022), N(M1), ZERO],
        Some((libc::ENOMEM, 0)),
    ),
    tried(
        "make the store a terabyte long",
        libc::SYS_ftruncate,
        &[STORE, N(1 << 40)],
        Some((libc::EFBIG, 0)),
    ),
    tried(
        "write a terabyte behind it",
        libc::SYS_pwrite64,
        &[STORE, ADDRESS, N(8), N(1 << 40)],
        Some((libc::EFBIG, 0)),
    ),
];

const AT_STANDARD_ERROR: &[Attempt] = &[
    tried("cut standard error", libc::SYS_ftruncate, &[N(2), ZERO], None),
    tried("write over standard error", libc::SYS_pwrite64, &[N(2), ADDRESS, N(8), ZERO], None),
];

const fn tried(
    what: &'static str,
    call: libc::c_long,
    arguments: &'static [Argument],
    without_list: Option<(i32, u8)>,
) -> Attempt {
    Attempt { what, call, arguments, without_list }
}

#[rustfmt::skip]
const ATTEMPTS: &[Attempt] = &[
    tried("open /etc/shadow", libc::SYS_openat, &[N(AT_CWD), P(c"/etc/shadow")], Some((libc::EACCES, 0))),
    tried("open /etc/passwd, which everybody may", libc::SYS_openat, &[N(AT_CWD), P(c"/etc/passwd")], Some((libc::EACCES, 1))),
    tried("open its own memory", libc::SYS_openat, &[N(AT_CWD), P(c"/proc/self/mem"), N(2)], Some((libc::EACCES, 1))),
    tried("open what it executes", libc::SYS_openat, &[N(AT_CWD), P(c"/proc/self/exe")], Some((libc::EACCES, 1))),
    tried("open its folder", libc::SYS_openat, &[N(AT_CWD), P(c".")], Some((libc::EACCES, 1))),
    tried("make a file", libc::SYS_openat, &[N(AT_CWD), P(c"/tmp/aldaba-hostile"), N(0o102), N(0o600)], Some((libc::EACCES, 1))),
    tried("open the new way", libc::SYS_openat2, &[N(AT_CWD), P(c"/etc/passwd"), ADDRESS, N(24)], None),
    #[cfg(target_arch = "x86_64")]
    tried("open the old way", libc::SYS_open, &[P(c"/etc/passwd")], None),
    tried("look at a file", libc::SYS_statx, &[N(AT_CWD), P(c"/etc/shadow"), ZERO, ZERO, ADDRESS], None),
    tried("read a link", libc::SYS_readlinkat, &[N(AT_CWD), P(c"/proc/self/exe"), ADDRESS, N(64)], None),
    tried("ask for access", libc::SYS_faccessat, &[N(AT_CWD), P(c"/etc/shadow"), ZERO], None),
    tried("delete a file", libc::SYS_unlinkat, &[N(AT_CWD), P(c"/tmp/aldaba-hostile")], None),
    tried("rename a file", libc::SYS_renameat2, &[N(AT_CWD), P(c"/tmp/a"), N(AT_CWD), P(c"/tmp/b"), ZERO], None),
    tried("link a file", libc::SYS_linkat, &[N(AT_CWD), P(c"/tmp/a"), N(AT_CWD), P(c"/tmp/b"), ZERO], None),
    tried("make a link", libc::SYS_symlinkat, &[P(c"/etc/shadow"), N(AT_CWD), P(c"/tmp/aldaba-hostile")], Some((libc::EACCES, 1))),
    tried("make a folder", libc::SYS_mkdirat, &[N(AT_CWD), P(c"/tmp/aldaba-hostile"), N(0o700)], Some((libc::EACCES, 1))),
    tried("make a device", libc::SYS_mknodat, &[N(AT_CWD), P(c"/tmp/aldaba-hostile"), N(0o20600), N(0x101)], None),
    tried("cut a file", libc::SYS_truncate, &[P(c"/tmp/aldaba-hostile")], None),
    tried("change its folder", libc::SYS_chdir, &[P(c"/")], None),
    tried("change its root", libc::SYS_chroot, &[P(c"/tmp")], None),
    tried("change the mode of the store", libc::SYS_fchmod, &[STORE, N(0o666)], None),
    tried("give the store away", libc::SYS_fchown, &[STORE, ZERO, ZERO], None),
    tried("lock the store", libc::SYS_flock, &[STORE, N(2)], None),
    tried("write to the store by its position", libc::SYS_write, &[STORE, ADDRESS, N(1)], None),
    tried("watch files", libc::SYS_inotify_init1, &[ZERO], None),
    tried("watch all files", libc::SYS_fanotify_init, &[ZERO, ZERO], None),
    tried("open by handle", libc::SYS_open_by_handle_at, &[STORE, ADDRESS, ZERO], None),
    tried("mount", libc::SYS_mount, &[P(c"none"), P(c"/tmp"), P(c"tmpfs"), ZERO, ZERO], Some((libc::EPERM, 0))),
    tried("mount the new way", libc::SYS_fsopen, &[P(c"tmpfs"), ZERO], None),
    tried("unmount", libc::SYS_umount2, &[P(c"/tmp"), ZERO], None),
    tried("change the root of all", libc::SYS_pivot_root, &[P(c"/tmp"), P(c"/tmp")], None),
    tried("make a local socket", libc::SYS_socket, &[N(1), N(1), ZERO], None),
    tried("make a TCP socket", libc::SYS_socket, &[N(2), N(1), ZERO], None),
    tried("make a UDP socket", libc::SYS_socket, &[N(2), N(2), ZERO], None),
    tried("make a raw socket", libc::SYS_socket, &[N(2), N(3), N(1)], Some((libc::EPERM, 0))),
    tried("make a TCP over IPv6 socket", libc::SYS_socket, &[N(10), N(1), ZERO], None),
    tried("make a netlink socket", libc::SYS_socket, &[N(16), N(3), ZERO], None),
    tried("make a packet socket", libc::SYS_socket, &[N(17), N(3), ZERO], Some((libc::EPERM, 0))),
    tried("make a kernel crypto socket", libc::SYS_socket, &[N(38), N(5), ZERO], None),
    tried("make a virtual machine socket", libc::SYS_socket, &[N(40), N(1), ZERO], None),
    tried("make a Bluetooth socket", libc::SYS_socket, &[N(31), N(3), ZERO], None),
    tried("make a XDP socket", libc::SYS_socket, &[N(44), N(3), ZERO], None),
    tried("make a QRTR socket", libc::SYS_socket, &[N(42), N(2), ZERO], None),
    tried("make a MPTCP socket", libc::SYS_socket, &[N(2), N(1), N(262)], None),
    tried("make a pair of sockets", libc::SYS_socketpair, &[N(1), N(1), ZERO, ADDRESS], None),
    tried("detach the filter of the capture socket", libc::SYS_setsockopt, &[CAPTURE, N(1), N(27), ADDRESS, N(4)], None),
    tried("attach another filter to the capture socket", libc::SYS_setsockopt, &[CAPTURE, N(1), N(26), ADDRESS, N(16)], None),
    tried("ask the capture socket for an option", libc::SYS_getsockopt, &[CAPTURE, N(1), N(3), ADDRESS, ADDRESS], None),
    tried("bind the capture socket elsewhere", libc::SYS_bind, &[CAPTURE, ADDRESS, N(20)], None),
    tried("connect the capture socket", libc::SYS_connect, &[CAPTURE, ADDRESS, N(20)], None),
    tried("send on the capture socket", libc::SYS_sendto, &[CAPTURE, ADDRESS, N(16), ZERO, ADDRESS, N(20)], None),
    tried("send a message on the capture socket", libc::SYS_sendmsg, &[CAPTURE, ADDRESS, ZERO], None),
    tried("write to the capture socket", libc::SYS_write, &[CAPTURE, ADDRESS, N(16)], None),
    tried("write to the capture socket in parts", libc::SYS_writev, &[CAPTURE, ADDRESS, ZERO], None),
    tried("control the capture socket", libc::SYS_ioctl, &[CAPTURE, N(0x8914), ADDRESS], None),
    tried("duplicate the capture socket", libc::SYS_dup, &[CAPTURE], None),
    tried("put the capture socket in the place of the channel", libc::SYS_dup3, &[CAPTURE, CHANNEL, ZERO], None),
    tried("duplicate the capture socket by fcntl", libc::SYS_fcntl, &[CAPTURE, N(0), ZERO], None),
    tried("duplicate the capture socket by fcntl, closed on exec", libc::SYS_fcntl, &[CAPTURE, N(1030), ZERO], None),
    tried("change the flags of the capture socket", libc::SYS_fcntl, &[CAPTURE, N(4), ZERO], None),
    tried("shut the capture socket down", libc::SYS_shutdown, &[CAPTURE, N(2)], None),
    tried("detach the filter of the UDP socket", libc::SYS_setsockopt, &[UDP, N(1), N(27), ADDRESS, N(4)], None),
    tried("attach another filter to the UDP socket", libc::SYS_setsockopt, &[UDP, N(1), N(26), ADDRESS, N(16)], None),
    tried("ask the UDP socket for an option", libc::SYS_getsockopt, &[UDP, N(1), N(3), ADDRESS, ADDRESS], None),
    tried("bind the UDP socket elsewhere", libc::SYS_bind, &[UDP, ADDRESS, N(20)], None),
    tried("connect the UDP socket", libc::SYS_connect, &[UDP, ADDRESS, N(20)], None),
    tried("send on the UDP socket", libc::SYS_sendto, &[UDP, ADDRESS, N(16), ZERO, ADDRESS, N(20)], None),
    tried("send a message on the UDP socket", libc::SYS_sendmsg, &[UDP, ADDRESS, ZERO], None),
    tried("write to the UDP socket", libc::SYS_write, &[UDP, ADDRESS, N(16)], None),
    tried("write to the UDP socket in parts", libc::SYS_writev, &[UDP, ADDRESS, ZERO], None),
    tried("control the UDP socket", libc::SYS_ioctl, &[UDP, N(0x8914), ADDRESS], None),
    tried("duplicate the UDP socket", libc::SYS_dup, &[UDP], None),
    tried("put the UDP socket in the place of the channel", libc::SYS_dup3, &[UDP, CHANNEL, ZERO], None),
    tried("duplicate the UDP socket by fcntl", libc::SYS_fcntl, &[UDP, N(0), ZERO], None),
    tried("duplicate the UDP socket by fcntl, closed on exec", libc::SYS_fcntl, &[UDP, N(1030), ZERO], None),
    tried("change the flags of the UDP socket", libc::SYS_fcntl, &[UDP, N(4), ZERO], None),
    tried("shut the UDP socket down", libc::SYS_shutdown, &[UDP, N(2)], None),
    #[cfg(target_arch = "x86_64")]
    tried("put the capture socket in the place of the channel, the old way", libc::SYS_dup2, &[CAPTURE, CHANNEL], None),
    tried("write at a place of the capture socket", libc::SYS_pwritev, &[CAPTURE, ADDRESS, ZERO], None),
    tried("send many messages", libc::SYS_sendmmsg, &[CHANNEL, ADDRESS, ZERO], None),
    tried("send a file", libc::SYS_sendfile, &[CAPTURE, STORE, ZERO, N(1)], None),
    tried("splice", libc::SYS_splice, &[STORE, ZERO, CAPTURE, ZERO, N(1), ZERO], None),
    tried("listen", libc::SYS_listen, &[UDP, N(1)], None),
    tried("accept", libc::SYS_accept4, &[UDP, ZERO, ZERO, ZERO], None),
    tried("write to standard error", libc::SYS_write, &[N(2), ADDRESS, N(1)], None),
    tried("take the seals off the policy", libc::SYS_fcntl, &[POLICY, N(1033), ZERO], None),
    tried("execute /bin/sh", libc::SYS_execve, &[P(c"/bin/sh"), ZERO, ZERO], Some((libc::EACCES, 1))),
    tried("execute a descriptor", libc::SYS_execveat, &[STORE, P(c""), ZERO, ZERO, N(0x1000)], None),
    tried("start a process", libc::SYS_clone, &[N(17)], Some((libc::EAGAIN, 0))),
    tried("start a process the new way", libc::SYS_clone3, &[ADDRESS, N(64)], None),
    #[cfg(target_arch = "x86_64")]
    tried("start a process the old way", libc::SYS_fork, &[], Some((libc::EAGAIN, 0))),
    tried("make memory that is a file, to execute it", libc::SYS_memfd_create, &[P(c"x"), ZERO], None),
    tried("signal init", libc::SYS_kill, &[N(1), ZERO], Some((libc::EPERM, 0))),
    tried("signal the monitor", libc::SYS_kill, &[PARENT, N(0)], Some((libc::EPERM, 0))),
    tried("signal everybody", libc::SYS_kill, &[N(ALL), ZERO], None),
    tried("signal a thread of the monitor", libc::SYS_tgkill, &[PARENT, PARENT, ZERO], None),
    tried("open the monitor", libc::SYS_pidfd_open, &[PARENT, ZERO], None),
    tried("signal through a descriptor", libc::SYS_pidfd_send_signal, &[STORE, ZERO, ZERO, ZERO], None),
    tried("take a descriptor of the monitor", libc::SYS_pidfd_getfd, &[STORE, ZERO, ZERO], None),
    tried("trace the monitor", libc::SYS_ptrace, &[N(16), PARENT], Some((libc::EPERM, 0))),
    tried("read the monitor's memory", libc::SYS_process_vm_readv, &[PARENT, PIECE, N(1), PIECE, N(1), ZERO], Some((libc::EPERM, 0))),
    tried("write the monitor's memory", libc::SYS_process_vm_writev, &[PARENT, PIECE, N(1), PIECE, N(1), ZERO], Some((libc::EPERM, 0))),
    tried("compare itself with the monitor", libc::SYS_kcmp, &[PARENT, PARENT, ZERO, ZERO, ZERO], None),
    tried("change the monitor's limits", libc::SYS_prlimit64, &[PARENT, N(7), ADDRESS, ZERO], None),
    tried("change the monitor's priority", libc::SYS_setpriority, &[ZERO, PARENT, N(19)], None),
    tried("leave its session", libc::SYS_setsid, &[], None),
    tried("catch a signal", libc::SYS_rt_sigaction, &[N(31), ADDRESS, ZERO, N(8)], None),
    tried("return from a signal that never came", libc::SYS_rt_sigreturn, &[], None),
    tried("receive signals as bytes", libc::SYS_signalfd4, &[N(M1), ADDRESS, N(8), ZERO], None),
    tried("be dumpable", libc::SYS_prctl, &[N(4), N(1)], None),
    tried("raise an ambient capability", libc::SYS_prctl, &[N(47), N(2), N(12)], None),
    tried("put another list in place", libc::SYS_seccomp, &[N(1), ZERO, ADDRESS], None),
    tried("take capabilities", libc::SYS_capset, &[ADDRESS, ADDRESS], None),
    tried("become root", libc::SYS_setuid, &[ZERO], Some((libc::EPERM, 0))),
    tried("become root in all ids", libc::SYS_setresuid, &[ZERO, ZERO, ZERO], None),
    tried("take root's group", libc::SYS_setgid, &[ZERO], Some((libc::EPERM, 0))),
    tried("take groups", libc::SYS_setgroups, &[ZERO, ZERO], Some((libc::EPERM, 0))),
    tried("change its file system id", libc::SYS_setfsuid, &[ZERO], None),
    tried("change how it is executed", libc::SYS_personality, &[N(0x0040_0000)], None),
    tried("make a namespace", libc::SYS_unshare, &[N(0x4000_0000)], Some((libc::EPERM, 0))),
    tried("make a user namespace", libc::SYS_unshare, &[N(0x1000_0000)], None),
    tried("enter a namespace", libc::SYS_setns, &[STORE, ZERO], None),
    tried("control keys", libc::SYS_keyctl, &[ZERO, ZERO, ZERO], None),
    tried("add a key", libc::SYS_add_key, &[P(c"user"), P(c"x"), ADDRESS, N(1), ZERO], None),
    tried("loosen Landlock", libc::SYS_landlock_create_ruleset, &[ADDRESS, N(8), ZERO], None),
    tried("use io_uring", libc::SYS_io_uring_setup, &[N(1), ADDRESS], None),
    tried("load a program into the kernel", libc::SYS_bpf, &[ZERO, ADDRESS, N(8)], None),
    tried("count events", libc::SYS_perf_event_open, &[ADDRESS, ZERO, ZERO, ZERO, ZERO], None),
    tried("handle page faults", libc::SYS_userfaultfd, &[N(1)], None),
    tried("load a module", libc::SYS_finit_module, &[STORE, P(c""), ZERO], None),
    tried("read the log of the kernel", libc::SYS_syslog, &[N(3), ADDRESS, N(8)], None),
    tried("set the clock", libc::SYS_clock_settime, &[ZERO, ADDRESS], None),
    tried("set the name of the host", libc::SYS_sethostname, &[ADDRESS, N(1)], None),
    #[cfg(target_arch = "x86_64")]
    tried("use ports of the machine", libc::SYS_iopl, &[N(3)], None),
    tried("make a timer", libc::SYS_timerfd_create, &[N(1), ZERO], None),
    tried("make a queue of messages", libc::SYS_mq_open, &[P(c"x"), N(0o102), N(0o600), ZERO], None),
    tried("share memory", libc::SYS_shmget, &[ZERO, N(4096), N(0o1600)], None),
    tried("map memory to execute", libc::SYS_mmap, &[ZERO, N(4096), N(5), N(0x22), N(M1), ZERO], None),
    tried("map memory to write and execute", libc::SYS_mmap, &[ZERO, N(4096), N(7), N(0x22), N(M1), ZERO], None),
    tried("map the store to execute", libc::SYS_mmap, &[ZERO, N(4096), N(5), N(2), STORE, ZERO], None),
    tried("map memory that no limit counts", libc::SYS_mmap, &[ZERO, N(4096), N(3), N(0x21), N(M1), ZERO], None),
    tried("take a disk's room for the store", libc::SYS_fallocate, &[STORE, N(1), ZERO, N(1 << 40)], None),
    tried("take a disk's room behind it", libc::SYS_fallocate, &[STORE, N(1), N(1 << 40), N(4096)], None),
    tried("make the store longer by its room", libc::SYS_fallocate, &[STORE, ZERO, ZERO, N(4096)], None),
    tried("make memory executable", libc::SYS_mprotect, &[PAGE, N(4096), N(5)], None),
    tried("make memory executable with a key", libc::SYS_pkey_mprotect, &[PAGE, N(4096), N(5), N(M1)], None),
    tried("map secret memory", libc::SYS_memfd_secret, &[ZERO], None),
    #[cfg(target_arch = "x86_64")]
    tried("call by the numbers of the other interface", libc::SYS_openat | X32, &[N(AT_CWD), P(c"/etc/passwd")], None),
];
