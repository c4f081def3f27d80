//! Keys and codes as text: no text brings the reader down, what is taken is written back as the same text in small letters,
//! and an error says nothing of the text (spec/keys.md, section 1).

use std::collections::BTreeSet;

use aldaba_spa::text::{decode, encode};
use aldaba_spa::{KeyError, KeyKind, OneTimeCode, Psk, PublicKey, SecretKey, TextError};

thread_local! {
    static SAYINGS: BTreeSet<String> = sayings();
}

/// Checks one input: as it stands, and behind the prefix of each kind of key.
///
/// # Panics
/// If the reader does, takes a second spelling, or repeats what it was given.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check(&text);
    if !text.starts_with("aldaba") {
        KeyKind::ALL.into_iter().for_each(|kind| check(&format!("{}1{text}", kind.prefix())));
        check(&format!("aldaba-code-1{text}"));
    }
    // 32 bytes are a key of every kind.
    let bytes = std::array::from_fn(|at| data.get(at).copied().unwrap_or(0));
    for kind in KeyKind::ALL {
        check(&encode(kind, &bytes));
        assert_eq!(*decode(kind, &encode(kind, &bytes)).expect("it is one"), bytes);
    }
}

fn check(text: &str) {
    let small = text.trim().to_lowercase();
    for kind in KeyKind::ALL {
        match decode(kind, text) {
            Ok(bytes) => assert_eq!(*encode(kind, &bytes), small, "{kind}"),
            Err(error) => is_a_saying(&error),
        }
        told(PublicKey::from_text(kind, text), |key| key.to_text(kind) == small);
        told(SecretKey::from_text(kind, text), |key| *key.expose_text(kind) == small);
        told(Psk::from_text(kind, text), |psk| *psk.expose_text(kind) == small && !psk.is_none());
    }
    told(OneTimeCode::from_text(text), |code| *code.expose_text() == small);
}

fn told<T>(read: Result<T, TextError>, is_written_so: impl FnOnce(&T) -> bool) {
    match read {
        Ok(key) => assert!(is_written_so(&key), "a second spelling"),
        Err(error) => is_a_saying(&error),
    }
}

/// An error is one of few sayings and numbers: so it holds nothing of the text.
fn is_a_saying(error: &TextError) {
    let said = without_numbers(&error.to_string());
    SAYINGS.with(|sayings| assert!(sayings.contains(&said), "{said}"));
}

/// Numbers that stand alone.
fn without_numbers(said: &str) -> String {
    let words = said.split(' ').map(|word| match word.parse::<usize>() {
        Ok(_) => "N",
        Err(_) => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn sayings() -> BTreeSet<String> {
    use TextError as E;
    let mut all = vec![
        E::NoCode,
        E::MixedCase,
        E::Character(1),
        E::Length { has: 1, wanted: 2 },
        E::Length { has: 2, wanted: 1 },
        E::MistypedAt(1),
        E::Mistyped,
        E::Zero,
        E::Key(KeyError::NotCanonical),
        E::Key(KeyError::SmallOrder),
    ];
    for wanted in KeyKind::ALL {
        all.extend([E::NoKey(wanted), E::Bundle(wanted)]);
        all.extend(KeyKind::ALL.map(|found| E::OtherKind { found, wanted }));
    }
    all.iter().map(|error| without_numbers(&error.to_string())).collect()
}
