//! `aldabad user`: the devices that may knock, and the bundles by which they learn how.

mod add;
pub mod bundle;
mod lines;
mod list;
mod rekey;
pub mod reload;
mod remove;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::{AskArgs, DEFAULT_CONFIG};
use crate::site::{Failed, Site};
use crate::surroundings::Surroundings;
use aldaba_gate::spa::Host;

/// `aldabad user`.
#[derive(Debug, Clone, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    command: UserCommand,
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
    /// The running daemon's control socket [default: the configuration's `control`, or /run/aldaba/control.sock]
    #[arg(long, value_name = "PATH", global = true)]
    control: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum UserCommand {
    /// Let a device knock, and print the bundle it needs
    Add(AddArgs),
    /// Show who may knock
    List,
    /// Take devices away: what they hold open is closed
    Remove(RemoveArgs),
    /// Print the bundle of a device again: for new hosts, doors or server keys
    Bundle(BundleArgs),
    /// Give a device a new pre-shared key: its old bundle ends
    Rekey(BundleArgs),
}

/// `aldabad user add`.
#[derive(Debug, Clone, Args)]
struct AddArgs {
    /// Whose device it is: alice, or alice/laptop
    name: String,
    /// The line that `aldaba keygen` or `aldaba pubkey` printed on the device [default: read from standard input]
    #[arg(value_name = "KEY-LINE")]
    key: Vec<String>,
    /// A door it may open [default: every door that is opened by datagrams]
    #[arg(long, value_name = "DOOR")]
    door: Vec<String>,
    /// A network it may knock from, as 192.0.2.0/24 [default: everywhere]
    #[arg(long, value_name = "NETWORK")]
    from: Vec<String>,
    /// The longest it may ask for, as 1h
    #[arg(long, value_name = "TIME")]
    max_lease: Option<String>,
    /// How many leases its user may hold at a time
    #[arg(long, value_name = "NUMBER")]
    max_leases: Option<u16>,
    /// The day from which it is refused, as 2027-01-01 (UTC)
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Take only requests that name the address they come from
    #[arg(long)]
    bind: bool,
    /// Let it open doors for other addresses than its own
    #[arg(long)]
    delegate: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// `aldabad user remove`.
#[derive(Debug, Clone, Args)]
struct RemoveArgs {
    /// alice/laptop, alice, or a public key
    name: String,
    /// All devices of this user
    #[arg(long)]
    all: bool,
}

/// `aldabad user bundle` and `aldabad user rekey`.
#[derive(Debug, Clone, Args)]
struct BundleArgs {
    /// alice/laptop, alice, or a public key
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// What stands in a bundle, and where it goes.
#[derive(Debug, Clone, Args)]
struct OutputArgs {
    /// Where clients find this server, in place of what the configuration says
    #[arg(long, value_name = "NAME-OR-ADDRESS")]
    host: Vec<Host>,
    /// Seal the bundle with a one-time code too, to be passed by another way: it proves who made the bundle
    #[arg(long)]
    code: bool,
    /// Write the bundle into this new file in place of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
#[must_use]
pub fn run(args: &UserArgs, surroundings: &Surroundings) -> ExitCode {
    let server = AskArgs { config: args.config.clone(), control: args.control.clone() };
    let done = Site::open(&server, surroundings).and_then(|site| match &args.command {
        UserCommand::Add(args) => add::run(&site, args),
        UserCommand::List => list::run(&site),
        UserCommand::Remove(args) => remove::run(&site, args),
        UserCommand::Bundle(args) => again(&site, args),
        UserCommand::Rekey(args) => rekey::run(&site, args),
    });
    done.map_or_else(|failed: Failed| failed.told(), |()| ExitCode::SUCCESS)
}

fn again(site: &Site, args: &BundleArgs) -> Result<(), Failed> {
    let registry = lines::Registry::read(site.registry())?;
    let line = registry.one(&args.name)?;
    let device = bundle::device(site, line.key()).ok_or_else(|| disabled(site, &line))?;
    bundle::hand_over(site, device, &args.output)
}

/// A line that is there and does not count.
fn disabled(site: &Site, line: &lines::Line<'_>) -> Failed {
    let why = site.found_at(site.registry(), line.number).next();
    let why = why.map_or_else(|| "its line cannot be read".to_owned(), |found| found.message.clone());
    let what = format!("{} does not count: {why}", line.name);
    Failed::new(what, format!("mend line {} of {}", line.number, site.registry().display()))
}
