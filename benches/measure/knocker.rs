//! Those who may come in: they knock from addresses of their own, and are heard of when their door has run its command.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use aldaba_packet::Link;
use aldaba_packet::build::Frame;
use aldaba_tests::Hosts;
use aldaba_tests::hosts::SERVER;
use rustix::net::{SendFlags, send};

use crate::flood::raw_socket;

/// What opens a door.
#[derive(Debug, Clone)]
pub(crate) enum Knock {
    /// A SYN to each of these ports.
    Ports([u16; 3]),
    /// The next of these datagrams to this port.
    Datagrams(u16, Vec<Vec<u8>>),
}

/// Knocks, each time from another address.
pub(crate) struct Knocker {
    socket: OwnedFd,
    knock: Knock,
    next: u32,
    /// Between the packets of one knock.
    pub(crate) pause: Duration,
}

/// One of 12.0.0.0/8.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0c00_0000 | (number & 0x00ff_ffff))
}

impl Knocker {
    pub(crate) fn new(hosts: &Hosts, knock: Knock) -> Self {
        Self { socket: hosts.as_client(raw_socket), knock, next: 1, pause: Duration::ZERO }
    }

    /// Knocks once; from where, and when its last packet was sent.
    pub(crate) fn knock(&mut self) -> (Ipv4Addr, Instant) {
        let from = address(self.next);
        self.next += 1;
        let frames = self.frames(from);
        let mut last = Instant::now();
        for (number, frame) in frames.iter().enumerate() {
            if number > 0 {
                std::thread::sleep(self.pause);
            }
            last = Instant::now();
            self.send(frame);
        }
        (from, last)
    }

    /// One packet to a UDP port, with this time in it.
    pub(crate) fn probe(&self, from: Ipv4Addr, port: u16, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or_default().to_le_bytes();
        self.send(&Frame::udp(from, 5_555, SERVER, port).payload(&time));
    }

    fn frames(&self, from: Ipv4Addr) -> Vec<Frame> {
        match &self.knock {
            Knock::Ports(ports) => {
                ports.iter().map(|port| Frame::tcp(from, 5_555, SERVER, *port).sequence(self.next)).collect()
            }
            Knock::Datagrams(port, datagrams) => {
                let datagram = &datagrams[self.next as usize % datagrams.len()];
                vec![Frame::udp(from, 5_555, SERVER, *port).payload(datagram)]
            }
        }
    }

    fn send(&self, frame: &Frame) {
        // One that does not go out is a knock that is not honoured, and counted as one.
        let _ = send(&self.socket, &frame.bytes(Link::Ip), SendFlags::empty());
    }
}

/// What a door runs: tells whoever listens at this path for whom it was opened.
pub(crate) fn notify(words: &[String]) -> ExitCode {
    let [socket, address] = words else { return ExitCode::FAILURE };
    let sent = UnixDatagram::unbound().and_then(|own| own.send_to(address.as_bytes(), socket));
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Hears what doors tell, at once: its thread does nothing else.
pub(crate) struct Ears(Receiver<(IpAddr, Instant)>);

impl Ears {
    pub(crate) fn new(path: &Path) -> Self {
        // That of the daemon before.
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
        let (heard, ears) = channel();
        let path = path.to_owned();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while path.exists() {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                let address =
                    std::str::from_utf8(&buffer[..length]).ok().and_then(|text| text.trim().parse().ok());
                if address.is_some_and(|address| heard.send((address, Instant::now())).is_err()) {
                    return;
                }
            }
        });
        Self(ears)
    }

    /// The next opening, if there is one in time.
    pub(crate) fn hear(&self, until: Instant) -> Option<(IpAddr, Instant)> {
        self.0.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}
