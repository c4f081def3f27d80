use super::*;

fn argv(words: &[&str]) -> Template {
    Template::Argv(words.iter().map(|word| (*word).to_owned()).collect())
}

fn render(template: &Template, address: &str) -> Result<String, TooLong> {
    let with = Substitution { address: address.parse().unwrap(), seconds: 30 };
    template.render(&with).map(|rendered| rendered.to_string())
}

#[test]
fn placeholders_are_filled_by_family() {
    let template = argv(&["nft", "add", "{ip}/{prefix}", "{{ {ip} timeout {seconds}s }}"]);
    assert_eq!(template.check(), Ok(()));
    let v4 = "nft add 192.0.2.1/32 { 192.0.2.1 timeout 30s }";
    assert_eq!(render(&template, "192.0.2.1").unwrap(), v4);
    let v6 = "nft add 2001:db8::1/128 { 2001:db8::1 timeout 30s }";
    assert_eq!(render(&template, "2001:0DB8:0:0:0::1").unwrap(), v6);
}

#[test]
fn arguments_stay_apart_and_are_not_shell() {
    let template = argv(&["echo", "$(id) %IP% ; é", "", "{ip}"]);
    let with = Substitution { address: "192.0.2.1".parse().unwrap(), seconds: 1 };
    let words = ["echo", "$(id) %IP% ; é", "", "192.0.2.1"].map(str::to_owned).to_vec();
    assert_eq!(template.render(&with), Ok(Rendered::Argv(words)));
}

#[test]
fn wrong_templates_are_told_with_their_place() {
    for (words, argument, span, text) in [
        (&[][..], 0, 0..0, "the command is empty: name a program"),
        (&[""][..], 0, 0..0, "the command is empty: name a program"),
        (
            &["a", "é {address} {ip}"],
            1,
            3..12,
            "unknown placeholder {address}: there are {ip}, {prefix} and {seconds}",
        ),
        (&["a", "{IP}"], 1, 0..4, "unknown placeholder {IP}: there are {ip}, {prefix} and {seconds}"),
        (&["a", "b", "x{ip"], 2, 1..2, "this { is never closed: write {{ for the brace itself"),
        (&["a", "x}"], 1, 1..2, "this } closes nothing: write }} for the brace itself"),
        (&["a", "{{{"], 1, 2..3, "this { is never closed: write {{ for the brace itself"),
    ] {
        let error = argv(words).check().unwrap_err();
        assert_eq!((error.argument, error.span.clone(), error.to_string().as_str()), (argument, span, text));
    }
}

#[test]
fn a_shell_line_knows_the_address_only() {
    let template = Template::Shell("a %IP%-%IP% %ip% %% %PORT% {ip} 'q' \"%IP%\"".to_owned());
    assert_eq!(template.check(), Ok(()));
    let expected = "a ::1-::1 %ip% %% %PORT% {ip} 'q' \"::1\"";
    assert_eq!(render(&template, "::1").unwrap(), expected);
}

#[test]
fn a_shell_line_of_4096_bytes_is_too_long() {
    let line = |length: usize| Template::Shell(format!("{}%IP%", "x".repeat(length - 9)));
    assert_eq!(render(&line(4095), "192.0.2.1").unwrap().len(), 4095);
    assert_eq!(render(&line(4096), "192.0.2.1"), Err(TooLong));
    assert_eq!(TooLong.to_string(), "the command is 4096 bytes or longer with the address put in");
}

#[test]
fn addresses_have_no_letter_but_hexadecimal_digits() {
    for address in ["255.255.255.255", "::ffff:192.0.2.1", "fe80::1", "2001:db8::", "::"] {
        let line = render(&Template::Shell("%IP%".to_owned()), address).unwrap();
        let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.');
        assert!(line.bytes().all(allowed), "{line}");
    }
}

mod any {
    use proptest::prelude::*;

    use super::super::*;

    proptest! {
        #[test]
        fn a_checked_template_leaves_no_placeholder(text in "[{}a-z ]{0,40}", v6 in any::<bool>()) {
            let template = Template::Argv(vec!["p".to_owned(), text.clone()]);
            let address: IpAddr = if v6 { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
            let with = Substitution { address, seconds: 7 };
            let Ok(Rendered::Argv(words)) = template.render(&with) else { panic!("an argv") };
            prop_assert_eq!(words.len(), 2);
            if template.check().is_ok() {
                // Braces doubled and names filled in: the same, taken apart by hand.
                let expected = text
                    .replace("{{", "\u{1}")
                    .replace("}}", "\u{2}");
                prop_assume!(!text.contains("{{{") && !text.contains("}}}"));
                let expected = expected
                    .replace("{ip}", &address.to_string())
                    .replace("{prefix}", if v6 { "128" } else { "32" })
                    .replace("{seconds}", "7")
                    .replace('\u{1}', "{")
                    .replace('\u{2}', "}");
                prop_assert_eq!(&words[1], &expected);
            }
        }
    }
}
