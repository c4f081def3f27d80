//! Whether the table that ours is to be is somebody else's: making it would replace what stands there.
//!
//! One that bears a mark is aldaba's, whichever configuration's and whatever others have put into it. One without is as well if nothing stands there but
//! what tables of ours have had since before they bore marks: chains and sets of our names, where we have them. So is an empty one, and
//! one of which a flush has left nothing but such sets.

use super::mark::USERDATA;
use super::ruleset::{Chain, chain};
use super::table::{self, CHAIN};
use super::{Family, GET_CHAIN, GET_RULE, GET_SET, NEW_RULE, NEW_SET, Nft, NftError};
use crate::netlink::{DUMP, Message};

impl Nft {
    /// The first thing in the table of this name that aldaba has not made, as `nft` names it; `None`: there is no such table, or it is aldaba's.
    pub fn anothers(&mut self, table: &str) -> Result<Option<String>, NftError> {
        if self.bears_a_mark(table)? {
            return Ok(None);
        }
        let mut part = None;
        self.ask(GET_CHAIN, DUMP, Family::Inet, &[], |message| {
            let found = chain(message).filter(|chain| chain.name.table == table && !is_like_ours(chain));
            part = part.take().or(found.map(|chain| format!("chain {}", chain.name.chain)));
        })?;
        self.ask(GET_SET, DUMP, Family::Inet, &[(1, table)], |message| {
            let found = set(message, table).filter(|set| !table::is_of_door(set));
            part = part.take().or(found.map(|set| format!("set {set}")));
        })?;
        Ok(part)
    }

    /// Whether a rule of its guard has the mark of any configuration.
    fn bears_a_mark(&mut self, table: &str) -> Result<bool, NftError> {
        let mut found = false;
        self.ask(GET_RULE, DUMP, Family::Inet, &[(1, table), (2, CHAIN)], |message| {
            let rule = message.split(4).filter(|_| message.kind == NEW_RULE).map(|(_, rule)| rule);
            found |= rule.and_then(|rule| rule.find(USERDATA)).is_some_and(super::mark::is_any);
        })?;
        Ok(found)
    }
}

fn is_like_ours(chain: &Chain) -> bool {
    table::is_own_chain(&chain.name.chain) && table::hook_of(&chain.name.chain) == chain.hook
}

/// The name of a set that is not a rule's own.
fn set(message: &Message<'_>, table: &str) -> Option<String> {
    let (_, attributes) = message.split(4).filter(|_| message.kind == NEW_SET)?;
    let name = attributes.text(2).filter(|name| !name.starts_with("__"))?;
    (attributes.text(1)? == table).then_some(name)
}
