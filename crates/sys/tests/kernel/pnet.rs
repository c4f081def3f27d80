//! The fallback capture on a cable of two ends.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use aldaba_sys::capture::Fault;
use aldaba_sys::pnet_capture::{LinkKind, PnetCapture, PreparedSocket};
use aldaba_sys::poll::{Interest, wait};

use crate::capture::doors;
use crate::net::{ethernet, in_namespace, ip, tcp};

fn is_ready(capture: &PnetCapture, milliseconds: u64) -> bool {
    let interests = [(capture.as_fd(), Interest::READ)];
    wait(&interests, Some(Duration::from_millis(milliseconds))).unwrap()[0]
}

fn frames(capture: &mut PnetCapture) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while is_ready(capture, 60) {
        let count = capture.poll_frames(64, |frame| all.push(frame.to_vec()));
        assert_ne!(count, 0, "ready without a frame: {:?}", capture.take_fault());
    }
    all
}

#[test]
fn frames_pass_the_filter_and_tagged_ones_do_not() {
    in_namespace(|net| {
        let prepared = PreparedSocket::open(net.vb, &doors(&[7000], &[])).unwrap();
        // Not bound yet: nothing arrives.
        net.syn(7000);
        let mut capture = PnetCapture::open(prepared.try_clone().unwrap(), prepared.link(), net.vb).unwrap();
        assert_eq!((capture.link(), capture.ifindex()), (LinkKind::Ethernet, net.vb));
        let priority = ethernet(&[(0x8100, 0xe000)], &tcp(7000, 2, 0));
        for frame in [
            ethernet(&[], &tcp(7001, 2, 0)),
            ethernet(&[(0x8100, 5)], &tcp(7000, 2, 0)),
            ethernet(&[(0x8100, 0), (0x8100, 5)], &tcp(7000, 2, 0)),
            priority,
        ] {
            net.send(&frame);
        }
        // The kernel has taken the tag off.
        assert_eq!(frames(&mut capture), [ethernet(&[], &tcp(7000, 2, 0))]);
        prepared.replace_filter(&doors(&[7001], &[])).unwrap();
        net.syn(7000);
        net.syn(7001);
        assert_eq!(frames(&mut capture), [ethernet(&[], &tcp(7001, 2, 0))]);
    });
}

#[test]
fn an_interface_that_goes_down_and_up_is_an_event() {
    in_namespace(|net| {
        let prepared = PreparedSocket::open(net.vb, &doors(&[7000], &[])).unwrap();
        let mut capture = PnetCapture::open(prepared.try_clone().unwrap(), prepared.link(), net.vb).unwrap();
        ip("link set vb down");
        assert!(is_ready(&capture, 5000));
        assert_eq!(capture.poll_frames(9, |_| {}), 0);
        assert_eq!(capture.take_fault(), Some(Fault::Down));
        assert!(!is_ready(&capture, 60));
        ip("link set vb up");
        net.syn(7000);
        assert_eq!(frames(&mut capture).len(), 1);
    });
}

#[test]
fn an_interface_that_does_not_exist_is_refused() {
    in_namespace(|_| {
        assert_eq!(
            PreparedSocket::open(9999, &doors(&[1], &[])).unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    });
}

/// An interface without link headers; what is written to the file comes in on it.
fn tunnel() -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = [0_u8; 40];
    request[..4].copy_from_slice(b"tun0");
    // IFF_TUN and IFF_NO_PI.
    request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes a request of 40 bytes.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

#[test]
fn an_interface_without_link_headers_gives_bare_packets() {
    in_namespace(|_| {
        let mut tunnel = match tunnel() {
            Ok(tunnel) => tunnel,
            Err(error) => return crate::skip::skipped(&format!("no tunnel interface: {error}")),
        };
        ip("link set tun0 up");
        let raw = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let ifindex = rustix::net::netdevice::name_to_index(&raw, "tun0").unwrap();
        let prepared = PreparedSocket::open(ifindex, &doors(&[7000], &[])).unwrap();
        let mut capture = PnetCapture::open(prepared.try_clone().unwrap(), prepared.link(), ifindex).unwrap();
        assert_eq!(capture.link(), LinkKind::Ip);
        tunnel.write_all(&tcp(7001, 2, 0)).unwrap();
        tunnel.write_all(&tcp(7000, 2, 0)).unwrap();
        assert_eq!(frames(&mut capture), [tcp(7000, 2, 0)]);
    });
}
