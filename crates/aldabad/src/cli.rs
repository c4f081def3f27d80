//! `aldabad`'s command line.

use std::net::IpAddr;
use std::path::PathBuf;

use aldaba_config::Disk;
use clap::{Args, Parser, Subcommand};

use crate::apply::ApplyArgs;
use crate::control::{self, About};
use crate::doctor::DoctorArgs;
use crate::firewall::FirewallArgs;
use crate::hand::{CloseArgs, LeasesArgs, OpenArgs};
use crate::init::InitArgs;
use crate::reap::ReapArgs;
use crate::rotate::RotateArgs;
use crate::status::StatusArgs;
use crate::surroundings::Surroundings;
use crate::users::UserArgs;

/// Where the configuration stands when nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/aldaba/aldaba.toml";

/// Opens closed firewall ports for those who knock.
#[derive(Debug, Parser)]
#[command(name = "aldabad", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `aldabad` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Run(RunArgs),
    /// Check a configuration, explain it, or run captured packets through it
    Check(CheckArgs),
    /// Say what became of a knock: of an address, or of a datagram by the id its client shows
    Why(WhyArgs),
    /// Say how the running daemon is, and what does not work at this moment
    Status(StatusArgs),
    /// Show who is inside: every door that is open, for whom, and for how long
    Leases(LeasesArgs),
    /// Open a door by hand
    Open(OpenArgs),
    /// Close by hand whatever is open for an address, or one door
    Close(CloseArgs),
    /// Make the running daemon read its configuration again, and say what came of it
    Reload(AskArgs),
    /// End what a daemon that is gone has left open, each at its time
    Reap(ReapArgs),
    /// Put a new configuration into force, with --confirm on trial: without a knock it rolls back
    Apply(ApplyArgs),
    /// Look for what would shut an administrator out or leave a door open; changes nothing
    Doctor(DoctorArgs),
    /// Make what a server of key holders needs: keys, registry, stores, configuration
    Init(InitArgs),
    /// Guard ports without the daemon, or no longer
    Firewall(FirewallArgs),
    /// Turn to a new server key, beside the old one until a date
    Rotate(RotateArgs),
    /// Let devices knock, and take that back
    User(UserArgs),
    /// Show on this machine, in two network namespaces, how a door opens and closes
    Demo(DemoArgs),
}

/// `aldabad run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The configuration: `.toml` is aldaba's own, anything else is read as knockd.conf
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Capture on this interface only, whatever the configuration says
    #[arg(short, long, value_name = "IF")]
    pub interface: Vec<String>,
    /// Keep leases here [default: `$STATE_DIRECTORY`, the configuration's `state-dir`, or /var/lib/aldaba]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Answer `aldabad reload` and its like at this socket [default: the configuration's `control`, or /run/aldaba/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// At the end, keep leases for the next start or `aldabad reap`, unless the configuration's `on-exit` says otherwise
    #[arg(long)]
    pub keep: bool,
    /// Where the configuration has errors, start with the policy that was last in force, and say so, in place of ending with status 2
    #[arg(long, conflicts_with = "confirm")]
    pub or_last_in_force: bool,
    /// A first start on trial: without a knock that opens a door within this time it ends, and opens what it has closed
    #[arg(long, value_name = "TIME", value_parser = crate::apply::time)]
    pub confirm: Option<u64>,
    /// Run a worker that could not be confined (seccomp missing), loudly
    #[arg(long)]
    pub insecure_no_sandbox: bool,
}

/// `aldabad check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The configuration [default: /etc/aldaba/aldaba.toml, or /etc/knockd.conf where only that exists]
    #[arg(value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the policy as aldaba.toml: the way from knockd.conf to aldaba.toml
    #[arg(long, conflicts_with = "pcap")]
    pub explain: bool,
    /// Run the packets of this capture file (pcap or pcapng) through the policy and say what each source did
    #[arg(long, value_name = "CAPTURE")]
    pub pcap: Option<PathBuf>,
    /// With --pcap: an address of the host; only packets to these count [default: any destination]
    #[arg(long, value_name = "ADDRESS", requires = "pcap")]
    pub address: Vec<IpAddr>,
}

/// `aldabad why`.
#[derive(Debug, Clone, Args)]
pub struct WhyArgs {
    /// The client's address as this host sees it, or the knock id its client and the log show (16 hexadecimal digits)
    #[arg(value_name = "ADDRESS|KNOCK-ID", value_parser = about)]
    pub about: About,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon
    #[command(flatten)]
    pub ask: AskArgs,
}

fn about(text: &str) -> Result<About, String> {
    let address = text.parse().ok().map(|address: IpAddr| About::Address(address.to_canonical()));
    let id = || control::parse_id(text).map(About::Id);
    address.or_else(id).ok_or_else(|| "neither an address nor a knock id of 16 hexadecimal digits".to_owned())
}

/// Which running daemon is asked.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The configuration the daemon was started with: it says where its socket is
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The daemon's control socket [default: the configuration's `control`, or /run/aldaba/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

impl AskArgs {
    /// Where that daemon answers.
    #[must_use]
    pub fn socket(&self, surroundings: &Surroundings) -> PathBuf {
        let configured = aldaba_config::control_socket(&self.config, &mut Disk);
        control::socket(self.control.as_deref(), configured, surroundings.runtime_folder())
    }
}

/// `aldabad demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// No pauses for the reader
    #[arg(long)]
    pub fast: bool,
}
