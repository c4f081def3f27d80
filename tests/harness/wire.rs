//! Frames of our own making on the client's end of the cable.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aldaba_packet::Link;
use aldaba_packet::build::{Frame, flag};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};

use crate::hosts::SERVER;

/// The client's end; opened and used inside [`crate::Hosts::as_client`].
pub struct Wire {
    sender: Box<dyn DataLinkSender>,
}

/// Hears what passes the client's end, from whom it may be; opened inside [`crate::Hosts::as_client`].
pub struct Ear {
    receiver: Box<dyn DataLinkReceiver>,
}

impl Ear {
    pub fn open() -> Self {
        Self { receiver: channel().1 }
    }

    /// The next frame, if one passes within 20 ms.
    pub fn hear(&mut self) -> Option<&[u8]> {
        self.receiver.next().ok()
    }
}

fn channel() -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let interface =
        pnet_datalink::interfaces().into_iter().find(|interface| interface.name == "cli0").unwrap();
    let config = Config { read_timeout: Some(Duration::from_millis(20)), ..Config::default() };
    let Ok(Channel::Ethernet(sender, receiver)) = pnet_datalink::channel(&interface, config) else {
        panic!("no channel on cli0");
    };
    (sender, receiver)
}

/// A SYN of a source of its own, at one of these ports.
pub fn stranger(number: u64, ports: &[u16]) -> Frame {
    let port = ports[usize::try_from(number).unwrap() % ports.len()];
    let number = u32::try_from(number % (1 << 22)).unwrap();
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 1)) + number);
    Frame::tcp(source, 40_000, SERVER, port).flags(flag::SYN).sequence(number)
}

impl Wire {
    pub fn open() -> Self {
        Self { sender: channel().0 }
    }

    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(&mut frame.bytes(Link::Ethernet));
    }

    /// To everybody on the cable, so that no neighbour has to be known.
    fn send_bytes(&mut self, bytes: &mut [u8]) {
        bytes[..6].copy_from_slice(&[0xff; 6]);
        // A full queue loses the frame, as a wire would.
        let _ = self.sender.send_to(bytes, None).unwrap();
    }

    /// SYNs from ever new sources to these ports, so many a second, until told to stop; how many it was.
    pub fn flood(&mut self, ports: &[u16], each_second: u32, stop: &AtomicBool) -> u64 {
        self.flood_with(each_second, stop, |sent| stranger(sent, ports))
    }

    /// How many frames of this making this machine can send in a second, now.
    pub fn fastest(&mut self, frame: impl Fn(u64) -> Frame) -> u64 {
        let (start, stop) = (Instant::now(), AtomicBool::new(false));
        let sent = self.flood_with(5_000_000, &stop, |sent| {
            stop.store(start.elapsed() > Duration::from_millis(300), Ordering::Relaxed);
            frame(sent)
        });
        sent * 1000 / u64::try_from(start.elapsed().as_millis().max(1)).unwrap()
    }

    /// However slow the machine is, no flood takes longer.
    pub const LONGEST: Duration = Duration::from_secs(180);

    /// Frames made from their number, so many a second, until told to stop; how many it was.
    pub fn flood_with(&mut self, each_second: u32, stop: &AtomicBool, frame: impl Fn(u64) -> Frame) -> u64 {
        let start = Instant::now();
        let mut sent = 0_u64;
        while !stop.load(Ordering::Relaxed) && start.elapsed() < Self::LONGEST {
            let due = start.elapsed().as_micros() * u128::from(each_second) / 1_000_000;
            while u128::from(sent) < due && !stop.load(Ordering::Relaxed) {
                self.send(&frame(sent));
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sent
    }
}
