//! The measurements: each starts a daemon anew, and all it knows of it comes from outside.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use aldaba_tests::Hosts;
use aldaba_tests::hosts::inside;

use crate::Scale;
use crate::daemon::{Daemon, LONGEST_START};
use crate::flood::{self, Flood, Sent, Traffic};
use crate::knocker::{Ears, Knocker};
use crate::results::{KERNEL, Row, SEEN, SENT, WITH_SENDER};
use crate::subject::{Door, PROBE, Subject, Way};

/// How long a knock may take before it counts as not honoured.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Of those who take their time, more would take too long.
const SLOW_KNOCKS: u32 = 24;

/// The two hosts, and how much is measured.
pub(crate) struct Bench {
    hosts: Hosts,
    scale: &'static Scale,
}

impl Bench {
    pub(crate) fn new(scale: &'static Scale) -> Self {
        let hosts = Hosts::new();
        hosts.wait_for_link();
        for name in ["all", "default", aldaba_tests::hosts::IF] {
            hosts.on_server(&["sysctl", "-qw", &format!("net.ipv4.conf.{name}.rp_filter=0")]);
        }
        Self { hosts, scale }
    }

    /// The firewall of a host that hides: connections that stand pass, and whatever else no rule lets in is dropped. Where a door opens
    /// it, only the probe's port is shut, by aldaba's own table or by this rule.
    fn shut(&self, subject: &Subject, door: Door) {
        self.wall(if door == Door::Tells { "DROP" } else { "ACCEPT" });
        let standing = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"];
        self.iptables(&[&["-A", "INPUT"], &standing[..], &["-j", "ACCEPT"]].concat());
        let udp = |port: u16, verdict| {
            let port = port.to_string();
            self.iptables(&["-A", "INPUT", "-p", "udp", "--dport", &port, "-j", verdict]);
        };
        subject.socket_at.into_iter().for_each(|port| udp(port, "ACCEPT"));
        if door == Door::Opens && !subject.guards {
            udp(PROBE, "DROP");
        }
    }

    /// No rules, and this for every packet; not even what the daemon before has left: aldaba's table stays.
    fn wall(&self, policy: &str) {
        self.hosts.on_server(&["nft", "flush", "ruleset"]);
        self.iptables(&["-P", "INPUT", policy]);
    }

    fn iptables(&self, words: &[&str]) {
        self.hosts.on_server(&[&["iptables", "-w"], words].concat());
    }

    /// From the start of the program to the first knock that is honoured, and what it holds then.
    pub(crate) fn start(&self, subject: &Subject) -> Row {
        self.shut(subject, Door::Tells);
        self.first_knock(subject, "start")
    }

    /// The same where the firewall is as the daemon before has left it.
    pub(crate) fn start_again(&self, subject: &Subject) -> Row {
        self.shut(subject, Door::Tells);
        Daemon::start_and_rest(&self.hosts, subject).stop();
        self.first_knock(subject, "start again")
    }

    fn first_knock(&self, subject: &Subject, what: &'static str) -> Row {
        let ears = Ears::new(&subject.ears());
        let mut knocker = Knocker::new(&self.hosts, subject.knock.clone());
        let daemon = Daemon::start(&self.hosts, subject);
        let end = daemon.begun() + LONGEST_START;
        let mut heard = None;
        while heard.is_none() && Instant::now() < end {
            let (_, at) = knocker.knock();
            // Datagrams are not endless: a device has so many at once.
            let wait = if subject.way == Way::Datagram { 2 } else { 1 };
            heard = ears.hear(at + Duration::from_millis(wait));
        }
        let cost = daemon.cost();
        let took = heard.map(|(_, at)| at - daemon.begun());
        daemon.stop();
        Row::new(subject, what)
            .time("ready", took)
            .bytes("resident", cost.resident)
            .bytes("proportional", cost.proportional)
    }

    /// At rest: from the last packet of a knock to the door's command running.
    pub(crate) fn idle(&self, subject: &Subject, what: &'static str) -> Row {
        self.shut(subject, Door::Tells);
        let ears = Ears::new(&subject.ears());
        let daemon = Daemon::start_and_rest(&self.hosts, subject);
        let mut knocker = Knocker::new(&self.hosts, subject.knock.clone());
        let before = daemon.cost();
        let mut times = Vec::new();
        for number in 0..self.scale.resting {
            pause(number);
            let (from, sent) = knocker.knock();
            while let Some((who, at)) = ears.hear(sent + PATIENCE) {
                if who == IpAddr::V4(from) {
                    times.push(at - sent);
                    break;
                }
            }
        }
        let cpu = daemon.cost().cpu.saturating_sub(before.cpu) / self.scale.resting.max(1);
        daemon.stop();
        Row::new(subject, what).knocks(self.scale.resting, &times).time("cpu", Some(cpu))
    }

    /// At rest: from the last packet of a knock to a packet that gets through.
    pub(crate) fn open(&self, subject: &Subject, what: &'static str) -> Row {
        self.shut(subject, Door::Opens);
        let daemon = Daemon::start_and_rest(&self.hosts, subject);
        let listener = self.hosts.as_server(|| UdpSocket::bind(("0.0.0.0", PROBE)).expect("a port"));
        listener.set_nonblocking(true).expect("set");
        let mut knocker = Knocker::new(&self.hosts, subject.knock.clone());
        let origin = Instant::now();
        let mut times = Vec::new();
        for number in 0..self.scale.resting {
            pause(number);
            let (from, sent) = knocker.knock();
            while sent.elapsed() < PATIENCE {
                let mut payload = [0; 8];
                knocker.probe(from, PROBE, origin.elapsed());
                if listener.recv(&mut payload).is_ok() {
                    let at = origin + Duration::from_nanos(u64::from_le_bytes(payload));
                    times.push(at.saturating_duration_since(sent));
                    break;
                }
                std::thread::sleep(Duration::from_micros(20));
            }
            // Those that were on their way.
            while listener.recv(&mut [0; 8]).is_ok() {}
        }
        daemon.stop();
        Row::new(subject, what).knocks(self.scale.resting, &times)
    }

    /// A flood, and where it is named for them knocks meanwhile from those who may.
    pub(crate) fn flood(&self, subject: &Subject, what: &'static str, flood: Flood, pause: Duration) -> Row {
        let alone = self.alone(flood.traffic);
        self.shut(subject, Door::Tells);
        let ears = Ears::new(&subject.ears());
        let mut daemon = Daemon::start_and_rest(&self.hosts, subject);
        let mut knocker = Knocker::new(&self.hosts, subject.knock.clone());
        knocker.pause = pause;
        let knocks = match what {
            "knocks" => self.scale.knocks,
            "slow knocks" => self.scale.knocks.min(SLOW_KNOCKS),
            _ => 0,
        };
        let (before, logged, lost) = (daemon.cost(), subject.logged(), self.lost_datagrams(subject));
        let rate = flood.rate.map_or(alone.per_second(), f64::from);
        let time = Duration::from_secs_f64(f64::from(flood.packets) / rate * 0.9);
        let flooding = flood::start(&self.hosts, flood);
        let times = knock_for(time, knocks, &mut knocker, &ears);
        let sent = flooding.join().expect("the flood");
        daemon.settle(Duration::from_secs(5));
        let (after, captured) = (daemon.cost(), daemon.captured());
        let (seen, drops) = if captured.packets > 0 {
            (captured.packets - captured.drops, captured.drops)
        } else if let (Traffic::Junk { .. }, Some(_)) = (flood.traffic, subject.socket_at) {
            let drops = self.lost_datagrams(subject) - lost;
            (sent.packets.saturating_sub(drops), drops)
        } else {
            (0, 0)
        };
        let logged = subject.logged().saturating_sub(logged);
        daemon.stop();
        let cpu = after.cpu.saturating_sub(before.cpu).as_nanos() as f64;
        let row = Row::new(subject, what)
            .number("sent per second", sent.per_second())
            .number("seen", seen as f64)
            .number("dropped %", 100.0 * drops as f64 / (seen + drops).max(1) as f64)
            .number(SEEN, cpu / seen.max(1) as f64)
            .number(SENT, cpu / sent.packets.max(1) as f64)
            // What the kernel does with it, filter and all, is in the sender's time.
            .number(WITH_SENDER, cpu / sent.packets.max(1) as f64 + sent.cpu_per_packet())
            .number(KERNEL, sent.cpu_per_packet() - alone.cpu_per_packet())
            .bytes("resident", after.resident)
            .number("grown KiB", (after.resident as f64 - before.resident as f64) / 1024.0)
            .number("grown KiB, written", (after.written as f64 - before.written as f64) / 1024.0)
            .number("log bytes per second", logged as f64 / sent.time.as_secs_f64());
        row.knocks(knocks, &times)
    }

    /// The same just before with nobody listening and no rule but to drop it: what the wire costs.
    fn alone(&self, traffic: Traffic) -> Sent {
        self.wall("DROP");
        flood::start(&self.hosts, Flood { traffic, packets: 100_000, rate: None }).join().expect("the flood")
    }

    /// Datagrams that found the socket's buffer full.
    fn lost_datagrams(&self, subject: &Subject) -> u64 {
        let Some(port) = subject.socket_at else { return 0 };
        let tables = inside(&self.hosts.server, || {
            ["udp", "udp6"].map(|name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")))
        });
        let suffix = format!(":{port:04X}");
        let lines = tables.iter().flatten().flat_map(|table| table.lines());
        let ours =
            lines.filter(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&suffix)));
        ours.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
    }
}

/// Irregular, so that nothing falls into step with a daemon's own rhythm.
pub(crate) fn pause(number: u32) {
    std::thread::sleep(Duration::from_micros(u64::from(10_000 + number * 7_919 % 20_000)));
}

/// Spreads knocks over a time; how long each that was honoured took.
fn knock_for(time: Duration, knocks: u32, knocker: &mut Knocker, ears: &Ears) -> Vec<Duration> {
    let (begun, mut open, mut times) = (Instant::now(), HashMap::new(), Vec::new());
    let mut note = |open: &mut HashMap<IpAddr, Instant>, (who, at): (IpAddr, Instant)| {
        times.extend(open.remove(&who).map(|sent| at.saturating_duration_since(sent)));
    };
    for number in 0..knocks {
        let (from, sent) = knocker.knock();
        open.insert(IpAddr::V4(from), sent);
        let next = begun + time / knocks * (number + 1);
        while let Some(heard) = ears.hear(next) {
            note(&mut open, heard);
        }
    }
    let end = Instant::now() + PATIENCE;
    while !open.is_empty()
        && let Some(heard) = ears.hear(end)
    {
        note(&mut open, heard);
    }
    times
}
