//! Link headers and VLAN tags: what kind of network header follows, and where.
//!
//! The addresses of the link are not looked at: which interface heard a frame, and whether the card took it for
//! us, is the capture's business.

use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::sll::SLLPacket;
use pnet_packet::sll2::SLL2Packet;
use pnet_packet::vlan::VlanPacket;

use crate::rest::Rest;
use crate::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Fault, Frame, Layer, Link, Refused, Vlan, VlanTag};

const ETHERNET: usize = 14;
const TAG: usize = 4;
const SLL: usize = 16;
const SLL2: usize = 20;
const FAMILY: usize = 4;

/// A network header's kind and bytes.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    pub(crate) ethertype: u16,
    pub(crate) rest: Rest<'a>,
    pub(crate) vlan: Vlan,
}

const CUT_OFF: Refused = Refused::Malformed(Layer::Link, Fault::Truncated);

/// Takes the link's header and the VLAN tags off.
#[inline]
pub(crate) fn open<'a>(frame: &Frame<'a>) -> Result<Network<'a>, Refused> {
    let all = Rest::new(frame.bytes, frame.wire_len);
    let (ethertype, rest) = match frame.link {
        Link::Ethernet => ethernet(all)?,
        Link::Ip => (version(all)?, all),
        Link::Network { ethertype } => (ethertype, all),
        Link::LinuxSll => sll(all)?,
        Link::LinuxSll2 => sll2(all)?,
        Link::Null => (family(all, true)?, all.after(FAMILY)),
        Link::Loop => (family(all, false)?, all.after(FAMILY)),
    };
    let mut network = Network { ethertype, rest, vlan: Vlan::NONE };
    if let Some(tag) = frame.stripped_vlan {
        network.vlan = network.vlan.push(tag).ok_or(Refused::TooManyVlanTags)?;
    }
    untag(network)
}

fn ethernet(all: Rest<'_>) -> Result<(u16, Rest<'_>), Refused> {
    let header = EthernetPacket::new(all.head(ETHERNET, Layer::Link)?).ok_or(CUT_OFF)?;
    Ok((header.get_ethertype().0, all.after(ETHERNET)))
}

fn sll(all: Rest<'_>) -> Result<(u16, Rest<'_>), Refused> {
    let header = SLLPacket::new(all.head(SLL, Layer::Link)?).ok_or(CUT_OFF)?;
    Ok((cooked(header.get_link_layer_address_type(), header.get_protocol().0), all.after(SLL)))
}

fn sll2(all: Rest<'_>) -> Result<(u16, Rest<'_>), Refused> {
    let header = SLL2Packet::new(all.head(SLL2, Layer::Link)?).ok_or(CUT_OFF)?;
    Ok((cooked(header.get_arphrd_type(), header.get_protocol_type().0), all.after(SLL2)))
}

/// On some kinds of interface the cooked header's protocol is no `EtherType`.
const fn cooked(arphrd: u16, protocol: u16) -> u16 {
    const FRAME_RELAY: u16 = 770;
    const RADIOTAP: u16 = 803;
    const NETLINK: u16 = 824;
    match arphrd {
        FRAME_RELAY | RADIOTAP | NETLINK => 0,
        _ => protocol,
    }
}

fn version(all: Rest<'_>) -> Result<u16, Refused> {
    match all.head(1, Layer::Link)? {
        [first] if first >> 4 == 4 => Ok(ETHERTYPE_IPV4),
        [first] if first >> 4 == 6 => Ok(ETHERTYPE_IPV6),
        _ => Err(Refused::NotIp { ethertype: 0 }),
    }
}

/// The address family in front of a packet: numbers of Linux and the BSDs.
fn family(all: Rest<'_>, either_order: bool) -> Result<u16, Refused> {
    let bytes = all.head(FAMILY, Layer::Link)?.try_into().map_err(|_| CUT_OFF)?;
    let number = match u32::from_be_bytes(bytes) {
        // Families are small numbers: a large one was written in the other order.
        large if either_order && large > 0xFFFF => u32::from_le_bytes(bytes),
        small => small,
    };
    match number {
        2 => Ok(ETHERTYPE_IPV4),
        10 | 24 | 28 | 30 => Ok(ETHERTYPE_IPV6),
        _ => Err(Refused::NotIp { ethertype: 0 }),
    }
}

/// Takes tags off until another kind of header follows.
fn untag(mut network: Network<'_>) -> Result<Network<'_>, Refused> {
    while matches!(network.ethertype, 0x8100 | 0x88A8) {
        let cut_off = Refused::Malformed(Layer::Vlan, Fault::Truncated);
        let bytes = network.rest.head(TAG, Layer::Vlan)?;
        let tci = bytes.first_chunk().map(|tci| u16::from_be_bytes(*tci)).ok_or(cut_off)?;
        let tag = VlanTag { tpid: network.ethertype, tci };
        network.vlan = network.vlan.push(tag).ok_or(Refused::TooManyVlanTags)?;
        network.ethertype = VlanPacket::new(bytes).ok_or(cut_off)?.get_ethertype().0;
        network.rest = network.rest.after(TAG);
    }
    Ok(network)
}
