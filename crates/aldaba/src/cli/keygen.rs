//! `aldaba keygen`

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use aldaba_spa::{KeyKind, SecretKey};
use zeroize::Zeroizing;

use super::comment::{Comment, quoted};
use super::{Failed, Told};
use crate::environment::Environment;
use crate::private_file::{self, PrivateFileError};
use crate::random;

/// Stands below the options.
const AFTER: &str = "\
The secret key goes to ~/.config/aldaba/id if standard output is a terminal, and
to standard output if it is not. The public key, which is what a server needs to
know, is said on standard error.

Examples: aldaba keygen
          aldaba keygen -o other-key
          aldaba keygen | aldaba pubkey";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// A new file for the secret key; - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What stands behind the public key, instead of user@host
    #[arg(short = 'C', long, value_name = "TEXT")]
    comment: Option<Comment>,
}

/// Where the key goes.
enum Target {
    Stdout,
    File(PathBuf),
    /// The file of this user's own key, with its folder.
    Identity(PathBuf),
}

impl Args {
    fn target(&self, environment: &Environment) -> Result<Target, Failed> {
        match &self.output {
            Some(path) if path == Path::new("-") => Ok(Target::Stdout),
            Some(path) => Ok(Target::File(path.clone())),
            None if io::stdout().is_terminal() => {
                environment.identity().map(Target::Identity).ok_or_else(|| {
                    Failed::Usage(
                        "no home folder is known\n  help: say where the key goes: aldaba keygen -o FILE"
                            .into(),
                    )
                })
            }
            None => Ok(Target::Stdout),
        }
    }
}

/// Makes a key.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let target = args.target(environment)?;
    let random = random::bytes().map_err(|error| Failed::key(error, "run this again"))?;
    let key = SecretKey::new(&random);
    let line = Zeroizing::new(format!("{}\n", *key.expose_text(KeyKind::DeviceSecret)));
    match &target {
        Target::Stdout => {
            warn_of_open_output(err)?;
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
        Target::File(path) => write(path, &line)?,
        Target::Identity(path) => {
            private_file::make_folder(path)?;
            write(path, &line)?;
        }
    }
    if let Target::File(path) | Target::Identity(path) = &target {
        writeln!(err, "secret key: {}", path.display())?;
    }
    let comment = args.comment.clone().unwrap_or_else(|| Comment::of(environment));
    let public = comment.line(&key.public().to_text(KeyKind::Device));
    writeln!(err, "public key: {public}")?;
    writeln!(err, "next, on the server: aldabad user add NAME {}", quoted(&public))?;
    Ok(())
}

fn write(path: &Path, line: &str) -> Told {
    private_file::create(path, line).map_err(|error| match &error {
        PrivateFileError::Exists(_) => Failed::Key(format!(
            "{error}\n  help: its public key: aldaba pubkey {0}\n  help: another key: aldaba keygen -o OTHER-FILE",
            path.display()
        )),
        PrivateFileError::Write(_, source) if source.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path).display();
            Failed::Key(format!("{error}\n  help: make its folder first: mkdir -p -m 0700 {folder}"))
        }
        _ => error.into(),
    })
}

/// A shell makes a file with the mode that it makes all files with.
fn warn_of_open_output(err: &mut dyn Write) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let file = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if let Some(mode) = private_file::open_mode(&file.metadata()?) {
            let help = "  help: chmod 600 it, and next time: aldaba keygen -o FILE";
            writeln!(
                err,
                "warning: the secret key goes to a file that is open to others (mode {mode:04o})\n{help}"
            )?;
        }
    }
    Ok(())
}
