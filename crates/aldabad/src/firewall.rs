//! `aldabad firewall`: aldaba's own table without the daemon, so that ports are guarded before the network is up.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Options, Policy};
use aldaba_sys::nft::{Guarding, Mark, Nft, NftError, TableSpec};
use clap::{Args, Subcommand};

use crate::cli::DEFAULT_CONFIG;
use crate::last_in_force::LastInForce;
use crate::log::aside;
use crate::monitor::{is_needed, own_table as spec};
use crate::own_table;
use crate::run::state_folder;
use crate::site::{Failed, command, paint};
use crate::surroundings::Surroundings;

/// The configuration has errors, and nothing was changed.
const BAD_CONFIG: u8 = 2;
/// It has errors, and what was last in force guards the ports.
const LAST_IN_FORCE: u8 = 3;

/// `aldabad firewall`.
#[derive(Debug, Clone, Args)]
pub struct FirewallArgs {
    /// What to do.
    #[command(subcommand)]
    command: FirewallCommand,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
enum FirewallCommand {
    /// Make aldaba's own table what the configuration says: from now on its ports are closed for whoever has not knocked. With errors
    /// there, it is made as it was last in force, and the exit status is 3
    Apply {
        /// Where the daemon has written down what was last in force [default: as for `aldabad run`]
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
    },
    /// Take aldaba's own table away: its ports stand open, as far as no other table closes them
    Remove,
}

/// Runs the command.
#[must_use]
pub fn run(args: &FirewallArgs, surroundings: &Surroundings) -> ExitCode {
    // A key that is loose, or is not there yet at boot, must not leave the ports open.
    let options = Options { own_uid: surroundings.uid, keyless: true, ..Options::default() };
    let loaded = aldaba_config::load(Kind::of(&args.config), &args.config, &mut Disk, &options);
    let done = match &args.command {
        FirewallCommand::Apply { state_dir } => match loaded {
            Ok(loaded) => apply(args, &loaded.policy, &folder(args, state_dir.clone(), surroundings)),
            Err(report) => {
                aside(&report.render(paint()));
                apply_last(args, &folder(args, state_dir.clone(), surroundings), &options)
            }
        },
        FirewallCommand::Remove => {
            let folder = folder(args, None, surroundings);
            loaded.map_err(Failed::Config).and_then(|loaded| remove(args, &loaded.policy, &folder))
        }
    };
    done.unwrap_or_else(|failed| failed.told())
}

/// The state folder of this configuration's daemon.
fn folder(args: &FirewallArgs, state_dir: Option<PathBuf>, surroundings: &Surroundings) -> PathBuf {
    let configured = aldaba_config::state_dir(&args.config, &mut Disk);
    state_folder(state_dir, surroundings.state_directory.as_deref(), configured.as_deref())
}

/// The table as it was last in force: a configuration with errors must not leave the ports open either.
fn apply_last(args: &FirewallArgs, folder: &Path, options: &Options) -> Result<ExitCode, Failed> {
    let config = std::path::absolute(&args.config).map_err(Failed::kernel("the current folder"))?;
    let last = LastInForce::find(folder, &config, options.own_uid);
    let policy = match last.and_then(|last| last.load(options)) {
        Ok(policy) => policy,
        Err(none) => {
            aside(&none.told());
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    apply(args, &policy, folder)?;
    aside(&format!(
        "aldabad: {} has errors: this is the table as it was last in force\n  help: mend it, then run: {}",
        config.display(),
        command(&args.config, "firewall apply")
    ));
    Ok(ExitCode::from(LAST_IN_FORCE))
}

fn apply(args: &FirewallArgs, policy: &Policy, folder: &Path) -> Result<ExitCode, Failed> {
    let table = table(args, policy)?;
    let is_needed = is_needed(&table);
    let earlier = own_table::noted(folder);
    let old = Nft::open().and_then(|mut nft| own_table::left_behind(&mut nft, &table, &earlier, is_needed));
    let old = match old {
        Err(NftError::NoNftables) if !is_needed => Vec::new(),
        old => old.map_err(|error| failed(&error))?,
    };
    // A daemon would put back what it keeps, and both would guard the ports.
    if let Some(kept) = old.iter().find_map(|name| own_table::keeper(name)) {
        let help =
            format!("nothing was changed; let the daemon change it: {}", command(&args.config, "reload"));
        return Err(Failed::new(&kept, &help));
    }
    if is_needed { make(args, &table, &earlier, &old) } else { clear(&old) }
}

fn make(
    args: &FirewallArgs,
    table: &TableSpec,
    earlier: &[Mark],
    old: &[String],
) -> Result<ExitCode, Failed> {
    not_anothers(&table.name)?;
    let made = Nft::open().and_then(|mut nft| {
        let is_anothers = |found: &Guarding| found.table == table.name && !found.is_ours;
        let another = nft.guarding_tables(&[&[table.mark], earlier].concat())?.iter().any(is_anothers);
        let kept = another.then(|| own_table::keeper(&table.name)).flatten();
        if kept.is_none() {
            nft.ensure_in_place_of(table, old)?;
        }
        Ok(kept)
    });
    if let Some(kept) = made.map_err(|error| failed(&error))? {
        let help = "nothing was changed; give this configuration a table of its own: [firewall] table";
        return Err(Failed::new(&kept, help));
    }
    aside(&format!(
        "table inet {} guards {} doors; established connections stay",
        table.name,
        table.doors.len()
    ));
    say_gone(old);
    aside(&format!("next: {}", command(&args.config, "run")));
    Ok(ExitCode::SUCCESS)
}

/// Nobody else's table is replaced or taken away.
fn not_anothers(table: &str) -> Result<(), Failed> {
    let mut nft = Nft::open().map_err(|error| failed(&error))?;
    own_table::anothers(&mut nft, table).map_err(|anothers| Failed::new(&anothers, own_table::ANOTHERS))
}

/// What this configuration guarded before, nothing does any more.
fn clear(old: &[String]) -> Result<ExitCode, Failed> {
    let removed = Nft::open().and_then(|mut nft| old.iter().try_for_each(|name| nft.remove_own_table(name)));
    removed.map_err(|error| failed(&error))?;
    let nothing = "no door guards ports in a table of aldaba's own, and there is no [spa]";
    aside(&if old.is_empty() { format!("{nothing}: there is nothing to apply") } else { nothing.to_owned() });
    say_gone(old);
    Ok(ExitCode::SUCCESS)
}

fn say_gone(old: &[String]) {
    for name in old {
        aside(&format!("table inet {name}, which this configuration had before, is gone"));
    }
}

fn remove(args: &FirewallArgs, policy: &Policy, folder: &Path) -> Result<ExitCode, Failed> {
    let table = table(args, policy)?;
    not_anothers(&table.name)?;
    let removed = Nft::open().and_then(|mut nft| {
        let old = own_table::left_behind(&mut nft, &table, &own_table::noted(folder), true)?;
        nft.remove_own_table(&table.name)?;
        old.iter().try_for_each(|name| nft.remove_own_table(name)).map(|()| old)
    });
    let old = removed.map_err(|error| failed(&error))?;
    aside(&format!(
        "table inet {} is gone: what it guarded stands open, as far as no other table closes it",
        table.name
    ));
    say_gone(&old);
    aside(&format!("next, to guard it again: {}", command(&args.config, "firewall apply")));
    Ok(ExitCode::SUCCESS)
}

/// The table of this configuration, which is known by its absolute path.
fn table(args: &FirewallArgs, policy: &Policy) -> Result<TableSpec, Failed> {
    let config = std::path::absolute(&args.config).map_err(Failed::kernel("the current folder"))?;
    Ok(spec(policy, own_table::mark(&config)))
}

fn failed(error: &NftError) -> Failed {
    let help = match error {
        NftError::Denied => "run it with sudo",
        NftError::NoNftables => "load the kernel module nf_tables, or give doors start and stop commands",
        _ => "see nft list ruleset",
    };
    Failed::new(error, help)
}
