//! Capture files: no bytes bring the reader down, records lie in the file, and a file cut short gives the same ones.

use aldaba_packet::capture_file::{FileError, Reader, Record};
use aldaba_packet::parse;

/// Checks one input.
///
/// # Panics
/// If the reader or the parser does, or a promise of theirs is broken.
pub fn run(data: &[u8]) {
    let (records, error) = read(data);
    for record in &records {
        assert!(record.wire_len >= record.bytes.len());
        let (file, packet) = (data.as_ptr_range(), record.bytes.as_ptr_range());
        assert!(file.start <= packet.start && packet.end <= file.end);
        if let Some(frame) = record.frame() {
            parse(&frame).ok();
        }
    }
    assert!(error.is_none_or(|error| error.offset <= data.len() && !error.to_string().is_empty()));
    cut_short(data, &records);
}

/// All records and what ended them; nothing comes after an error.
fn read(data: &[u8]) -> (Vec<Record<'_>>, Option<FileError>) {
    let mut reader = match Reader::new(data) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = Vec::new();
    for record in reader.by_ref() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                assert!(reader.next().is_none());
                return (records, Some(error));
            }
        }
    }
    (records, None)
}

/// A shorter file has the first of the same records.
fn cut_short(data: &[u8], records: &[Record<'_>]) {
    let half = &data[..data.len() / 2];
    let (fewer, _) = read(half);
    assert!(fewer.len() <= records.len());
    for (fewer, all) in fewer.iter().zip(records) {
        assert_eq!(fewer, all);
    }
}
