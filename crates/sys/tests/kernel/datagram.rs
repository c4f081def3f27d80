//! What a socket on the port of datagrams loses, counted and told apart.

use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::AsFd as _;

use aldaba_sys::datagram::{self, Inbox, LossCounter, Losses};

use crate::net::{in_namespace, ip};

const SHORTEST: usize = 144;
const LONGEST: usize = 1232;
/// More than any buffer here has room for.
const MANY: u64 = 60_000;

fn flood(to: &UdpSocket, count: u64, length: usize) {
    let datagram = vec![7; length];
    for _ in 0..count {
        to.send(&datagram).expect("sent");
    }
}

#[test]
fn what_is_dropped_and_what_is_refused_are_told_apart() {
    in_namespace(|_| {
        std::fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0").expect("IPv6");
        ip("link set lo up");
        let socket = datagram::listen(0, SHORTEST, LONGEST).expect("a socket");
        let here = UdpSocket::from(socket.try_clone().expect("another"));
        let port = here.local_addr().expect("its address").port();
        let of = |address: &str| {
            let client = UdpSocket::bind((address, 0)).expect("a client");
            client.connect((address, port)).expect("connected");
            client
        };
        let mut counter = LossCounter::begin(socket.as_fd()).expect("counters");
        let mut look = || counter.look(socket.as_fd()).expect("counters");
        for address in ["127.0.0.1", "::1"] {
            let client = of(address);
            // Too short and too long: refused, and nothing is lost.
            flood(&client, 300, SHORTEST - 1);
            flood(&client, 200, LONGEST + 1);
            assert_eq!(look(), Losses { drops: 0, refused: 500 });
            // Nobody reads: what the buffer has no room for is dropped. It goes on being refused what must be.
            flood(&client, MANY, SHORTEST);
            flood(&client, 400, SHORTEST - 1);
            let lost = look();
            let mut inbox = Inbox::new(LONGEST);
            let mut queued = 0;
            while let Ok(count @ 1..) = inbox.receive(socket.as_fd(), |_, _| ()) {
                queued += count as u64;
            }
            assert!(queued > 1000 && queued < MANY, "{queued} found room");
            assert_eq!(lost, Losses { drops: MANY - queued, refused: 400 });
            assert_eq!(look(), Losses::default());
        }
        // Another socket overflows, and nothing is lost here, whatever is refused.
        let other = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("another socket");
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a client");
        client.connect(other.local_addr().expect("its address")).expect("connected");
        flood(&client, MANY, SHORTEST);
        assert_eq!(look(), Losses::default());
    });
}
