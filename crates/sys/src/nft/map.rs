//! The maps that lead a packet from its port to the rules of the doors there ([`super::ports`]).
//!
//! Single ports stand in a map that the kernel hashes: a packet costs the same however many there are. Ranges have another, in which it
//! halves them until one is left.
//!
//! A map has no name, and so belongs to the one rule that asks it: nobody can change what is in it, and it goes with its rule.

use super::expression::Rule;
use super::ports::{self, Piece, Turn};
use super::table::{DoorSpec, Rules};
use super::{Batch, Family, NEW_CHAIN, NEW_ELEMENT, NEW_SET};
use crate::netlink::{Builder, CREATE};

/// The kernel puts a number into its name.
const NAME: &str = "__map%d";
/// Anonymous, constant, to something.
const FLAGS: u32 = 0xb;
/// Of ranges.
const INTERVAL: u32 = 0x4;
/// What `nft` shows the keys as, and how long they are.
const TYPE_PORT: u32 = 13;
const PORT_LENGTH: u32 = 2;
/// What they lead to.
const TYPE_VERDICT: u32 = 0xffff_ff00;
/// The verdict that leads to a chain and does not come back (`NFT_GOTO`).
pub(super) const GOTO: i32 = -4;
/// The one that ends a packet (`NF_DROP`).
pub(super) const DROP: i32 = 0;
/// Marks the end of a range (`NFT_SET_ELEM_INTERVAL_END`).
const END: u32 = 1;
/// Elements in one message: a list's length has 16 bits.
const TOGETHER: usize = 256;
/// Identities of maps within a transaction; those of sets begin at the other end.
const FIRST: u32 = 1 << 31;

/// Where single ports of one protocol, or ranges of them, lead to.
#[derive(Debug)]
pub(super) struct Map<'d> {
    cuts: bool,
    udp: bool,
    ranges: bool,
    pieces: Vec<Piece<'d>>,
}

impl<'d> Map<'d> {
    /// Those of these doors' ports, of those that cut connections or of those that do not. None is empty.
    pub(super) fn of(doors: &'d [DoorSpec], cuts: bool) -> Vec<Self> {
        let doors: Vec<&DoorSpec> = doors.iter().filter(|door| door.cuts == cuts).collect();
        let of = |udp| {
            let (single, ranges) = ports::pieces(&doors, udp).into_iter().partition(Piece::is_single);
            [(false, single), (true, ranges)].map(|(ranges, pieces)| Self { cuts, udp, ranges, pieces })
        };
        [false, true].into_iter().flat_map(of).filter(|map| !map.pieces.is_empty()).collect()
    }

    pub(super) const fn cuts(&self) -> bool {
        self.cuts
    }

    pub(super) const fn udp(&self) -> bool {
        self.udp
    }

    /// Its identity within a transaction.
    pub(super) fn id(&self) -> u32 {
        FIRST | u32::from(self.ranges) << 2 | u32::from(self.cuts) << 1 | u32::from(self.udp)
    }

    /// Whether this port or a higher one is among its own.
    pub(super) fn reaches(&self, port: u16) -> bool {
        self.pieces.last().is_some_and(|piece| piece.last >= port)
    }

    /// The doors of each of its pieces.
    pub(super) fn doors(&self) -> impl Iterator<Item = &[&'d DoorSpec]> {
        self.pieces.iter().map(|piece| &*piece.doors)
    }

    /// The chains it leads to.
    pub(super) fn chains(&self) -> Vec<String> {
        self.pieces.iter().filter(|piece| !piece.is_shut()).map(Piece::chain).collect()
    }

    /// Ports, or where ranges begin, with what becomes of them; and where ranges end.
    pub(super) fn elements(&self) -> Vec<(u16, Turn)> {
        if self.ranges {
            ports::elements(&self.pieces)
        } else {
            self.pieces.iter().map(|piece| (piece.first, piece.turn())).collect()
        }
    }

    /// The chains, still without rules.
    pub(super) fn write_chains(&self, batch: &mut Batch, table: &str) {
        for chain in self.chains() {
            batch.message(NEW_CHAIN, CREATE, Family::Inet);
            batch.builder.put_text(1, table);
            batch.builder.put_text(3, &chain);
        }
    }

    /// The map itself.
    pub(super) fn write(&self, batch: &mut Batch, table: &str) {
        batch.message(NEW_SET, CREATE, Family::Inet);
        batch.builder.put_text(1, table);
        batch.builder.put_text(2, NAME);
        batch.builder.put_be32(3, if self.ranges { FLAGS | INTERVAL } else { FLAGS });
        batch.builder.put_be32(4, TYPE_PORT);
        batch.builder.put_be32(5, PORT_LENGTH);
        batch.builder.put_be32(6, TYPE_VERDICT);
        batch.builder.put_be32(10, self.id());
        if !self.ranges {
            // How many there will be: the kernel makes a table of that size.
            let size = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
            batch.builder.nest(9, |description| description.put_be32(1, size));
        }
        for elements in self.elements().chunks(TOGETHER) {
            batch.message(NEW_ELEMENT, CREATE, Family::Inet);
            batch.builder.put_text(1, table);
            batch.builder.put_text(2, NAME);
            batch.builder.put_be32(4, self.id());
            batch.builder.nest(3, |list| elements.iter().for_each(|element| put(list, element)));
        }
    }

    /// The rule in `chain` that asks it.
    pub(super) fn ask(&self, chain: &str, rules: &mut Rules) {
        rules.add(chain, |rule| rule.destination_port_leads(self.udp, NAME, self.id()));
    }

    /// The rules of its chains: they let the doors' members in, and nobody else.
    pub(super) fn write_rules(&self, rules: &mut Rules) {
        for piece in self.pieces.iter().filter(|piece| !piece.is_shut()) {
            let chain = piece.chain();
            for door in piece.doors.iter().filter(|door| !door.later) {
                for ipv6 in [false, true] {
                    rules.add(&chain, |rule| rule.source_in(&door.set(ipv6), ipv6).accept());
                }
            }
            rules.add(&chain, |rule: &mut Rule<'_>| {
                rule.drop();
            });
        }
    }
}

/// An element: what becomes of packets to this port and those behind it.
fn put(list: &mut Builder, (port, turn): &(u16, Turn)) {
    list.nest(1, |element| {
        element.nest(1, |key| key.put(1, &port.to_be_bytes()));
        match turn {
            Turn::End => element.put_be32(3, END),
            Turn::Shut => element.nest(2, |data| data.nest(2, |verdict| put_verdict(verdict, DROP))),
            Turn::To(chain) => element.nest(2, |data| {
                data.nest(2, |verdict| {
                    put_verdict(verdict, GOTO);
                    verdict.put_text(2, chain);
                });
            }),
        }
    });
}

fn put_verdict(verdict: &mut Builder, code: i32) {
    verdict.put_be32(1, code.cast_unsigned());
}
