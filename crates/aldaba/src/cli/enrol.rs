//! `aldaba enrol [BUNDLE]`

mod input;

use std::fmt;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;

use aldaba_spa::{
    KeyKind, OneTimeCode, OpenError, OpenedBundle, PublicKey, SealedBundle, SecretKey, TextError,
};

use super::way::{no_home, servers, warn_of_end};
use super::{Failed, Told};
use crate::environment::Environment;
use crate::servers::{Name, Place, Server, Standing};
use crate::{clock, key_file};

/// Stands below the options.
const AFTER: &str = "\
A bundle says what this device needs to know of a server. It comes from the
server's administrator (aldabad user add), sealed for this device's key.

Anybody who knows that key can seal a bundle. So compare the server's key with
what the administrator says, or give it with --server; or give the one-time code
that came with the bundle, by another way than the bundle. A later bundle of a
server that is enrolled is known by its key.

Examples: aldaba enrol aldaba-bundle-1:...
          aldaba enrol bundle.txt --name gw
          ssh root@gw.example.net aldabad user add ... | aldaba enrol";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The bundle, or a file of it; - or nothing for standard input
    bundle: Option<String>,
    /// The one-time code that the bundle is sealed with
    #[arg(long, value_name = "CODE", value_parser = code)]
    code: Option<Code>,
    /// The public key the server must have
    #[arg(long, value_name = "KEY", value_parser = server_key)]
    server: Option<PublicKey>,
    /// What to call the server, instead of its host's name
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
}

/// A code of the command line: handed round, not copied, and never printed.
#[derive(Clone)]
struct Code(Arc<OneTimeCode>);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

fn code(text: &str) -> Result<Code, TextError> {
    OneTimeCode::from_text(text).map(|code| Code(Arc::new(code)))
}

fn server_key(text: &str) -> Result<PublicKey, TextError> {
    PublicKey::from_text(KeyKind::Server, text)
}

/// Opens a bundle and stores it.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let servers = servers(environment)?;
    let keys = device_keys(&environment.identity().ok_or_else(no_home)?)?;
    let mut asking = Asking::new(err);
    let sealed = input::bundle(args.bundle.as_deref(), &mut asking)?;
    let (device, opened, has_code) =
        open(&sealed, &keys, args.code.as_ref().map(|Code(code)| &**code), &mut asking)?;
    let place = servers.place(args.name.as_ref(), &device, &opened)?;
    let key = opened.sender.to_text(KeyKind::Server);
    if args.server.is_some_and(|wanted| wanted != opened.sender) {
        return Err(Failed::Key(format!(
            "the bundle comes from {key}, which is not the key given\n  help: do not use it; ask the administrator"
        )));
    }
    let is_known = has_code || args.server.is_some() || place.standing != Standing::New;
    if !is_known {
        asking.confirm(&key)?;
    }
    servers.store(&place, &device, &opened)?;
    tell(&place, &key, is_known, out)?;
    let Place { name, .. } = place;
    Ok(warn_of_end(&Server { name, device, bundle: opened.bundle }, clock::wall(), err)?)
}

fn tell(place: &Place, key: &str, is_known: bool, out: &mut dyn Write) -> io::Result<()> {
    let name = &place.name;
    match place.standing {
        Standing::New => writeln!(out, "enrolled: {name}")?,
        Standing::Newer => writeln!(out, "enrolled: {name}, in the place of its older bundle")?,
        Standing::Same => writeln!(out, "enrolled already: {name}, with this very bundle")?,
    }
    writeln!(out, "server's key: {key}")?;
    if !is_known {
        writeln!(out, "  compare it with what the administrator says")?;
    }
    writeln!(out, "next, to try it: aldaba hello {name}")?;
    writeln!(out, "      to open a door: aldaba open {name}")?;
    writeln!(out, "      for ssh: aldaba ssh-config {name} >> ~/.ssh/config")
}

fn device_keys(path: &Path) -> Result<Vec<SecretKey>, Failed> {
    let keys = key_file::open(path)?.into_iter().filter_map(key_file::Secret::into_device);
    let keys: Vec<SecretKey> = keys.collect();
    if keys.is_empty() {
        return Err(Failed::Key(format!(
            "{} holds no device's key\n  help: make one: aldaba keygen",
            path.display()
        )));
    }
    Ok(keys)
}

/// Opens it with whichever key it is for; asks for the code where it needs one. Whether there was a code stands last.
fn open(
    sealed: &SealedBundle,
    keys: &[SecretKey],
    code: Option<&OneTimeCode>,
    asking: &mut Asking<'_>,
) -> Result<(PublicKey, OpenedBundle, bool), Failed> {
    let mut typed = None;
    loop {
        let code = code.or(typed.as_ref());
        match with_any(sealed, keys, code) {
            Ok((device, opened)) => return Ok((device, opened, code.is_some())),
            Err(OpenError::NeedsCode) if asking.can() => typed = Some(asking.code()?),
            Err(error) => return Err(unopened(error, keys)),
        }
    }
}

fn with_any(
    sealed: &SealedBundle,
    keys: &[SecretKey],
    code: Option<&OneTimeCode>,
) -> Result<(PublicKey, OpenedBundle), OpenError> {
    let mut opened = keys.iter().map(|key| sealed.open(key, code).map(|opened| (key.public(), opened)));
    let mine = opened.find(|opened| !matches!(opened, Err(OpenError::OtherDevice)));
    mine.unwrap_or(Err(OpenError::OtherDevice))
}

fn unopened(error: OpenError, keys: &[SecretKey]) -> Failed {
    let help = match error {
        OpenError::OtherDevice => {
            let keys: Vec<String> = keys.iter().map(|key| key.public().to_text(KeyKind::Device)).collect();
            format!("this device's key is {}; ask for a bundle for that one", keys.join(" or "))
        }
        OpenError::NeedsCode => "aldaba enrol --code CODE BUNDLE".to_owned(),
        OpenError::WrongCode => {
            "was it sealed without one? then leave --code out; else ask for a new bundle".to_owned()
        }
        OpenError::Sender(_) | OpenError::Bundle(_) => "ask the administrator for a new bundle".to_owned(),
    };
    Failed::Key(format!("{error}\n  help: {help}"))
}

/// Asks the user, where there is one.
struct Asking<'a> {
    err: &'a mut dyn Write,
    is_terminal: bool,
}

impl<'a> Asking<'a> {
    fn new(err: &'a mut dyn Write) -> Self {
        Self { err, is_terminal: io::stdin().is_terminal() }
    }

    const fn can(&self) -> bool {
        self.is_terminal
    }

    fn line(&mut self, question: &str) -> Result<String, Failed> {
        write!(self.err, "{question}")?;
        self.err.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    }

    /// A line with something in it: what a paste leaves behind its last line is no answer. Empty at the end of input.
    fn answer(&mut self, question: &str) -> Result<String, Failed> {
        loop {
            let line = self.line(question)?;
            if line.is_empty() || !line.trim().is_empty() {
                return Ok(line);
            }
        }
    }

    fn code(&mut self) -> Result<OneTimeCode, Failed> {
        let text = zeroize::Zeroizing::new(self.answer("one-time code: ")?);
        OneTimeCode::from_text(&text)
            .map_err(|error| Failed::key(error, "type it as the administrator says it; it is not the bundle"))
    }

    /// Whether the key is the right one; where nobody can be asked, whoever reads what is printed decides.
    fn confirm(&mut self, key: &str) -> Told {
        if !self.is_terminal {
            return Ok(());
        }
        let question = format!("the server's key: {key}\nis that what the administrator says? [y/n] ");
        match self.answer(&question)?.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failed::Key(
                "nothing was stored\n  help: ask the administrator which key the server has".to_owned(),
            )),
        }
    }
}
