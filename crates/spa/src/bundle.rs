//! What a client needs to know of a server. spec/keys.md, section 4.

/// What the text form begins with.
const PREFIX: &str = "aldaba-bundle-";

/// Whether a text claims to be a bundle.
pub(crate) fn is_claimed_by(text: &str) -> bool {
    text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
