//! "Did you mean …?": the nearest of the names that would have been right.

/// The known name a mistyped one most likely stands for.
#[must_use]
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normal(typed);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &normal(name)), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Upper case, `-` for `_` and blanks are no reason not to recognise a name. Long nonsense is cut: the distance is
/// quadratic.
fn normal(name: &str) -> String {
    name.chars().take(64).map(|c| if c == '_' || c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        let known = ["sequence", "seq_timeout", "tcpflags", "start_command"];
        assert_eq!(nearest("sequense", known), Some("sequence"));
        assert_eq!(nearest("SEQ-TIMEOUT", known), Some("seq_timeout"));
        assert_eq!(nearest("tcpflag", known), Some("tcpflags"));
        assert_eq!(nearest("acl", known), None);
        assert_eq!(nearest("", known), None);
    }
}
