//! What is open in a table of aldaba's that another one of its own takes the place of.

use std::net::IpAddr;

use super::own::long;
use super::table::TableSpec;
use super::{Batch, NEW_ELEMENT, Nft, NftError, SetName, set};

/// The attribute with the milliseconds an element has left (`NFTA_SET_ELEM_EXPIRATION`).
const EXPIRES: u16 = 5;

/// What is to be in a set: each address with the milliseconds it has left.
pub(super) struct Carried {
    set: SetName,
    elements: Vec<(IpAddr, Option<u64>)>,
}

impl Carried {
    pub(super) fn write(&self, batch: &mut Batch) {
        for some in self.elements.chunks(Nft::MOST_TOGETHER) {
            batch.list(NEW_ELEMENT, &self.set, some);
        }
    }
}

impl Nft {
    /// What stands in the sets of this table's doors in tables of these names. What nothing ends is no lease, and stays behind.
    pub(super) fn carried(&mut self, spec: &TableSpec, old: &[String]) -> Result<Vec<Carried>, NftError> {
        let mut carried = Vec::new();
        let sets = old.iter().flat_map(|table| spec.all_sets().map(move |set| (table, set)));
        for (table, set) in sets {
            let mut elements = Vec::new();
            self.each_element(&SetName { table: table.clone(), ..set.clone() }, |element| {
                let left = long(element, EXPIRES).filter(|left| *left > 0);
                elements
                    .extend(set::begins_with(element).zip(left).map(|(address, left)| (address, Some(left))));
            })?;
            if !elements.is_empty() {
                carried.push(Carried { set, elements });
            }
        }
        Ok(carried)
    }
}
