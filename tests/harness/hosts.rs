//! Two hosts joined by a cable:
//!
//! ```text
//!   client namespace                       server namespace
//!   ┌────────────────────────┐             ┌────────────────────────┐
//!   │ cli0  10.9.0.2/16      │── veth ─────│ srv0  10.9.0.1/16      │
//!   │       fd09::2/64       │             │       fd09::1/64       │
//!   │ (and any 10.9.x.y)     │             │ lo    127.0.0.1        │
//!   └────────────────────────┘             └────────────────────────┘
//! ```

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);
/// The server's interface.
pub const IF: &str = "srv0";

static COUNT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Hosts {
    pub server: String,
    pub client: String,
}

impl Hosts {
    /// Two fresh hosts with both address families up.
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("ald{}n{number}", std::process::id());
        let hosts = Self { server: format!("{tag}s"), client: format!("{tag}c") };
        for ns in [&hosts.server, &hosts.client] {
            run(&["ip", "netns", "add", ns]);
            for setting in ["net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"] {
                run(&["ip", "netns", "exec", ns, "sysctl", "-qw", setting]);
            }
            run(&["ip", "-n", ns, "link", "set", "lo", "up"]);
        }
        hosts.plug();
        hosts
    }

    /// The cable with its addresses; again after [`Hosts::unplug`].
    pub fn plug(&self) {
        let (s, c) = (&self.server, &self.client);
        run(&["ip", "-n", s, "link", "add", IF, "type", "veth", "peer", "name", "cli0", "netns", c]);
        run(&["ip", "-n", s, "addr", "add", "10.9.0.1/16", "dev", IF]);
        run(&["ip", "-n", s, "-6", "addr", "add", "fd09::1/64", "dev", IF, "nodad"]);
        run(&["ip", "-n", c, "addr", "add", "10.9.0.2/16", "dev", "cli0"]);
        run(&["ip", "-n", c, "-6", "addr", "add", "fd09::2/64", "dev", "cli0", "nodad"]);
        run(&["ip", "-n", s, "link", "set", IF, "up"]);
        run(&["ip", "-n", c, "link", "set", "cli0", "up"]);
    }

    /// Waits until both ends of the cable carry packets: the kernel may take a second over that.
    pub fn wait_for_link(&self) {
        let up = |ns: &str, name: &str| run(&["ip", "-n", ns, "link", "show", name]).contains("state UP");
        let both = || up(&self.server, IF) && up(&self.client, "cli0");
        assert!(crate::until(Duration::from_secs(5), both).is_some(), "the cable carries nothing");
    }

    /// Takes the cable and both its ends away.
    pub fn unplug(&self) {
        run(&["ip", "-n", &self.server, "link", "del", IF]);
    }

    /// `ip` on the server.
    pub fn ip(&self, arguments: &[&str]) {
        run(&[&["ip", "-n", &self.server], arguments].concat());
    }

    /// Gives the client another address.
    pub fn add_client(&self, address: Ipv4Addr) {
        run(&["ip", "-n", &self.client, "addr", "add", &format!("{address}/16"), "dev", "cli0"]);
    }

    /// Runs a program on the server and fails unless it succeeds.
    pub fn on_server(&self, words: &[&str]) -> String {
        run(&[&["ip", "netns", "exec", &self.server], words].concat())
    }

    /// Runs a program on the client, whatever comes of it.
    pub fn on_client(&self, words: &[&str]) -> Output {
        output(&[&["ip", "netns", "exec", &self.client], words].concat())
    }

    /// Runs code on the client (on a thread of its own that stays there).
    pub fn as_client<T: Send>(&self, code: impl FnOnce() -> T + Send) -> T {
        inside(&self.client, code)
    }

    /// Runs code on the server.
    pub fn as_server<T: Send>(&self, code: impl FnOnce() -> T + Send) -> T {
        inside(&self.server, code)
    }

    /// A listening socket on the server that lives as long as the value.
    pub fn listen(&self, port: u16) -> TcpListener {
        let listener = self.as_server(|| TcpListener::bind(("::", port)).unwrap());
        // A test may look many times without accepting: a queue that is full would look like a closed door.
        rustix::net::listen(&listener, 4096).unwrap();
        listener
    }

    /// Whether the client gets a TCP connection to this port of the server within 300 ms.
    pub fn reachable(&self, port: u16) -> bool {
        self.reachable_at((SERVER, port).into())
    }

    /// Whether the client gets a TCP connection there within 300 ms.
    pub fn reachable_at(&self, to: SocketAddr) -> bool {
        self.as_client(|| TcpStream::connect_timeout(&to, Duration::from_millis(300)).is_ok())
    }

    /// The classic knock, TCP, from the client's first address.
    pub fn knock(&self, ports: &[u16]) {
        self.knock_from(IpAddr::V4(CLIENT), ports);
    }

    /// The classic knock from one of the client's addresses: one SYN each.
    pub fn knock_from(&self, source: IpAddr, ports: &[u16]) {
        let to = if source.is_ipv4() { SERVER.into() } else { SERVER6.into() };
        self.knock_at(source, to, ports);
    }

    /// The same at another address of the server's.
    pub fn knock_at(&self, source: IpAddr, to: IpAddr, ports: &[u16]) {
        self.as_client(|| {
            for port in ports {
                syn(source, SocketAddr::new(to, *port));
                std::thread::sleep(Duration::from_millis(3));
            }
        });
    }

    /// One UDP datagram of one byte to each port.
    pub fn knock_udp(&self, ports: &[u16]) {
        self.as_client(|| {
            for port in ports {
                let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
                // A closed port answers with ICMP; the datagram has gone out all the same.
                socket.send_to(&[0], (SERVER, *port)).ok();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for ns in [&self.server, &self.client] {
            for pid in output(&["ip", "netns", "pids", ns]).stdout.split(|byte| *byte == b'\n') {
                let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok());
                if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
                }
            }
            output(&["ip", "netns", "del", ns]);
        }
    }
}

/// One SYN: a connection begun and given up.
fn syn(source: IpAddr, to: SocketAddr) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddr::new(source, 0)).unwrap();
    connect(&socket, &to).ok();
}

/// Runs code in a network namespace of this name, on a thread of its own.
pub fn inside<T: Send>(ns: &str, code: impl FnOnce() -> T + Send) -> T {
    let handle = File::open(format!("/run/netns/{ns}")).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            code()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn output(words: &[&str]) -> Output {
    Command::new(words[0]).args(&words[1..]).output().unwrap()
}

fn run(words: &[&str]) -> String {
    let output = output(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
