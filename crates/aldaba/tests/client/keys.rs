//! `aldaba keygen` and `aldaba pubkey`, as filters and with files.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::programs::{ALDABA, Said, command, run};

// The example of spec/keys.md.
const SECRET: &str = "aldaba-secret-1yg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3qphklhs";
const PUBLIC: &str = "aldaba1p74xsnkj3pnmjl62dgk7uh0ce6t5ua4hqx8r7g4pcn8jv7zhpusqdlugg9";
const SERVER_SECRET: &str =
    "aldaba-server-secret-1xvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvenxvesk3f40d";
const SERVER: &str = "aldaba-server-10vx50kf5ylurzytq0qw8cuelmz0c39c2aaysmz4qacv6fju2rv2qxpzyyq";

/// Runs it with this on its standard input.
fn filter(words: &[&str], input: &str) -> Said {
    let mut child = command(ALDABA)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Who has refused the first line reads no more.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends").into()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

#[test]
fn a_new_key_goes_through_the_filters() {
    let made = run(ALDABA, &["keygen", "-C", "ana/laptop"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let secret = made.out.strip_suffix('\n').expect("a line");
    assert!(
        secret.starts_with("aldaba-secret-1") && secret.len() == SECRET.len(),
        "one line, and nothing else"
    );
    assert!(!made.err.contains(&secret[15..]), "the secret is said on one output only");
    let public = filter(&["pubkey", "-C", "ana/laptop"], &made.out);
    assert_eq!((public.code, public.err.as_str()), (Some(0), ""));
    let line = public.out.trim_end();
    assert!(line.starts_with("aldaba1") && line.ends_with(" ana/laptop"), "{line}");
    assert_eq!(
        made.err,
        format!("public key: {line}\nnext, on the server: aldabad user add NAME '{line}'\n")
    );
    assert_ne!(run(ALDABA, &["keygen"]).out, made.out, "no key is made twice");
}

#[test]
fn a_key_goes_into_a_new_file_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("id");
    let made = run(ALDABA, &["keygen", "-C", "", "-o", text(&path)]);
    assert_eq!((made.code, made.out.as_str()), (Some(0), ""), "{}", made.err);
    let said: Vec<&str> = made.err.lines().collect();
    assert_eq!(said[0], format!("secret key: {}", path.display()));
    let content = fs::read_to_string(&path).expect("the file");
    assert!(content.starts_with("aldaba-secret-1") && content.lines().count() == 1);
    assert!(!made.err.contains(content[15..].trim_end()));
    let public = run(ALDABA, &["pubkey", "-C", "", text(&path)]);
    assert_eq!((public.code, format!("public key: {}", public.out)), (Some(0), format!("{}\n", said[1])));
    let again = run(ALDABA, &["keygen", "-o", text(&path)]);
    assert_eq!((again.code, again.out.as_str()), (Some(1), ""));
    assert!(again.err.contains("never written over\n  help: its public key: aldaba pubkey"), "{}", again.err);
    assert_eq!(fs::read_to_string(&path).expect("the file"), content);
    let nowhere = run(ALDABA, &["keygen", "-o", text(&folder.path().join("no/id"))]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.err.contains("cannot write"), "{}", nowhere.err);
    assert!(nowhere.err.contains("help: make its folder first: mkdir -p -m 0700 "), "{}", nowhere.err);
}

#[cfg(unix)]
#[test]
fn files_are_private_and_others_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("id");
    let shell = format!("umask 0; exec {ALDABA} keygen -o {}", path.display());
    assert_eq!(run("/bin/sh", &["-c", &shell]).code, Some(0));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    for (mode, good) in
        [(0o644, false), (0o640, false), (0o602, false), (0o601, false), (0o600, true), (0o400, true)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our file");
        let said = run(ALDABA, &["pubkey", text(&path)]);
        assert_eq!((said.code == Some(0), said.out.is_empty()), (good, !good), "{mode:o}: {}", said.err);
        if !good {
            let name = path.display();
            let wanted = format!(
                "aldaba: {name} is open to others (mode {mode:04o}): whoever has read it can open your doors\n  \
                 help: chmod 600 {name}; if anybody else uses this computer, take a new key: aldaba keygen -o OTHER-FILE\n"
            );
            assert_eq!(said.err, wanted);
        }
    }
    let open = fs::File::create(folder.path().join("open")).expect("a file");
    open.set_permissions(fs::Permissions::from_mode(0o644)).expect("our file");
    let warned: Said = command(ALDABA).arg("keygen").stdout(open).output().expect("it starts").into();
    assert_eq!(warned.code, Some(0));
    assert!(
        warned.err.starts_with("warning: the secret key goes to a file that is open to others (mode 0644)")
    );
    let closed = fs::File::create(folder.path().join("closed")).expect("a file");
    closed.set_permissions(fs::Permissions::from_mode(0o600)).expect("our file");
    let quiet: Said = command(ALDABA).arg("keygen").stdout(closed).output().expect("it starts").into();
    assert!(quiet.err.starts_with("public key: "), "{}", quiet.err);
}

#[test]
fn public_keys_are_those_of_the_specification() {
    for (input, wanted) in [
        (format!("{SECRET}\n"), format!("{PUBLIC}\n")),
        (SECRET.to_owned(), format!("{PUBLIC}\n")),
        (format!("# Ana's\r\n\r\n  {SECRET} \r\n"), format!("{PUBLIC}\n")),
        (SECRET.to_uppercase(), format!("{PUBLIC}\n")),
        (format!("{SERVER_SECRET}\n{SECRET}\n"), format!("{SERVER}\n{PUBLIC}\n")),
    ] {
        for words in [&["pubkey", "-C", ""][..], &["pubkey", "-C", "", "-"]] {
            let said = filter(words, &input);
            assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), wanted.as_str(), ""));
        }
    }
}

#[test]
fn what_is_no_secret_key_is_said_without_it() {
    let (mistyped, cut) = (SECRET.replace("hkl", "hkk"), &SECRET[..70]);
    let first = |said: &str| format!("aldaba: standard input, line 1: {said}\n");
    for (input, wanted) in [
        ("", "aldaba: standard input holds no key\n".to_owned()),
        ("# nothing\n", "aldaba: standard input holds no key\n".to_owned()),
        (PUBLIC, first("this is a device's public key; here belongs a device's secret key, which begins with aldaba-secret-1")),
        ("hunter2", first("this is no key: a device's secret key begins with aldaba-secret-1")),
        (&mistyped, first("the key is mistyped: its checksum does not fit, and most likely character 71 is wrong")),
        (cut, first("the key is cut off: it has 70 characters, and 73 of them are needed")),
        (
            &format!("{SECRET}\naldaba-seed-1qqq\n"),
            "aldaba: standard input, line 2: this is a seed of pre-shared keys; here belongs a device's secret key, which begins with aldaba-secret-1\n".to_owned(),
        ),
        (&"#\n".repeat(40_000), "aldaba: standard input is too long for what belongs there\n".to_owned()),
    ] {
        let said = filter(&["pubkey"], input);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        let help = said.err.strip_prefix(&wanted).unwrap_or_else(|| panic!("{}", said.err));
        assert!(help.starts_with("  help: ") && help.lines().count() == 1, "{help}");
    }
    let said = run(ALDABA, &["pubkey", "/no/such/file"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("help: make a key: aldaba keygen"), "{}", said.err);
    let said = run(ALDABA, &["keygen", "-C", "two\nlines"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("a comment is one line of text"), "{}", said.err);
}

#[test]
fn whose_key_it_is_stands_behind_it() {
    let mut asked = command(ALDABA);
    asked.args(["pubkey", "-"]).env("USER", "ana maria").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = asked.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(SECRET.as_bytes()).expect("it reads");
    let said: Said = child.wait_with_output().expect("it ends").into();
    let words: Vec<&str> = said.out.split_whitespace().collect();
    assert!(words.len() == 2 && words[0] == PUBLIC && words[1].starts_with("ana-maria@"), "{words:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_key_that_cannot_be_said_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let said: Said = command(ALDABA).arg("keygen").stdout(full).output().expect("it starts").into();
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot write") && !said.err.contains("public key"), "{}", said.err);
}

/// At a terminal the key goes where the client looks for it.
#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_the_key_is_this_users_own() {
    use std::os::unix::fs::PermissionsExt as _;
    if !crate::programs::needs(Path::new("/usr/bin/script").exists(), "script(1)") {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let at_a_terminal = |words: &str| -> Said {
        let mut script = command("/usr/bin/script");
        script.args(["-qec", &format!("{ALDABA} {words}"), "/dev/null"]).stdin(Stdio::null());
        script.env("HOME", home.path()).env("SHELL", "/bin/sh").env_remove("XDG_CONFIG_HOME");
        script.output().expect("it starts").into()
    };
    let made = at_a_terminal("keygen -C ana");
    let path = home.path().join(".config/aldaba/id");
    assert_eq!(made.code, Some(0), "{}", made.out);
    assert!(made.out.starts_with(&format!("secret key: {}\r\n", path.display())), "{}", made.out);
    let secret = fs::read_to_string(&path).expect("the file");
    assert!(secret.starts_with("aldaba-secret-1") && !made.out.contains("aldaba-secret-1"));
    for folder in [".config", ".config/aldaba"] {
        let found = fs::metadata(home.path().join(folder)).expect("a folder").permissions().mode();
        assert_eq!(found & 0o7777, 0o700, "{folder}");
    }
    assert_eq!(at_a_terminal("keygen").code, Some(1), "never over another");
    let public = at_a_terminal("pubkey -C ana");
    assert_eq!(public.code, Some(0), "{}", public.out);
    assert!(made.out.contains(&format!("public key: {}", public.out.trim_end())), "{}", public.out);
    assert!(at_a_terminal("keygen -o -").out.starts_with("aldaba-secret-1"), "unless it is asked for");
}
