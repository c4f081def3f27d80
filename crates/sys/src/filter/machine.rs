//! A small machine for classic BPF, for tests: what the kernel would do with our programs.

use super::Insn;

/// A packet as the kernel has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) ethertype: u16,
    /// The stripped tag.
    pub(super) vlan: Option<u16>,
}

impl Packet {
    fn load(&self, at: u32, width: u32) -> Option<u32> {
        match at {
            0xffff_f000 => return Some(u32::from(self.ethertype)),
            0xffff_f02c => return Some(u32::from(self.vlan.unwrap_or(0x0fff))),
            0xffff_f030 => return Some(u32::from(self.vlan.is_some())),
            _ => {}
        }
        let bytes = self.bytes.get(at as usize..(at as usize).checked_add(width as usize)?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }
}

/// Verdict and number of instructions executed. Checks what the kernel checks when a program is attached.
pub(super) fn run(program: &[Insn], packet: &Packet) -> (bool, usize) {
    assert_eq!(program.last().map(|insn| insn.code), Some(0x06), "the kernel wants a verdict at the end");
    let (mut a, mut x, mut at, mut executed) = (0_u32, 0_u32, 0, 0);
    loop {
        let insn = program[at];
        executed += 1;
        at += 1;
        let loaded = match insn.code {
            0x20 => packet.load(insn.k, 4),
            0x28 => packet.load(insn.k, 2),
            0x30 => packet.load(insn.k, 1),
            0x48 => packet.load(x.checked_add(insn.k).unwrap(), 2),
            0x50 => packet.load(x.checked_add(insn.k).unwrap(), 1),
            0x01 => {
                x = insn.k;
                continue;
            }
            0xb1 => match packet.load(insn.k, 1) {
                Some(byte) => {
                    x = 4 * (byte & 15);
                    continue;
                }
                None => None,
            },
            0x54 => Some(a & insn.k),
            0x05 => {
                at += insn.k as usize;
                continue;
            }
            0x06 => return (insn.k > 0, executed),
            0x15 | 0x25 | 0x35 | 0x45 => {
                let holds = match insn.code {
                    0x15 => a == insn.k,
                    0x25 => a > insn.k,
                    0x35 => a >= insn.k,
                    _ => a & insn.k != 0,
                };
                at += usize::from(if holds { insn.jt } else { insn.jf });
                continue;
            }
            other => panic!("instruction {other:#x}"),
        };
        // A load beyond the packet ends the program with a drop.
        let Some(loaded) = loaded else {
            return (false, executed);
        };
        a = loaded;
    }
}
