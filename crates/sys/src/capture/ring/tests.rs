use super::*;
use crate::capture::build::RingMemory;

const BOTH: [Kept; 2] = [Kept::Headers, Kept::Datagrams];

/// A slot as the kernel might fill it, without its status word.
fn slot(net: u16, captured: u32, length: u32) -> Vec<u8> {
    slot_of(Kept::Datagrams, net, captured, length)
}

fn slot_of(kept: Kept, net: u16, captured: u32, length: u32) -> Vec<u8> {
    let mut slot: Vec<u8> = (0..kept.slot()).map(|n| n.to_le_bytes()[0]).collect();
    let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
    put(4, &length.to_ne_bytes());
    put(8, &captured.to_ne_bytes());
    put(14, &net.to_ne_bytes());
    put(24, &0xa005_u16.to_ne_bytes());
    put(26, &0x88a8_u16.to_ne_bytes());
    put(34, &0x86dd_u16.to_be_bytes());
    put(36, &7_u32.to_ne_bytes());
    slot.split_off(STATUS)
}

#[test]
fn a_slot_is_read_where_the_kernel_writes_it() {
    let slot = slot(80, 40, 1500);
    let frame = view(&slot, libc::TP_STATUS_USER);
    assert_eq!(frame.bytes, (80..120).collect::<Vec<u8>>());
    assert_eq!((frame.wire_len, frame.ifindex, frame.ethertype), (1500, 7, 0x86dd));
    assert_eq!((frame.vlan, frame.checksum_not_ready, frame.checksum_valid), (None, false, false));
}

#[test]
fn a_tag_counts_only_where_the_kernel_says_so() {
    let slot = slot(80, 40, 40);
    let vlan = |status| view(&slot, status).vlan;
    assert_eq!(vlan(libc::TP_STATUS_VLAN_TPID_VALID), None);
    assert_eq!(vlan(libc::TP_STATUS_VLAN_VALID), Some(VlanTag { tpid: 0x8100, tci: 0xa005 }));
    let both = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
    assert_eq!(vlan(both), Some(VlanTag { tpid: 0x88a8, tci: 0xa005 }));
}

#[test]
fn nothing_outside_the_slot_is_ever_shown() {
    for kept in BOTH {
        for net in [0, 3, 4, 80, 255, 256, 257, 511, 512, 513, u16::MAX] {
            for captured in [0, 1, 176, 177, 252, 253, 432, 433, 508, 509, u32::MAX] {
                let slot = slot_of(kept, net, captured, 40);
                let frame = view(&slot, libc::TP_STATUS_USER);
                let net = usize::from(net);
                let room = if net < STATUS { 0 } else { kept.slot().saturating_sub(net) };
                assert_eq!(frame.bytes.len(), room.min(captured as usize), "{kept:?} {net} {captured}");
            }
        }
    }
}

#[test]
fn checksum_states_are_told_apart() {
    let slot = slot(80, 40, 40);
    assert!(view(&slot, libc::TP_STATUS_CSUMNOTREADY).checksum_not_ready);
    assert!(view(&slot, libc::TP_STATUS_CSUM_VALID).checksum_valid);
}

#[test]
fn a_ring_is_walked_around_and_allocates_nothing() {
    BOTH.into_iter().for_each(walk_around);
}

fn walk_around(kept: Kept) {
    let size = RingSize::from_bytes(0, kept);
    let memory = RingMemory::new(size).expect("memory");
    let frames = size.frames();
    let mut ring = Ring::map(memory.try_clone().expect("another"), size).expect("mapped");
    let mut next = 0;
    for many in [1, GROUP - 1, GROUP, GROUP + 1, frames, frames - 1, 0] {
        for number in next..next + many {
            let frame = u32::try_from(number).expect("small").to_be_bytes();
            memory.put(number, 0x0800, &frame).expect("put");
        }
        let (mut seen, mut groups) = ([0; 256], 0);
        let cost = allocation_counter::measure(|| {
            let mut place = seen.iter_mut();
            let batch = ring.poll_groups(usize::MAX, |views| {
                groups += 1;
                for view in views {
                    assert_eq!((view.ethertype, view.wire_len), (0x0800, 4));
                    *place.next().expect("room") = u32::from_be_bytes(view.bytes.try_into().expect("four"));
                }
            });
            assert_eq!((batch.frames, batch.more), (many, false));
        });
        let wanted: Vec<u32> =
            (next..next + many).map(|number| u32::try_from(number).expect("small")).collect();
        assert_eq!((&seen[..many], groups, cost.count_total), (&wanted[..], many.div_ceil(GROUP), 0));
        next += many;
    }
}
