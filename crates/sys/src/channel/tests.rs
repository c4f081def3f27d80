use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

use super::*;

fn message(channel: &Channel) -> (Vec<u8>, Vec<OwnedFd>) {
    match channel.receive() {
        Ok(Received::Message { bytes, fds }) => (bytes, fds),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_keep_their_borders_and_order() {
    let (one, other) = Channel::pair().unwrap();
    assert_eq!(one.send(b"first", &[]), Ok(Sent::Done));
    assert_eq!(one.send(&[7; LONGEST], &[]), Ok(Sent::Done));
    assert_eq!(message(&other).0, b"first");
    assert_eq!(message(&other).0, [7; LONGEST]);
    assert!(matches!(other.receive(), Ok(Received::Nothing)));
}

#[test]
fn descriptors_arrive_in_order_and_closed_on_exec() {
    let (one, other) = Channel::pair().unwrap();
    let files: Vec<File> = (0..MOST_FDS)
        .map(|n| {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{n}").unwrap();
            file.rewind().unwrap();
            file
        })
        .collect();
    let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    assert_eq!(one.send(b"files", &fds), Ok(Sent::Done));
    let (_, fds) = message(&other);
    assert_eq!(fds.len(), MOST_FDS);
    for (n, fd) in fds.into_iter().enumerate() {
        assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(FdFlags::CLOEXEC));
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).unwrap();
        assert_eq!(text, n.to_string());
    }
}

#[test]
fn what_is_too_large_or_empty_is_not_sent() {
    let (one, other) = Channel::pair().unwrap();
    let fds = [one.as_fd(); MOST_FDS + 1];
    assert_eq!(one.send(&[0; LONGEST + 1], &[]), Err(SendError::Size));
    assert_eq!(one.send(b"x", &fds), Err(SendError::Size));
    assert_eq!(one.send(b"", &[]), Err(SendError::Size));
    assert!(matches!(other.receive(), Ok(Received::Nothing)));
}

#[test]
fn what_is_too_large_is_not_received_either() {
    let (one, other) = Channel::pair().unwrap();
    rustix::net::send(&one, &[0; LONGEST + 1], SendFlags::empty()).unwrap();
    assert_eq!(other.receive().unwrap_err(), ReceiveError::Truncated);

    // One more may fit into the space, two do not.
    for count in [MOST_FDS + 1, MOST_FDS + 2] {
        let fds = vec![one.as_fd(); count];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(count))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        assert!(beside.push(SendAncillaryMessage::ScmRights(&fds)));
        rustix::net::sendmsg(&one, &[IoSlice::new(b"x")], &mut beside, SendFlags::empty()).unwrap();
        assert_eq!(other.receive().unwrap_err(), ReceiveError::Truncated);
    }
    // Nothing of it stays: the channel goes on, and once `one` is dropped no copy holds it open.
    assert!(matches!(other.receive(), Ok(Received::Nothing)));
    drop(one);
    assert!(matches!(other.receive(), Ok(Received::End)));
}

#[test]
fn a_full_channel_says_so_and_recovers() {
    let (one, other) = Channel::pair().unwrap();
    let mut sent = 0;
    while one.send(&[1; 128], &[]).unwrap() == Sent::Done {
        sent += 1;
        assert!(sent < 1_000_000, "a channel must have an end");
    }
    for _ in 0..sent {
        assert_eq!(message(&other).0.len(), 128);
    }
    assert_eq!(one.send(b"again", &[]), Ok(Sent::Done));
}

#[test]
fn the_end_of_the_other_side_is_seen() {
    let (one, other) = Channel::pair().unwrap();
    assert_eq!(one.send(b"last", &[]), Ok(Sent::Done));
    drop(one);
    assert_eq!(message(&other).0, b"last");
    assert!(matches!(other.receive(), Ok(Received::End)));
    assert_eq!(other.send(b"x", &[]), Err(SendError::Gone));

    let (one, other) = Channel::pair().unwrap();
    assert_eq!(other.send(b"unread", &[]), Ok(Sent::Done));
    drop(one);
    assert!(matches!(other.receive(), Ok(Received::End)));
}
