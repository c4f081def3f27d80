use proptest::prelude::*;

use super::*;

/// The characters of Bech32, in the order of their values.
const CHARACTERS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn kind() -> impl Strategy<Value = KeyKind> {
    proptest::sample::select(KeyKind::ALL.to_vec())
}

fn with(text: &str, at: usize, character: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(at..=at, character);
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read(kind in kind(), bytes in any::<[u8; 32]>()) {
        let text = encode(kind, &bytes);
        prop_assert!(text.starts_with(&format!("{}1", kind.prefix())), "{}", *text);
        prop_assert_eq!((text.len(), text.capacity()), (kind.characters(), kind.characters()));
        prop_assert_eq!(*decode(kind, &text).expect("a key"), bytes);
        prop_assert_eq!(*decode(kind, &format!(" {}\n", text.to_uppercase())).expect("a key"), bytes);
    }

    #[test]
    fn another_kind_is_named(wanted in kind(), found in kind(), bytes in any::<[u8; 32]>()) {
        prop_assume!(wanted != found);
        let text = encode(found, &bytes);
        prop_assert_eq!(decode(wanted, &text), Err(TextError::OtherKind { found, wanted }));
        prop_assert_eq!(decode(wanted, &text.to_uppercase()), Err(TextError::OtherKind { found, wanted }));
    }

    #[test]
    fn one_wrong_character_is_found(kind in kind(), bytes in any::<[u8; 32]>(), at in 0..DATA + CHECKSUM, to in "[ac-hj-np-z02-9]") {
        let text = encode(kind, &bytes);
        let at = kind.prefix().len() + 1 + at;
        prop_assume!(text[at..=at] != to);
        prop_assert_eq!(decode(kind, &with(&text, at, &to)), Err(TextError::MistypedAt(at + 1)));
    }

    #[test]
    fn up_to_four_wrong_characters_are_noticed(
        kind in kind(), bytes in any::<[u8; 32]>(), places in proptest::collection::btree_set(0..DATA + CHECKSUM, 2..=4), add in 1..32_usize,
    ) {
        let mut text = encode(kind, &bytes).to_string();
        for at in places {
            let at = kind.prefix().len() + 1 + at;
            let value = CHARACTERS.find(&text[at..=at]).expect("one of them");
            let other = (value + add) % 32;
            text.replace_range(at..=at, &CHARACTERS[other..=other]);
        }
        let error = decode(kind, &text).expect_err("it is wrong");
        prop_assert!(matches!(error, TextError::Mistyped | TextError::MistypedAt(_)), "{:?}", error);
    }

    #[test]
    fn a_character_too_few_or_too_many_is_counted(kind in kind(), bytes in any::<[u8; 32]>(), at in 0..DATA + CHECKSUM, more in "[ac-hj-np-z02-9]") {
        let text = encode(kind, &bytes);
        let at = kind.prefix().len() + 1 + at;
        let wanted = text.len();
        let mut other = text.to_string();
        other.remove(at);
        prop_assert_eq!(decode(kind, &other), Err(TextError::Length { has: wanted - 1, wanted }));
        other.insert_str(at, &format!("{more}{more}"));
        prop_assert_eq!(decode(kind, &other), Err(TextError::Length { has: wanted + 1, wanted }));
    }

    #[test]
    fn a_character_no_key_has_is_named(kind in kind(), bytes in any::<[u8; 32]>(), at in 0..DATA + CHECKSUM, to in "[1bioBIO .é\u{301}]") {
        let text = encode(kind, &bytes);
        let at = kind.prefix().len() + 1 + at;
        prop_assume!(at + 1 < text.len() || to != " ");
        prop_assert_eq!(decode(kind, &with(&text, at, &to)), Err(TextError::Character(at + 1)));
    }

    #[test]
    fn letters_are_small_or_capital_and_not_both(kind in kind(), bytes in any::<[u8; 32]>(), at in 0..DATA + CHECKSUM) {
        let text = encode(kind, &bytes);
        let at = kind.prefix().len() + 1 + at;
        let capital = with(&text, at, &text[at..=at].to_uppercase());
        prop_assume!(capital != *text);
        prop_assert_eq!(decode(kind, &capital), Err(TextError::MixedCase));
    }

    #[test]
    fn any_text_is_a_key_or_not(kind in kind(), text in "\\PC{0,90}") {
        let text = format!("{}1{text}", kind.prefix());
        if let Ok(bytes) = decode(kind, &text) {
            prop_assert_eq!(&*encode(kind, &bytes), &text.trim().to_lowercase());
        }
    }

    #[test]
    fn errors_hold_none_of_the_text(kind in kind(), bytes in any::<[u8; 32]>(), at in 0..DATA, to in "[1bac-hj-np-z]") {
        let text = encode(kind, &bytes);
        let at = kind.prefix().len() + 1 + at;
        if let Err(error) = decode(kind, &with(&text, at, &to)) {
            let said = format!("{error} {error:?}");
            let data = &text[kind.prefix().len() + 1..];
            // Shorter pieces are words of the message by chance.
            prop_assert!((0..data.len() - 8).all(|start| !said.contains(&data[start..start + 8])), "{}", said);
        }
    }
}

/// The last character of the data holds one bit of it and four that are 0.
#[test]
fn a_second_spelling_is_refused() {
    let prefix = Hrp::parse_unchecked(KeyKind::Device.prefix());
    for spare in 1..16 {
        let last = Fe32::try_from(spare).expect("below 32");
        let data = [Fe32::Q; DATA - 1].into_iter().chain([last]);
        let text: String = data.with_checksum::<Bech32m>(&prefix).chars().collect();
        assert_eq!(decode(KeyKind::Device, &text), Err(TextError::Mistyped), "{text}");
    }
}

#[test]
fn the_older_checksum_is_refused() {
    for kind in KeyKind::ALL {
        let prefix = Hrp::parse_unchecked(kind.prefix());
        let text = bech32::encode::<bech32::Bech32>(prefix, &[7; 32]).expect("it fits");
        assert!(decode(kind, &text).is_err(), "{text}");
    }
}

#[test]
fn a_longer_prefix_is_another_one() {
    let text = bech32::encode::<Bech32m>(Hrp::parse_unchecked("aldaba1qq"), &[7; 32]).expect("it fits");
    assert_eq!(decode(KeyKind::Device, &text).err(), Some(TextError::Character(10)));
}

#[test]
fn the_texts_stay_what_they_are() {
    for (kind, text) in [
        (KeyKind::Device, "aldaba1"),
        (KeyKind::DeviceSecret, "aldaba-secret-1"),
        (KeyKind::Server, "aldaba-server-1"),
        (KeyKind::ServerSecret, "aldaba-server-secret-1"),
        (KeyKind::Gate, "aldaba-gate-1"),
        (KeyKind::Seed, "aldaba-seed-1"),
        (KeyKind::DevicePsk, "aldaba-psk-1"),
    ] {
        assert!(encode(kind, &[9; 32]).starts_with(&format!("{text}pyysjzgfpyysjzgf")), "{kind}");
        Hrp::parse(kind.prefix()).expect("a prefix of Bech32");
        assert!(kind.characters() <= 90, "what Bech32 promises holds for 90 characters");
    }
}

#[test]
fn an_unusable_key_is_not_read() {
    let text = encode(KeyKind::Device, &[0; 32]);
    assert_eq!(PublicKey::from_text(KeyKind::Device, &text), Err(TextError::Key(KeyError::SmallOrder)));
    let text = encode(KeyKind::Gate, &[0; 32]);
    assert_eq!(Psk::from_text(KeyKind::Gate, &text).err(), Some(TextError::Zero));
}

#[test]
fn what_is_no_key_is_said() {
    for (text, wanted, said) in [
        ("", KeyKind::Device, "this is no key: a device's public key begins with aldaba1"),
        (
            "ssh-ed25519 AAAA",
            KeyKind::Seed,
            "this is no key: a seed of pre-shared keys begins with aldaba-seed-1",
        ),
        (
            "aldaba-bundle-1:AAAA",
            KeyKind::Device,
            "this is a bundle; here belongs a device's public key, which begins with aldaba1",
        ),
        (
            "aldaba-secret-1qqqq",
            KeyKind::Device,
            "this is a device's secret key; here belongs a device's public key, which begins with aldaba1",
        ),
        ("aldaba1", KeyKind::Device, "the key is cut off: it has 7 characters, and 65 of them are needed"),
        ("aldaba1b", KeyKind::Device, "the key is mistyped: character 8 is one that keys do not have"),
    ] {
        assert_eq!(decode(wanted, text).expect_err("no key").to_string(), said, "{text}");
    }
}
