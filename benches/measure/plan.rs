//! What is measured, and in which order.

use std::path::Path;
use std::time::Duration;

use crate::flood::{Flood, Traffic};
use crate::results::Results;
use crate::steps::Bench;
use crate::subject::{self, Door, Subject, Way, Which};
use crate::{FEW, GENTLE, MANY, SLOW, Scale, disk, machine, root};

/// Measures all there is, or what is named.
pub(crate) fn all(scale: &'static Scale, only: &[&String]) -> Results {
    let _first = machine::go_first();
    machine::settle_on(machine::GENERATOR);
    let (bench, mut results) = (Bench::new(scale), Results::default());
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word.as_str()));
    let is_there = |which: &Which| {
        let is_installed = which.is_installed();
        if is_asked(which.name()) && !is_installed {
            println!("{}: not installed", which.name());
        }
        is_asked(which.name()) && is_installed
    };
    let there: Vec<Which> = Which::ALL.into_iter().filter(is_there).collect();
    for group in Which::SIDE_BY_SIDE {
        in_one_flood(&bench, &mut results, scale, group.iter().filter(|which| there.contains(which)));
    }
    for which in there {
        // In memory: how long a disk takes to make a record durable is not what is looked at here.
        let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
        Measured { bench: &bench, results: &mut results, scale, which, dir: dir.path() }.all();
    }
    if is_asked(disk::NAME) {
        on_disk(&bench, &mut results, scale);
    }
    results
}

/// A full flood for each of these, in turn.
fn in_one_flood<'a>(
    bench: &Bench,
    results: &mut Results,
    scale: &Scale,
    group: impl Iterator<Item = &'a Which>,
) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let subjects: Vec<Subject> = group.map(|which| which.prepare_unasked(dir.path(), 1)).collect();
    in_turn(bench, results, scale, &subjects, scale.packets, &[("flood", Kind::Attack)]);
}

/// What is compared is measured side by side: each of these one after the other, and again.
fn in_turn(
    bench: &Bench,
    results: &mut Results,
    scale: &Scale,
    subjects: &[Subject],
    packets: u32,
    floods: &[(&'static str, Kind)],
) {
    let mut rows = vec![Vec::new(); subjects.len() * floods.len()];
    for _ in 0..scale.rounds {
        let each = floods.iter().flat_map(|flood| subjects.iter().map(move |subject| (flood, subject)));
        for (((what, kind), subject), rows) in each.zip(&mut rows) {
            let flood = Flood { traffic: kind.traffic(subject), packets, rate: None };
            rows.push(bench.flood(subject, what, flood, Duration::ZERO));
        }
    }
    for rows in &rows {
        results.add(rows);
    }
}

/// What waits for a disk: the one that this repository's results are on.
fn on_disk(bench: &Bench, results: &mut Results, scale: &Scale) {
    let dir = tempfile::tempdir_in(root().join("target")).expect("a folder");
    results.add(&scale.runs(|| disk::commit(dir.path(), scale.resting)));
    let subject = Which::Captured.prepare(dir.path(), 1, Door::Opens);
    results.add(&scale.runs(|| bench.open(&subject, "open on disk")));
    let subject = Which::Sequence.prepare(dir.path(), 1, Door::Tells);
    results.add(&scale.runs(|| bench.idle(&subject, "idle on disk")));
}

/// What the packets of a flood are to whom it meets.
#[derive(Clone, Copy)]
enum Kind {
    Attack,
    Replayed,
    Elsewhere,
    Standing,
    Guarded,
    Ignored,
}

/// Packets of no knock: what the kernel does with them may depend on how many doors have ports of their own.
const OF_NO_KNOCK: [(&str, Kind); 3] =
    [("elsewhere", Kind::Elsewhere), ("standing", Kind::Standing), ("guarded", Kind::Guarded)];

impl Kind {
    fn traffic(self, subject: &Subject) -> Traffic {
        match self {
            Self::Attack => subject.attack(),
            Self::Replayed => subject.replayed(),
            Self::Elsewhere => Traffic::Elsewhere,
            Self::Standing => Traffic::Standing,
            Self::Guarded => Traffic::Syn(subject::GUARDED),
            Self::Ignored => Traffic::Syn(subject::IGNORED),
        }
    }
}

/// One of those that are measured, in all ways that say something of it.
struct Measured<'a> {
    bench: &'a Bench,
    results: &'a mut Results,
    scale: &'static Scale,
    which: Which,
    dir: &'a Path,
}

impl Measured<'_> {
    fn all(&mut self) {
        match self.which {
            Which::LargeTable => self.slow_knocks(),
            Which::Compatible => self.in_turn(&[1, FEW, MANY], self.scale.packets / 2, &OF_NO_KNOCK),
            which => {
                which.sizes().iter().for_each(|size| self.with(*size));
                match which {
                    Which::Captured => {
                        self.in_turn(which.sizes(), self.scale.packets, &[("in turn", Kind::Attack)]);
                        self.in_turn(&[1], self.scale.packets, &[("replayed", Kind::Replayed)]);
                    }
                    Which::Sequence => {
                        self.in_turn(which.sizes(), self.scale.packets, &[("ignored", Kind::Ignored)]);
                    }
                    _ => {}
                }
                if which.opens() {
                    let subject = which.prepare(self.dir, 1, Door::Opens);
                    self.results.add(&self.scale.runs(|| self.bench.open(&subject, "open")));
                }
            }
        }
    }

    /// With so many doors or users.
    fn with(&mut self, size: u32) {
        let subject = self.which.prepare(self.dir, size, Door::Tells);
        self.results.add(&self.scale.runs(|| self.bench.start(&subject)));
        let full = Flood { traffic: subject.attack(), packets: self.scale.packets, rate: None };
        let unasked = self.which.prepare_unasked(self.dir, size);
        if size == 1 {
            self.results.add(&self.scale.runs(|| self.bench.idle(&subject, "idle")));
            self.flood(&unasked, "gentle", Flood { packets: GENTLE / 2, rate: Some(GENTLE), ..full });
            // Knocks do not come so thick that they are a flood themselves.
            self.flood(&subject, "knocks", Flood { packets: full.packets * 2, ..full });
        } else {
            self.flood(&unasked, "flood", full);
            if self.which.way() == Way::Sequence {
                self.flood(&unasked, "elsewhere", Flood { traffic: Traffic::Elsewhere, ..full });
            }
        }
        if self.which == Which::Sequence {
            self.results.add(&self.scale.runs(|| self.bench.start_again(&subject)));
        }
        if self.which == Which::Sequence || size == 1 && self.which.is_ours_by_datagram() {
            self.flood(&unasked, "sources", Flood { packets: self.scale.sources, ..full });
        }
    }

    /// With each of these numbers of doors or users, in turn.
    fn in_turn(&mut self, sizes: &[u32], packets: u32, floods: &[(&'static str, Kind)]) {
        let subjects: Vec<Subject> =
            sizes.iter().map(|size| self.which.prepare_unasked(self.dir, *size)).collect();
        in_turn(self.bench, self.results, self.scale, &subjects, packets, floods);
    }

    fn slow_knocks(&mut self) {
        let subject = self.which.prepare(self.dir, 1, Door::Tells);
        let long = Flood { traffic: subject.attack(), packets: self.scale.packets * 8, rate: None };
        self.results.add(&self.scale.runs(|| self.bench.flood(&subject, "slow knocks", long, SLOW)));
    }

    fn flood(&mut self, subject: &Subject, what: &'static str, flood: Flood) {
        let run = || self.bench.flood(subject, what, flood, Duration::ZERO);
        self.results.add(&self.scale.runs(run));
    }
}
