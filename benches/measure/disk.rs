//! The disk by itself: what one durable commit takes, whoever makes it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::results::Row;
use crate::steps::pause;

/// What it is called among the daemons.
pub(crate) const NAME: &str = "disk";
const PAGE: usize = 4_096;
/// Pages of the file, one after the other.
const PAGES: u64 = 64;

/// Writes a page into room that is there and waits until it is durable, so many times and with the pauses of a knocker.
pub(crate) fn commit(dir: &Path, times: u32) -> Row {
    let file = File::create(dir.join("pages")).expect("a file");
    let page = |number: u64, byte| file.write_all_at(&[byte; PAGE], number % PAGES * PAGE as u64);
    (0..PAGES).for_each(|number| page(number, 0).expect("written"));
    file.sync_all().expect("durable");
    let took: Vec<Duration> = (0..times)
        .map(|number| {
            pause(number);
            let begun = Instant::now();
            page(number.into(), 1).and_then(|()| file.sync_data()).expect("durable");
            begun.elapsed()
        })
        .collect();
    Row::of(NAME, 1, "commit").knocks(times, &took)
}
