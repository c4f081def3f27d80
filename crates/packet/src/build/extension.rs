//! IPv6 extension headers. The first byte, what comes next, is filled in when they are put into a frame.

/// Hop-by-hop or destination options, padded to a multiple of eight bytes.
#[must_use]
pub fn option_header(options: &[u8]) -> Vec<u8> {
    let mut header = vec![0, 0];
    header.extend(options);
    match header.len().next_multiple_of(8) - header.len() {
        0 => {}
        1 => header.push(0),
        padding => {
            header.extend([1, (padding - 2) as u8]);
            header.resize(header.len() + padding - 2, 0);
        }
    }
    header[1] = (header.len() / 8 - 1) as u8;
    header
}

/// A routing header of this type, with room for `addresses`.
#[must_use]
pub fn routing_header(kind: u8, segments_left: u8, addresses: u8) -> Vec<u8> {
    let mut header = vec![0, addresses * 2, kind, segments_left];
    header.resize(8 + usize::from(addresses) * 16, 0);
    header
}

/// A fragment header; the offset in units of eight bytes. Fragments with the same `id` belong together.
#[must_use]
pub fn fragment_header(offset: u16, more: bool, id: u32) -> Vec<u8> {
    let mut header = vec![0, 0];
    header.extend((offset << 3 | u16::from(more)).to_be_bytes());
    header.extend(id.to_be_bytes());
    header
}
