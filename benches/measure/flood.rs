//! The generator: ready packets through a raw socket, many with each system call, every one from a source of its own.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aldaba_packet::Link;
use aldaba_packet::build::Frame;
use aldaba_tests::Hosts;
use aldaba_tests::hosts::{SERVER, inside};
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, connect, ipproto,
    sendmmsg, socket_with, sockopt,
};

use crate::floor::DATAGRAM;
use crate::machine::{self, cpu_time};

/// Packets of one system call.
const BATCH: usize = 64;
/// Different packets, before sources are put in.
const POOL: u16 = 1_000;
/// Below it no packet says anything to any daemon here.
const QUIET_PORTS: u16 = 2_000;

/// The flag of every segment but a connection's first.
const ACK: u8 = 0x10;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Traffic {
    /// SYNs to one port.
    Syn(u16),
    /// SYNs to a thousand ports of no door.
    Elsewhere,
    /// Packets of connections that stand, to as many ports.
    Standing,
    /// Noise of a datagram's length; in letters of base64 where datagrams are made of them.
    Junk { port: u16, length: usize, letters: bool },
    /// Always the same datagram: the first may come in, all others are replays.
    Replayed { port: u16, datagram: [u8; DATAGRAM] },
}

/// So much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) traffic: Traffic,
    pub(crate) packets: u32,
    /// Packets a second; `None`: as many as go.
    pub(crate) rate: Option<u32>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) time: Duration,
    /// The sender's own CPU time, and with it what the kernel does to deliver.
    pub(crate) cpu: Duration,
}

impl Sent {
    pub(crate) fn per_second(&self) -> f64 {
        self.packets as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn cpu_per_packet(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets.max(1) as f64
    }
}

/// A socket that takes whole IPv4 packets for the server; opened on the client.
pub(crate) fn raw_socket() -> OwnedFd {
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW));
    let socket = socket.expect("a raw socket");
    connect(&socket, &std::net::SocketAddr::new(SERVER.into(), 0)).expect("a way to the server");
    // As root that is allowed.
    sockopt::set_socket_send_buffer_size_force(&socket, 8 << 20).expect("a buffer");
    socket
}

/// Begins to send, on the generator's processor.
pub(crate) fn start(hosts: &Hosts, flood: Flood) -> JoinHandle<Sent> {
    let client = hosts.client.clone();
    std::thread::spawn(move || {
        inside(&client, || {
            machine::settle_on(machine::GENERATOR);
            run(&flood)
        })
    })
}

fn run(flood: &Flood) -> Sent {
    let socket = raw_socket();
    let pool: Vec<Template> = (0..POOL).map(|number| Template::new(flood.traffic, number)).collect();
    let mut buffers = vec![Vec::new(); BATCH];
    let batch = flood.rate.map_or(BATCH, |rate| (rate as usize / 5_000).clamp(1, BATCH));
    let (begun, cpu) = (Instant::now(), cpu_time());
    let (mut built, mut packets) = (0, 0);
    while built < flood.packets {
        let now = &mut buffers[..batch.min((flood.packets - built) as usize)];
        for buffer in now.iter_mut() {
            pool[built as usize % pool.len()].write(built, buffer);
            built += 1;
        }
        packets += send(&socket, now);
        if let Some(rate) = flood.rate {
            let due = begun + Duration::from_secs_f64(f64::from(built) / f64::from(rate));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    Sent { packets, time: begun.elapsed(), cpu: cpu_time().saturating_sub(cpu) }
}

/// Sends them all; how many the kernel took. What it refuses is not sent again.
fn send(socket: &OwnedFd, packets: &[Vec<u8>]) -> u64 {
    let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let mut nothing: Vec<SendAncillaryBuffer<'_, '_, '_>> = Vec::new();
    nothing.resize_with(packets.len(), SendAncillaryBuffer::default);
    let mut messages: Vec<MMsgHdr<'_>> =
        slices.iter().zip(&mut nothing).map(|(slice, nothing)| MMsgHdr::new(slice, nothing)).collect();
    let (mut done, mut taken) = (0, 0);
    while done < messages.len() {
        match sendmmsg(socket, &mut messages[done..], SendFlags::empty()) {
            Ok(count) => {
                done += count;
                taken += count as u64;
            }
            Err(_) => done += 1,
        }
    }
    taken
}

/// A packet without a source, and the sum of all the rest of it.
struct Template {
    bytes: Vec<u8>,
    sum: u32,
    tcp: bool,
}

/// Where source, source port and TCP's checksum stand.
const SOURCE: std::ops::Range<usize> = 12..16;
const PORT: std::ops::Range<usize> = 20..22;
const CHECKSUM: std::ops::Range<usize> = 36..38;

impl Template {
    fn new(traffic: Traffic, number: u16) -> Self {
        let from = Ipv4Addr::UNSPECIFIED;
        let syn = |port| Frame::tcp(from, 0, SERVER, port);
        let frame = match traffic {
            Traffic::Syn(port) => syn(port),
            Traffic::Elsewhere => syn(QUIET_PORTS + number),
            Traffic::Standing => syn(QUIET_PORTS + number).flags(ACK),
            Traffic::Junk { port, length, letters } => {
                let mut random = fastrand::Rng::with_seed(number.into());
                let mut byte = || if letters { random.alphanumeric() as u8 } else { random.u8(..) };
                let payload: Vec<u8> = std::iter::repeat_with(&mut byte).take(length).collect();
                Frame::udp(from, 0, SERVER, port).payload(&payload).checksum(0)
            }
            Traffic::Replayed { port, datagram } => {
                Frame::udp(from, 0, SERVER, port).payload(&datagram).checksum(0)
            }
        };
        let bytes = frame.bytes(Link::Ip);
        let tcp = !matches!(traffic, Traffic::Junk { .. } | Traffic::Replayed { .. });
        let sum = if tcp { u32::from(!u16::from_be_bytes([bytes[36], bytes[37]])) } else { 0 };
        Self { bytes, sum, tcp }
    }

    /// The packet from its own source. The sums of IP are the kernel's; UDP goes without, as IPv4 allows.
    fn write(&self, number: u32, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        let source = [0x0b00 | (number >> 16) as u16 & 0x00ff, number as u16];
        let port = 1_024 + (number % 60_000) as u16;
        buffer[SOURCE.start..SOURCE.start + 2].copy_from_slice(&source[0].to_be_bytes());
        buffer[SOURCE.start + 2..SOURCE.end].copy_from_slice(&source[1].to_be_bytes());
        buffer[PORT].copy_from_slice(&port.to_be_bytes());
        if self.tcp {
            let mut sum = self.sum + u32::from(source[0]) + u32::from(source[1]) + u32::from(port);
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            buffer[CHECKSUM].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
    }
}
