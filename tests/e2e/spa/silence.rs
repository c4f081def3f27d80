//! Nothing ever answers a datagram: not the daemon, not the kernel for it, not a rule of the host's own.

use std::sync::atomic::{AtomicBool, Ordering};

use aldaba_packet::build::{Frame, option_header};
use aldaba_tests::{Ear, Wire};

use super::*;

/// What the firewall of the host itself makes of the port, in a table of its own behind ours.
const HOSTS_OWN: [(&str, &str); 4] = [
    ("open", ""),
    ("filtered", "udp dport 42731 drop"),
    ("rejected", "udp dport 42731 reject"),
    ("rejected as forbidden", "udp dport 42731 reject with icmpx type admin-prohibited"),
];

/// The negative vectors, all of one length and another of noise, and what a device of this server could have sent.
fn corpus(scene: &Scene) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/spa/negative");
    let mut corpus: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("the vectors")
        .flatten()
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("a vector");
            let case: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            unhex(case["packet"].as_str().expect("a packet"))
        })
        .collect();
    assert!(corpus.len() > 100, "{}", corpus.len());
    let noise = |length: usize| (0..length).map(|_| fastrand::u8(..)).collect::<Vec<u8>>();
    corpus.extend((0..=1472).step_by(32).map(noise));
    corpus.extend([143, 144, 145, 1231, 1232, 1233].map(noise));
    let late = Timestamp(now().0 - 4 * 3_600_000_000);
    corpus.push(scene.seal_at(&alice(), open("ssh", None), late));
    corpus.push(scene.seal_at(&SecretKey::new(&[66; 32]), open("ssh", None), now()));
    corpus.push(scene.seal(open("attic", None)));
    corpus.push(scene.seal(open("web", None)));
    corpus.push(scene.seal(Operation::Hello));
    corpus
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// All that the server sends while `what` goes on, as the client's end of the cable sees it.
fn heard(scene: &Scene, what: impl FnOnce()) -> Vec<String> {
    let mut ear = scene.hosts.as_client(Ear::open);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let mut heard = Vec::new();
            while !done.load(Ordering::Relaxed) {
                if let Some(frame) = ear.hear().filter(|frame| is_answer(frame)) {
                    heard.push(format!("{:02x?}", &frame[..frame.len().min(80)]));
                }
            }
            heard
        });
        what();
        std::thread::sleep(Duration::from_millis(200));
        done.store(true, Ordering::Relaxed);
        listener.join().expect("no panic")
    })
}

/// IPv4 of any kind, and IPv6 that is no discovery of neighbours or groups, from the server.
fn is_answer(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(26..30) == Some(&SERVER.octets()),
        Some([0x86, 0xdd]) => {
            let from_server = frame.get(22..38) == Some(&SERVER6.octets());
            let discovery = frame.get(20) == Some(&58) && frame.get(54).is_some_and(|kind| *kind >= 128);
            from_server && !discovery
        }
        _ => false,
    }
}

/// The corpus from both families; then datagrams with longer headers, and the first part of one whose rest never comes.
fn send_all(scene: &Scene, corpus: &[Vec<u8>]) {
    let udp = |from: IpAddr, to: IpAddr| Frame::udp(from, 4000, to, PORT).payload(&[7; 200]);
    scene.hosts.as_client(|| {
        let mut wire = Wire::open();
        for (from, to) in [(IpAddr::from(CLIENT), IpAddr::from(SERVER)), (CLIENT6.into(), SERVER6.into())] {
            let socket = UdpSocket::bind((from, 0)).expect("a socket");
            for datagram in corpus {
                // An answer would be told with the next call, too: it is heard on the wire.
                socket.send_to(datagram, (to, PORT)).ok();
            }
            wire.send(&udp(from, to).fragment(0..64, true));
        }
        wire.send(&udp(CLIENT.into(), SERVER.into()).ipv4_options(&[1; 8]));
        wire.send(&udp(CLIENT6.into(), SERVER6.into()).extension(60, option_header(&[])));
        // The kernel waits a second for the rest.
        std::thread::sleep(Duration::from_millis(1500));
    });
}

impl Scene {
    /// Puts one rule into a table of the host's own, in place of what was there.
    fn firewall(&self, rule: &str) {
        let nft = |words: &str| self.hosts.on_server(&["nft", words]);
        nft("add table inet own; delete table inet own");
        nft("add table inet own; add chain inet own input { type filter hook input priority 0; }");
        if !rule.is_empty() {
            nft(&format!("add rule inet own input {rule}"));
        }
    }

    /// Nothing the kernel would say is held back because it has said too much.
    fn talkative(&self) {
        for setting in [
            "net.ipv4.icmp_ratelimit=0",
            "net.ipv4.icmp_msgs_burst=10000",
            "net.ipv6.icmp.ratelimit=0",
            "net.ipv4.ipfrag_time=1",
            "net.ipv6.ip6frag_time=1",
        ] {
            self.hosts.on_server(&["sysctl", "-qew", setting]);
        }
        // Both know each other before anything counts.
        self.hosts.on_client(&["ping", "-c1", "-W1", &SERVER.to_string()]);
        self.hosts.on_client(&["ping", "-c1", "-W1", &SERVER6.to_string()]);
    }
}

#[test]
fn not_one_packet_answers_whatever_the_firewall_says() {
    for receive in ["receive = \"capture\"", "receive = \"listen\""] {
        let Some(mut scene) = scene(receive) else { return };
        let corpus = corpus(&scene);
        scene.talkative();
        for (number, (name, rule)) in HOSTS_OWN.into_iter().enumerate() {
            scene.firewall(rule);
            let heard = heard(&scene, || send_all(&scene, &corpus));
            assert_eq!(heard, Vec::<String>::new(), "{receive}, {name}");
            // And whoever has a key is heard, wherever the firewall lets that be.
            if receive.contains("capture") || rule.is_empty() {
                scene.knock(Operation::Hello);
                scene.daemon.wait_until("a hello more", |said| said.matches("hello device").count() > number);
            }
        }
        // The daemon is gone, and with it the socket on the port.
        scene.firewall("");
        scene.daemon.kill_everything();
        let gone = heard(&scene, || send_all(&scene, &corpus));
        assert_eq!(gone, Vec::<String>::new(), "{receive}, daemon gone");
        // Without our table the kernel speaks: this test would have heard it.
        scene.hosts.on_server(&["nft", "delete table inet aldaba"]);
        let answers = heard(&scene, || send_all(&scene, &corpus)).len();
        assert!(answers > corpus.len() / 4, "{receive}, no table: {answers}");
    }
}

#[test]
fn the_port_is_kept_silent_for_doors_with_commands_too() {
    let Some(scene) = scene("") else { return };
    let config = scene.dir.path().join("aldaba.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let commands = text.replace("ports = [\"2222/tcp\"]", "start = [\"/bin/true\"]\nstop = [\"/bin/true\"]");
    let commands = commands.replace("ports = [\"8080/tcp\"]", "log-only = true");
    std::fs::write(&config, commands).expect("written");
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reloaded doors=2");
    let table = scene.hosts.on_server(&["nft", "list table inet aldaba"]);
    assert!(table.contains("udp dport 42731 counter") && table.contains("chain silence"), "{table}");
    assert!(!table.contains("2222"), "{table}");
}

/// R7: somebody flushes the ruleset, and puts a rule there that would answer.
#[test]
fn r7_the_port_is_silent_again_after_a_flush() {
    let Some(scene) = scene("receive = \"capture\"") else { return };
    scene.talkative();
    let corpus = [vec![7; 200], scene.seal(Operation::Hello)];
    scene.hosts.on_server(&["nft", "flush ruleset"]);
    scene.firewall("udp dport 42731 reject");
    scene.daemon.wait_for("table-restored table=aldaba times=1 by=nft pid=");
    let heard = heard(&scene, || send_all(&scene, &corpus));
    assert_eq!(heard, Vec::<String>::new());
}
