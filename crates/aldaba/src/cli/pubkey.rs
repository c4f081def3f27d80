//! `aldaba pubkey`

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::comment::Comment;
use super::output::Output;
use super::{Failed, Told};
use crate::environment::Environment;
use crate::key_file::{self, Secret};

/// Stands below the options.
const AFTER: &str = "\
What is printed is a line for a server's authorized_keys. Without FILE the secret
key is read from standard input, or from ~/.config/aldaba/id if standard input is
a terminal.

Example: aldaba pubkey -C ana/laptop";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// A file of secret keys; - for standard input
    file: Option<PathBuf>,
    /// What stands behind the public key, instead of user@host
    #[arg(short = 'C', long, value_name = "TEXT")]
    comment: Option<Comment>,
}

impl Args {
    fn secrets(&self, environment: &Environment) -> Result<Vec<Secret>, Failed> {
        match &self.file {
            Some(path) if path != Path::new("-") => Ok(key_file::open(path)?),
            None if io::stdin().is_terminal() => {
                let path = environment.identity();
                Ok(key_file::open(&path.ok_or_else(|| {
                    Failed::usage("no home folder is known", "name the file: aldaba pubkey FILE")
                })?)?)
            }
            _ => Ok(key_file::read(io::stdin().lock(), Path::new("standard input"))?),
        }
    }
}

/// Prints the public key of each secret one.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write) -> Told {
    let secrets = args.secrets(environment)?;
    let comment = args.comment.clone().unwrap_or_else(|| Comment::of(environment));
    let mut output = Output::new(out);
    for secret in &secrets {
        output.line(comment.line(&secret.public_text()));
    }
    Ok(output.finish()?)
}
