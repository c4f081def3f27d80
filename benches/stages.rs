//! How long each stage of a packet's way takes: `cargo bench -p aldaba-bench --bench stages [-- NAME]`.
//!
//! divan: what is measured is one function for each row, arguments stand beside it, and one run takes a minute. Its answer is
//! read by people; what must not grow is counted in instructions (`instructions`), which a busy machine does not change.
#![forbid(unsafe_code)]

use aldaba_bench::{
    Captured, Configuration, DEFAULT_TABLE, GROUP, Gateway, Knocks, LINKS, Leases, Sealed, Track, Walk,
};
use aldaba_knock::Mode;
use divan::{Bencher, black_box};

/// What nothing may grow with.
const SIZES: [u32; 4] = [1, 100, 1_000, 100_000];

fn main() {
    divan::main();
}

#[divan::bench_group(name = "0 capture")]
mod capture {
    use super::{Bencher, GROUP, Walk};

    /// A whole group at once: what divan counts are frames.
    #[divan::bench(sample_size = 1)]
    fn group(bencher: Bencher<'_, '_>) {
        let frames = divan::counter::ItemsCount::new(GROUP);
        bencher.counter(frames).with_inputs(Walk::new).bench_local_refs(Walk::group);
    }
}

#[divan::bench_group(name = "1 parse")]
mod parse {
    use super::{Bencher, Captured, LINKS, black_box};

    #[divan::bench(args = LINKS.map(|(name, _)| name))]
    fn syn(bencher: Bencher<'_, '_>, name: &str) {
        let link = LINKS.iter().find(|(known, _)| *known == name).expect("a kind of capture").1;
        look(bencher, &Captured::syn(link));
    }

    #[divan::bench]
    fn syn_over_ipv6(bencher: Bencher<'_, '_>) {
        look(bencher, &Captured::syn6());
    }

    #[divan::bench]
    fn syn_in_two_vlans(bencher: Bencher<'_, '_>) {
        look(bencher, &Captured::tagged());
    }

    #[divan::bench]
    fn datagram_of_160_bytes(bencher: Bencher<'_, '_>) {
        look(bencher, &Captured::datagram(160));
    }

    #[divan::bench]
    fn broken(bencher: Bencher<'_, '_>) {
        look(bencher, &Captured::broken());
    }

    fn look(bencher: Bencher<'_, '_>, frame: &Captured) {
        bencher.bench(|| black_box(frame).parse().is_ok());
    }
}

#[divan::bench_group(name = "2 track")]
mod track {
    use super::{Bencher, DEFAULT_TABLE, Mode, SIZES, Track};

    #[divan::bench(args = SIZES)]
    fn whole_knock(bencher: Bencher<'_, '_>, doors: u32) {
        let mut track = Track::new(doors, Mode::Compatible, DEFAULT_TABLE);
        bencher.bench_local(|| track.knock());
    }

    #[divan::bench(args = SIZES)]
    fn whole_knock_at_strict_doors(bencher: Bencher<'_, '_>, doors: u32) {
        let mut track = Track::new(doors, Mode::Strict, DEFAULT_TABLE);
        bencher.bench_local(|| track.knock());
    }

    #[divan::bench(args = SIZES)]
    fn port_of_no_door(bencher: Bencher<'_, '_>, doors: u32) {
        let mut track = Track::new(doors, Mode::Compatible, DEFAULT_TABLE);
        bencher.bench_local(|| track.miss());
    }

    #[divan::bench(args = [1 << 16, 1 << 20])]
    fn new_source_in_a_table_of(bencher: Bencher<'_, '_>, room: usize) {
        let mut track = Track::new(1, Mode::Compatible, room);
        bencher.bench_local(|| track.newcomer());
    }

    #[divan::bench(args = [1 << 16, 1 << 20])]
    fn new_source_in_the_place_of_another_in_a_table_of(bencher: Bencher<'_, '_>, room: usize) {
        let mut track = Track::new(1, Mode::Compatible, room);
        track.fill(1);
        bencher.bench_local(|| track.newcomer());
    }

    #[divan::bench]
    fn new_source_where_all_have_advanced(bencher: Bencher<'_, '_>) {
        let mut track = Track::new(1, Mode::Compatible, DEFAULT_TABLE);
        track.fill(2);
        bencher.bench_local(|| track.newcomer());
    }
}

#[divan::bench_group(name = "3 gate")]
mod gate {
    use super::{Bencher, GROUP, Gateway, Mode, SIZES};

    /// A whole group at once: what divan counts are frames.
    #[divan::bench(args = SIZES)]
    fn spoofed_syns_by_doors(bencher: Bencher<'_, '_>, doors: u32) {
        let mut gateway = Gateway::flood(doors, Mode::Compatible);
        bencher.counter(divan::counter::ItemsCount::new(GROUP)).bench_local(|| gateway.group());
    }

    #[divan::bench(args = SIZES)]
    fn spoofed_syns_by_strict_doors(bencher: Bencher<'_, '_>, doors: u32) {
        let mut gateway = Gateway::flood(doors, Mode::Strict);
        bencher.counter(divan::counter::ItemsCount::new(GROUP)).bench_local(|| gateway.group());
    }

    #[divan::bench(args = SIZES)]
    fn junk_datagram_by_devices(bencher: Bencher<'_, '_>, devices: u32) {
        let mut gateway = Gateway::junk(devices, 1 << 12);
        bencher.bench_local(|| gateway.frame());
    }
}

#[divan::bench_group(name = "4 datagram")]
mod datagram {
    use super::{Bencher, Knocks, SIZES, Sealed, black_box};

    #[divan::bench]
    fn tag_of_junk(bencher: Bencher<'_, '_>) {
        let sealed = Sealed::new();
        bencher.bench(|| black_box(&sealed).verify_junk());
    }

    #[divan::bench]
    fn tag(bencher: Bencher<'_, '_>) {
        let sealed = Sealed::new();
        bencher.bench(|| black_box(&sealed).verify());
    }

    #[divan::bench]
    fn open(bencher: Bencher<'_, '_>) {
        let sealed = Sealed::new();
        bencher.bench(|| black_box(&sealed).open());
    }

    #[divan::bench(args = SIZES, sample_size = 8)]
    fn admit_by_devices(bencher: Bencher<'_, '_>, devices: u32) {
        let knocks = std::cell::RefCell::new(Knocks::new(devices));
        bencher
            .with_inputs(|| knocks.borrow_mut().seal())
            .bench_local_values(|(at, datagram)| knocks.borrow_mut().handle(at, &datagram).is_ok());
    }
}

#[divan::bench_group(name = "5 lease")]
mod lease {
    use super::{Bencher, Leases, SIZES};

    #[divan::bench(args = SIZES)]
    fn open_and_close_beside(bencher: Bencher<'_, '_>, held: u32) {
        let mut leases = Leases::new(held);
        bencher.bench_local(|| leases.open_and_close());
    }

    #[divan::bench(args = SIZES)]
    fn open_and_close_by_device_beside(bencher: Bencher<'_, '_>, held: u32) {
        let mut leases = Leases::new(held);
        bencher.bench_local(|| leases.open_and_close_by_device());
    }

    #[divan::bench(args = SIZES)]
    fn renew_one_of(bencher: Bencher<'_, '_>, held: u32) {
        let mut leases = Leases::new(held);
        bencher.bench_local(|| leases.renew());
    }

    #[divan::bench(args = SIZES)]
    fn open_and_expire_beside(bencher: Bencher<'_, '_>, held: u32) {
        let mut leases = Leases::new(held);
        bencher.bench_local(|| leases.open_and_expire());
    }
}

#[divan::bench_group(name = "6 policy", sample_count = 20, sample_size = 1)]
mod policy {
    use super::{Bencher, Configuration, black_box};

    #[divan::bench(args = [1, 100, 1_000])]
    fn read_doors(bencher: Bencher<'_, '_>, doors: u32) {
        let configuration = Configuration::new(doors);
        bencher.bench(|| black_box(&configuration).read());
    }

    #[divan::bench(args = [1, 100, 1_000])]
    fn filter_of_ports(bencher: Bencher<'_, '_>, doors: u32) {
        let configuration = Configuration::new(doors);
        bencher.bench(|| black_box(&configuration).compile_filter());
    }
}
