//! The worker's copy of the policy, built from the same bytes as the monitor's.

use aldaba_config::{Bundle, Policy, Receive, Spa};
use aldaba_gate::spa::{DoorTag, Locks, Psks, Registry, Served, ServedDoor};
use aldaba_gate::{Rules, SpaRules};
use aldaba_sys::random;

/// What the gate goes by.
pub(super) struct Made {
    pub(super) rules: Rules,
    pub(super) spa: Option<SpaRules>,
    /// The devices' keys, in the registry's order.
    pub(super) devices: Vec<[u8; 32]>,
}

/// The gate's rules in a bundle of the policy's files. What is wrong with it was said by the monitor, who read the
/// same bytes before; here it only means that the policy is not taken.
pub(super) fn made(bundle: &[u8]) -> Option<Made> {
    let bundle = Bundle::decode(bundle).ok()?;
    let Policy { gate: rules, spa, .. } = bundle.policy().ok()?;
    let Some(spa) = spa else { return Some(Made { rules, spa: None, devices: Vec::new() }) };
    let devices = spa.devices.iter().map(|device| *device.key.as_bytes()).collect();
    let spa = Some(served(spa, &rules)?);
    Some(Made { rules, spa, devices })
}

fn served(spa: Spa, rules: &Rules) -> Option<SpaRules> {
    let doors = (0_u32..).zip(&rules.doors).filter_map(|(number, door)| {
        Some((DoorTag::of(&door.name)?, ServedDoor { number, rule: door.spa? }))
    });
    let served = Served {
        doors: doors.collect(),
        locks: Locks::new(spa.locks).ok()?,
        registry: Registry::new(spa.devices, random::bytes().ok()?).ok()?,
        window: spa.window,
        psks: spa.psk_seed.map_or(Psks::None, Psks::Seed),
    };
    Some(SpaRules { port: (spa.receive == Receive::Capture).then_some(spa.port), served })
}
