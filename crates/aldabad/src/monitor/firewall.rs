//! The native action: elements in nftables sets, and aldaba's own table.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_config::Policy;
use aldaba_runner::door::{Action, Catalogue, NftFamily, NftSet};
use aldaba_runner::lease::Place;
use aldaba_sys::nft::{DoorSpec, Nft, SetName, TableSpec};

use super::Monitor;

/// The kernel's firewall, opened when a policy first needs it.
#[derive(Debug)]
pub(super) struct Firewall {
    table: TableSpec,
    nft: Option<Nft>,
}

impl Firewall {
    /// Nothing is opened or made yet.
    pub(super) fn new(table: &str) -> Self {
        Self { table: TableSpec { name: table.to_owned(), doors: Vec::new() }, nft: None }
    }

    /// Makes aldaba's own table what the catalogue wants it to be; elements of doors that stay do too.
    pub(super) fn prepare(&mut self, catalogue: &Catalogue) -> Result<(), String> {
        let (doors, wanted) = own_doors(catalogue);
        if !wanted {
            return Ok(());
        }
        self.table.doors = doors;
        let table = self.table.clone();
        if table.doors.is_empty() {
            return self.nft().map(drop);
        }
        self.nft()?.ensure_own_table(&table).map_err(|error| error.to_string())
    }

    /// Puts an address into a set, or prolongs it there.
    pub(super) fn set(&mut self, place: &Place, address: IpAddr, timeout: Duration) -> Result<(), String> {
        let set = self.name(place, address)?;
        self.nft()?.add_element(&set, address, timeout).map_err(|error| error.to_string())
    }

    /// Takes an address out of a set.
    pub(super) fn delete(&mut self, place: &Place, address: IpAddr) -> Result<(), String> {
        let set = self.name(place, address)?;
        self.nft()?.delete_element(&set, address).map_err(|error| error.to_string())
    }

    fn nft(&mut self) -> Result<&mut Nft, String> {
        if self.nft.is_none() {
            self.nft = Some(Nft::open().map_err(|error| error.to_string())?);
        }
        self.nft.as_mut().ok_or_else(|| "not open".to_owned())
    }

    fn name(&self, place: &Place, address: IpAddr) -> Result<SetName, String> {
        match place {
            Place::Own { door } => {
                self.table.set_of(door, address).ok_or_else(|| format!("door {door} is gone from the policy"))
            }
            Place::Named { family, table, set } => {
                Ok(SetName { family: family_of(*family), table: table.clone(), set: set.clone() })
            }
        }
    }
}

/// aldaba's own table as a policy wants it.
#[must_use]
pub fn own_table(policy: &Policy) -> TableSpec {
    TableSpec { name: policy.daemon.table.clone(), doors: own_doors(&policy.catalogue).0 }
}

fn own_doors(catalogue: &Catalogue) -> (Vec<DoorSpec>, bool) {
    let mut doors = Vec::new();
    let mut wanted = false;
    for door in &catalogue.doors {
        let Action::Nftables(action) = &door.action else { continue };
        wanted = true;
        if let NftSet::Own { ports } = &action.set {
            doors.push(DoorSpec::new(
                &door.name,
                ports.iter().map(|range| {
                    (range.transport == aldaba_runner::door::Transport::Udp, range.first, range.last)
                }),
            ));
        }
    }
    (doors, wanted)
}

const fn family_of(family: NftFamily) -> aldaba_sys::nft::Family {
    match family {
        NftFamily::Inet => aldaba_sys::nft::Family::Inet,
        NftFamily::Ip => aldaba_sys::nft::Family::Ip,
        NftFamily::Ip6 => aldaba_sys::nft::Family::Ip6,
    }
}

impl Monitor {
    /// Makes the firewall ready for the policy in force; what fails is tried again.
    pub(super) fn prepare_firewall(&mut self, now: Duration) {
        if let Err(error) = self.firewall.prepare(&self.policy.current().policy.catalogue) {
            self.degraded(now, "firewall", &error);
        }
    }
}
