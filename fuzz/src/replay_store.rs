//! Replay records as they stand in the store: only what a record encodes to is read, and one that is read goes on as one:
//! its floor does not go down, and what it has taken it does not take again (spec/spa.md, section 9).

use aldaba_spa::{Record, Timestamp, Window};

/// Checks one input: the bytes of a record.
///
/// # Panics
/// If the reader does, or takes a second spelling.
pub fn run(data: &[u8]) {
    let Ok(record) = Record::decode(data) else { return };
    assert_eq!(record.encode(), data);
    let window = Window::default();
    let times: Vec<u64> = data.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "a second spelling of one record");
    for time in times {
        assert!(record.check(&window, Timestamp(time), Timestamp(time)).is_err(), "{time} was taken");
        // Times around what there is, and at both ends.
        for time in [
            time.saturating_sub(400_001),
            time.saturating_sub(1),
            time.saturating_add(1),
            time / 2,
            0,
            u64::MAX,
        ] {
            goes_on(&record, &window, Timestamp(time));
        }
    }
}

fn goes_on(record: &Record, window: &Window, time: Timestamp) {
    if record.check(window, time, time).is_err() {
        return;
    }
    let next = record.accept(window, time);
    assert!(next.floor() >= record.floor(), "{time:?}: the floor went down");
    assert!(next.check(window, time, time).is_err(), "{time:?}: taken twice");
    assert!(next.newest() >= time.max(record.newest()), "{time:?}");
    let bytes = next.encode();
    assert!(bytes.len() <= 8 * 17, "{} bytes", bytes.len());
    assert_eq!(Record::decode(&bytes), Ok(next));
}
