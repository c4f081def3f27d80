//! Where a bundle comes from: a word, a file, standard input, or a paste at the terminal.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aldaba_spa::{BundleTextError, SealedBundle};

use super::{Asking, Failed};
use crate::private_file::contents;

/// What every bundle begins with: no file is called so.
const PREFIX: &str = "aldaba-bundle-";
/// What a terminal passes on of one line, on most systems.
const LINE: usize = 4095;

pub(super) fn bundle(word: Option<&str>, asking: &mut Asking<'_>) -> Result<SealedBundle, Failed> {
    match word {
        Some(word) if word.trim_start().starts_with(PREFIX) => parsed(word, "the bundle"),
        Some(path) if path != "-" => {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            read(file, path)
        }
        _ if asking.can() => pasted(asking),
        _ => read(io::stdin().lock(), "standard input"),
    }
}

fn unreadable(path: &str, error: &io::Error) -> Failed {
    let help = "a bundle is a line that begins with aldaba-bundle-1: or a file of one";
    Failed::Key(format!("cannot read {path}: {error}\n  help: {help}"))
}

/// The bundle of a text with other lines round it, such as all that `aldabad user add` prints.
fn read(from: impl Read, name: &str) -> Result<SealedBundle, Failed> {
    let text = contents(from, Path::new(name))?;
    parsed(cut_out(&text), name)
}

/// From the line that begins like a bundle to the next empty one; all of it where no line does.
fn cut_out(text: &str) -> &str {
    let begins = |(at, line): (usize, &str)| line.trim_start().starts_with(PREFIX).then_some(at);
    let mut at = 0;
    let starts = text.split_inclusive('\n').map(|line| {
        at += line.len();
        (at - line.len(), line)
    });
    let rest = starts.into_iter().find_map(begins).and_then(|start| text.get(start..)).unwrap_or(text);
    // Lines that a mail program broke are put together; words behind the bundle are none of it.
    let end = rest.split_inclusive('\n').take_while(|line| is_data(line)).map(str::len).sum::<usize>();
    rest.get(..end).filter(|data| !data.is_empty()).unwrap_or(rest)
}

fn is_data(line: &str) -> bool {
    let line = line.trim();
    let data = line.strip_prefix("aldaba-bundle-1:").unwrap_or(line);
    !line.is_empty() && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Lines until they are a bundle, or an empty one.
fn pasted(asking: &mut Asking<'_>) -> Result<SealedBundle, Failed> {
    writeln!(asking.err, "paste the bundle, then press Enter:")?;
    let mut text = String::new();
    loop {
        let line = if text.is_empty() { asking.answer("")? } else { asking.line("")? };
        let ended = line.trim().is_empty();
        text.push_str(&line);
        match SealedBundle::from_text(&text) {
            Ok(bundle) => return Ok(bundle),
            Err(BundleTextError::Damaged) if ended && line_is_full(&text) => {
                return Err(Failed::Key(
                    "the terminal has cut the bundle off\n  help: save it in a file: aldaba enrol FILE"
                        .to_owned(),
                ));
            }
            Err(_) if ended => return parsed(&text, "what was pasted"),
            Err(_) => {}
        }
    }
}

fn line_is_full(text: &str) -> bool {
    text.lines().any(|line| line.len() >= LINE)
}

fn parsed(text: &str, name: &str) -> Result<SealedBundle, Failed> {
    let help = "give the whole text that begins with aldaba-bundle-1:, as aldabad user add printed it";
    SealedBundle::from_text(text).map_err(|error| Failed::key(format!("{name}: {error}"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_found_among_other_lines() {
        let bundle = "aldaba-bundle-1:AAAA\n";
        for (text, wanted) in [
            (bundle, bundle),
            ("added ana\n\naldaba-bundle-1:AAAA\n\nnext: aldaba enrol\n", bundle),
            ("  aldaba-bundle-1:AA\nBB-_\nnext, there: aldaba enrol\n", "  aldaba-bundle-1:AA\nBB-_\n"),
            ("aldaba-bundle-1:AAAA", "aldaba-bundle-1:AAAA"),
            ("aldaba-bundle-2:AAAA\n", "aldaba-bundle-2:AAAA\n"),
            ("something else\n", "something else\n"),
            ("", ""),
        ] {
            assert_eq!(cut_out(text), wanted, "{text:?}");
        }
    }
}
