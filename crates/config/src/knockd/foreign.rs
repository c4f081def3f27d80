//! What a line that knockd cannot read was probably meant as, for the advice that stands below it.
//!
//! Files that are called knockd.conf are often templates, or written for something else. The verdict is the same for
//! all of them; only the help differs.

use crate::diagnostic::{Diagnostic, Place};

/// What to do about a placeholder.
pub(crate) const FILL_IN: &str = "this is a placeholder of a template: check the file that is made from it";

/// What placeholders of the usual templates begin with.
const PLACEHOLDERS: [&str; 7] = ["{{", "{%", "{#", "<%", "${", "$(", "@@"];

/// Whether a text begins with a placeholder that should have been replaced by now.
pub(crate) fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|mark| text.starts_with(mark))
        || text.strip_prefix('$').is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Advice on a line that has no equals sign and is no known word.
pub(super) fn advice(line: &str) -> &'static str {
    if is_placeholder(line) {
        FILL_IN
    } else if [";", "--", "//", "/*"].iter().any(|mark| line.starts_with(mark)) {
        "a comment begins with #"
    } else if line.starts_with('[') {
        "a section's line ends with its bracket: nothing may follow"
    } else if ["config ", "option ", "list "].iter().any(|word| line.starts_with(word)) {
        "this is the form of OpenWrt's /etc/config: check the file that is made from it"
    } else if line.ends_with(['{', '}', ';']) {
        "write a door's name in brackets, [name], and below it lines with `=`"
    } else {
        "a long command has to stand on one line; there is no continuation with a backslash"
    }
}

/// What was meant as a comment behind the name of a file or an interface. Such a name may have a number sign, but
/// hardly a word that begins with one.
pub(super) fn comment(text: &str, place: &Place) -> Option<Diagnostic> {
    let begin = text.find(" #").or_else(|| text.find("\t#"))? + 1;
    let at = place.part(begin..text.len());
    let found = Diagnostic::warning("comment-in-name", &at, "this is part of the name");
    Some(found.help("a comment needs a line of its own"))
}
