//! What stands behind a public key: whose it is. spec/keys.md, section 3.

use crate::environment::Environment;

/// A comment as it was typed: one line of printable characters, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment(String);

impl Comment {
    /// `user@host`, as far as both are known.
    pub(super) fn of(environment: &Environment) -> Self {
        let host = dns_lookup::get_hostname().ok();
        let parts = [environment.user.as_deref(), host.as_deref()];
        let parts = parts.into_iter().flatten().map(plain).filter(|part| !part.is_empty());
        Self(parts.collect::<Vec<_>>().join("@"))
    }

    /// The line for `authorized_keys`.
    pub(super) fn line(&self, key: &str) -> String {
        if self.0.is_empty() { key.to_owned() } else { format!("{key} {}", self.0) }
    }
}

/// A name without what could make a second word or a second line of it.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

impl std::str::FromStr for Comment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.contains(char::is_control) {
            Err("a comment is one line of text")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// As one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(" ana/laptop \n".parse(), Ok(Comment("ana/laptop".to_owned())));
        assert!("ana\nexpires".parse::<Comment>().is_err());
        assert_eq!(Comment(String::new()).line("aldaba1"), "aldaba1");
        assert_eq!(Comment("ana".to_owned()).line("aldaba1"), "aldaba1 ana");
    }

    #[test]
    fn names_make_one_word() {
        assert_eq!(plain("DOMAIN\\ana b"), "DOMAIN-ana-b");
        assert_eq!(quoted("ana's"), "'ana'\\''s'");
    }
}
