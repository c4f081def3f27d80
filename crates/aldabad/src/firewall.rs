//! `aldabad firewall`: aldaba's own table without the daemon, so that ports are guarded before the network is up.

use std::path::PathBuf;
use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Options, Policy};
use aldaba_sys::nft::{Nft, NftError};
use clap::{Args, Subcommand};

use crate::cli::DEFAULT_CONFIG;
use crate::log::aside;
use crate::monitor::own_table;
use crate::site::{Failed, command};

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

#[derive(Debug, Clone, Copy, Subcommand)]
enum FirewallCommand {
    /// Make aldaba's own table what the configuration says: from now on its ports are closed for whoever has not knocked
    Apply,
    /// Take aldaba's own table away: its ports stand open, as far as no other table closes them
    Remove,
}

/// Runs the command.
#[must_use]
pub fn run(args: &FirewallArgs, own_uid: u32) -> ExitCode {
    let done = load(args, own_uid).and_then(|policy| match args.command {
        FirewallCommand::Apply => apply(args, &policy),
        FirewallCommand::Remove => remove(args, &policy),
    });
    done.map_or_else(|failed| failed.told(), |()| ExitCode::SUCCESS)
}

fn load(args: &FirewallArgs, own_uid: u32) -> Result<Policy, Failed> {
    // A key that is loose, or is not there yet at boot, must not leave the ports open.
    let options = Options { own_uid, keyless: true, ..Options::default() };
    let loaded = aldaba_config::load(Kind::of(&args.config), &args.config, &mut Disk, &options);
    Ok(loaded.map_err(Failed::Config)?.policy)
}

fn apply(args: &FirewallArgs, policy: &Policy) -> Result<(), Failed> {
    let table = own_table(policy);
    if table.doors.is_empty() && table.spa.is_none() {
        aside(
            "no door guards ports in a table of aldaba's own, and there is no [spa]: there is nothing to apply",
        );
        return Ok(());
    }
    Nft::open().and_then(|mut nft| nft.ensure_own_table(&table)).map_err(|error| failed(&error))?;
    aside(&format!(
        "table inet {} guards {} doors; established connections stay",
        table.name,
        table.doors.len()
    ));
    aside(&format!("next: {}", command(&args.config, "run")));
    Ok(())
}

fn remove(args: &FirewallArgs, policy: &Policy) -> Result<(), Failed> {
    let table = own_table(policy);
    Nft::open().and_then(|mut nft| nft.remove_own_table(&table.name)).map_err(|error| failed(&error))?;
    aside(&format!(
        "table inet {} is gone: what it guarded stands open, as far as no other table closes it",
        table.name
    ));
    aside(&format!("next, to guard it again: {}", command(&args.config, "firewall apply")));
    Ok(())
}

fn failed(error: &NftError) -> Failed {
    let help = match error {
        NftError::Denied => "run it with sudo",
        NftError::NoNftables => "load the kernel module nf_tables, or give doors start and stop commands",
        _ => "see nft list ruleset",
    };
    Failed::new(error, help)
}
