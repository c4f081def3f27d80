//! `aldaba connect` and `aldaba ssh-config`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;

use aldaba_spa::{DoorTag, Operation};

use crate::world::{Gate, Home, bundle};

const HERE: &str = "127.0.0.1";
const MUCH: usize = 10 * 1024 * 1024;

/// A server that is open already, with a listener behind its door `ssh`.
struct Scene {
    gate: Gate,
    home: Home,
    listener: TcpListener,
}

fn scene() -> Scene {
    let gate = Gate::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let home = Home::enrolled(&bundle(&[HERE], gate.port(), port(&listener)));
    Scene { gate, home, listener }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

impl Scene {
    fn port(&self) -> String {
        port(&self.listener).to_string()
    }

    fn start(&self, words: &[&str]) -> Child {
        let port = self.port();
        let mut connect = self.home.command(&[&["connect", "gw", &port], words].concat());
        connect.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        connect.spawn().expect("it starts")
    }
}

/// Bytes in which nothing repeats that could hide a gap.
fn much(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..MUCH).map(|_| next()).collect()
}

fn written(mut to: impl Write + Send + 'static, bytes: Vec<u8>) -> thread::JoinHandle<()> {
    thread::spawn(move || to.write_all(&bytes).expect("all of it"))
}

fn all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("all of it");
    bytes
}

fn ended(child: Child) {
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn ten_megabytes_go_both_ways_at_once() {
    let scene = scene();
    let mut child = scene.start(&[]);
    assert_eq!(
        scene.gate.next().request.operation,
        Operation::Open { door: DoorTag::of("ssh").expect("a tag"), seconds: 0, bound: None }
    );
    let (stream, _) = scene.listener.accept().expect("a connection");
    let outward = written(child.stdin.take().expect("a pipe"), much(1));
    let inward = written(stream.try_clone().expect("a copy"), much(2));
    let out = child.stdout.take().expect("a pipe");
    // Its own end of what it sends comes after ours.
    let heard = thread::spawn(move || all(out));
    assert!(all(&stream) == much(1), "the end of standard input is passed on");
    outward.join().expect("written");
    inward.join().expect("written");
    stream.shutdown(Shutdown::Write).expect("shut");
    assert!(heard.join().expect("read") == much(2));
    ended(child);
    scene.gate.assert_quiet();
}

#[test]
fn each_direction_may_end_first() {
    let scene = scene();
    // Ours: the answer comes after the end of the question.
    let mut child = scene.start(&[]);
    let (mut stream, _) = scene.listener.accept().expect("a connection");
    drop(child.stdin.take());
    assert_eq!(all(&stream), b"");
    stream.write_all(b"an answer").expect("written");
    drop(stream);
    assert_eq!(all(child.stdout.take().expect("a pipe")), b"an answer");
    ended(child);
    // The other side's: it listens on.
    let mut child = scene.start(&[]);
    let (stream, _) = scene.listener.accept().expect("a connection");
    stream.shutdown(Shutdown::Write).expect("shut");
    assert_eq!(all(child.stdout.take().expect("a pipe")), b"");
    child.stdin.take().expect("a pipe").write_all(b"a last word").expect("written");
    assert_eq!(all(&stream), b"a last word");
    ended(child);
}

/// What ssh does when it ends: both of its pipes are closed, and the connection may live on.
#[test]
fn it_ends_when_nobody_reads() {
    let scene = scene();
    let mut child = scene.start(&[]);
    let (mut stream, _) = scene.listener.accept().expect("a connection");
    drop(child.stdout.take());
    // Standard input stays open.
    let stdin = child.stdin.take();
    while stream.write_all(b"who is there?").is_ok() {
        thread::yield_now();
    }
    ended(child);
    drop(stdin);
}

#[test]
fn one_connection_is_made_and_one_family_knocked_where_one_will_do() {
    let gate = Gate::new();
    let gate6 = Gate::at(Ipv6Addr::LOCALHOST.into(), gate.port());
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
    let home = Home::enrolled(&bundle(&["::1", HERE], gate.port(), port(&listener)));
    let number = port(&listener).to_string();
    let mut connect = home.command(&["connect", "gw", &number]);
    let child = connect.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let (stream, from) = listener.accept().expect("a connection");
    assert_eq!(from.ip(), gate6.next().from.ip());
    drop(stream);
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(0));
    listener.set_nonblocking(true).expect("non-blocking");
    assert!(listener.accept().is_err(), "a service sees one connection");
    gate6.assert_quiet();
    gate.assert_quiet();
    // Where the first one does not answer, the second one gets its knock too.
    drop(listener);
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let number = port(&listener).to_string();
    let mut connect = home.command(&["connect", "gw", &number, "--door=ssh"]);
    let child = connect.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(listener.accept().expect("a connection"));
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(0));
    gate6.next();
    gate.next();
}

#[test]
fn the_door_is_the_one_with_that_port() {
    let scene = scene();
    let said = scene.home.run(&["connect", "gw", "2", "--wait=1s"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{}", said.err);
    assert!(said.err.contains("port 2 of gw did not answer within 1 s"), "{}", said.err);
    let door = |name| Operation::Open { door: DoorTag::of(name).expect("a tag"), seconds: 0, bound: None };
    assert_eq!(scene.gate.next().request.operation, door("web"));
    assert_eq!(scene.gate.next().request.operation, door("web"));
    let said = scene.home.run(&["connect", "gw", "3"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("no door with TCP port 3\n  help: name the door: aldaba connect --door"),
        "{}",
        said.err
    );
    scene.gate.assert_quiet();
    scene.home.run(&["connect", "gw", "3", "--door", "ssh", "--wait=1s"]);
    assert_eq!(scene.gate.next().request.operation, door("ssh"));
}

/// As ssh does it: the other end of standard output waits for a byte and a descriptor.
#[cfg(unix)]
#[test]
fn a_connection_is_handed_over() {
    use std::io::IoSliceMut;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    let scene = scene();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let port = scene.port();
    let mut connect = scene.home.command(&["connect", "--fdpass", "gw", &port]);
    connect.stdin(OwnedFd::from(theirs.try_clone().expect("a copy"))).stdout(OwnedFd::from(theirs));
    let mut child = connect.stderr(Stdio::inherit()).spawn().expect("it starts");
    drop(connect);
    let (mut stream, _) = scene.listener.accept().expect("a connection");
    let mut byte = [7];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(&ours, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty());
    assert_eq!((got.expect("a message").bytes, byte), (1, [0]));
    let mut descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let mut ssh = TcpStream::from(descriptors.next().expect("a descriptor"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "no relay stays");
    stream.write_all(b"SSH-2.0-x\r\n").expect("written");
    let mut banner = [0; 11];
    ssh.read_exact(&mut banner).expect("the banner, without being told to wait");
    ssh.write_all(b"ok").expect("written");
    drop((ssh, ours));
    assert_eq!(all(&stream), b"ok");
    let said = scene.home.run(&["connect", "--fdpass", "gw", &port]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("help: it is for ssh with 'ProxyUseFdpass yes'"), "{}", said.err);
}

#[test]
fn ssh_gets_a_stanza() {
    let stanza = |hosts: &[&str], port: u16, words: &[&str]| {
        let said = Home::enrolled(&bundle(hosts, 9, port)).run(&[&["ssh-config"], words].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.err, "next: ssh gw\n", "it went where it belongs");
        said.out
    };
    let (option, last) = if cfg!(unix) { (" --fdpass", "    ProxyUseFdpass yes\n") } else { ("", "") };
    assert_eq!(
        stanza(&["gw.example.net", HERE], 22, &[HERE]),
        format!(
            "Host gw gw.example.net\n    HostName gw.example.net\n    ProxyCommand aldaba connect{option} gw %p\n{last}"
        )
    );
    assert_eq!(
        stanza(&[HERE], 2222, &["gw"]),
        format!(
            "Host gw\n    HostName 127.0.0.1\n    Port 2222\n    ProxyCommand aldaba connect{option} gw %p\n{last}"
        )
    );
    // The first door with this port is another one.
    assert_eq!(
        stanza(&[HERE], 1, &["gw", "web"]),
        format!(
            "Host gw\n    HostName 127.0.0.1\n    Port 1\n    ProxyCommand aldaba connect{option} --door web gw %p\n{last}"
        )
    );
    let said = Home::enrolled(&bundle(&[HERE], 9, 22)).run(&["ssh-config", "gw", "cellar"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("no door 'cellar'\n  help: which there are: aldaba servers"), "{}", said.err);
}

/// As two who talk: each word waits for the one before.
#[test]
fn every_word_goes_through_at_once() {
    let scene = scene();
    let mut child = scene.start(&[]);
    let (mut stream, _) = scene.listener.accept().expect("a connection");
    let (mut input, mut output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a time limit");
    for word in 0..100_u32 {
        let word = word.to_be_bytes();
        let mut heard = [0; 4];
        stream.write_all(&word).expect("written");
        output.read_exact(&mut heard).expect("the word");
        input.write_all(&heard).expect("written");
        stream.read_exact(&mut heard).expect("the word again");
        assert_eq!(heard, word);
    }
    drop((input, stream));
    ended(child);
}
