//! Link headers.

use crate::Link;

/// The header of a link in front of a network header of this kind; empty for links without one.
#[must_use]
pub fn link_header(link: Link, ethertype: u16) -> Vec<u8> {
    let kind = ethertype.to_be_bytes();
    let family = if ethertype == crate::ETHERTYPE_IPV4 { 2u32 } else { 30 };
    match link {
        Link::Ip | Link::Network { .. } => Vec::new(),
        Link::Ethernet => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &kind[..]].concat(),
        Link::LinuxSll => [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0], &kind[..]].concat(),
        Link::LinuxSll2 => [&kind[..], &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0]].concat(),
        Link::Null => family.to_le_bytes().to_vec(),
        Link::Loop => family.to_be_bytes().to_vec(),
    }
}
