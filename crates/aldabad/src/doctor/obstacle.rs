//! A chain that drops also what comes from those who may come in: whose it is, and what helps.

use std::path::{Path, PathBuf};

use aldaba_sys::nft::{ChainName, Guarding, Nft};

use crate::own_table;
use crate::site::command;

/// Tables with a guard such as aldaba's, and whose they are.
pub(super) struct Guards {
    config: PathBuf,
    tables: Vec<Guarding>,
}

impl Guards {
    pub(super) fn of(config: &Path, nft: &mut Nft) -> Self {
        let mark = std::path::absolute(config).map(|config| own_table::mark(&config));
        let tables = mark.ok().and_then(|mark| nft.guarding_tables(&[mark]).ok());
        Self { config: config.to_owned(), tables: tables.unwrap_or_default() }
    }

    /// What helps where the guard of aldaba's own table stands in the way, under another name than the configuration's now, or
    /// though no door needs it; `None`: the chain is somebody else's.
    pub(super) fn help(&self, chain: &ChainName) -> Option<String> {
        let found = self.tables.iter().find(|found| chain.is_guard_of(&found.table))?;
        let kept = own_table::keeper(&found.table);
        let table = &found.table;
        if found.is_ours {
            let words = if kept.is_some() { "reload" } else { "firewall apply" };
            return Some(format!(
                "table inet {table} is aldaba's own, of an earlier state of this configuration; this puts in its place what the \
                 configuration says now: {}",
                command(&self.config, words)
            ));
        }
        let whose = match kept {
            Some(kept) => format!("{kept}, for another configuration: these ports are that one's"),
            None => format!("table inet {table} guards for another configuration, of which no daemon runs"),
        };
        Some(format!(
            "{whose}; give each port to one of them, or take that table away: aldabad firewall remove --config ITS-FILE, or \
             nft delete table inet {table} where that file is gone"
        ))
    }
}
