//! R24 in short: what is asked of a daemon again and again leaves nothing behind.

use aldaba_tests::memory::{middle, own};

use super::*;

const ROUNDS: usize = 60;
/// Questions of each kind, and clients who say nothing sensible, in each round.
const EACH: usize = 4;
/// Bytes of a round that may be left: a quarter of the text of its configuration, half of a buffer for each client.
const LEFT: u64 = 4096;

/// A door on an interface and a port that no configuration before has named, and one that stays.
fn config(round: usize) -> String {
    let (port, remark) = (3000 + round, "#".repeat(16_384));
    format!(
        "{CONFIG}[[door]]\nname = \"new\"\ninterfaces = [\"veth{round}\"]\nsequence = \"7100,8100,9100\"\n\
         ports = [\"{port}/tcp\"]\n{remark}\n"
    )
}

fn ask(dir: &Path, what: &str) -> String {
    let said = told(dir, format!("{{\"version\":1,\"ask\":{what}}}\n").as_bytes());
    assert!(said.ends_with("}\n") && !said.contains("{\"error\""), "{what}: {said}");
    said
}

/// A reload, every third one broken; all questions; and clients who ask nothing or hang up.
fn round(dir: &Path, round: usize) {
    let broken = round.is_multiple_of(3);
    let text = if broken { config(round).replace("lease", "leese") } else { config(round) };
    std::fs::write(dir.join("aldaba.toml"), text).expect("written");
    let said = ask(dir, "\"reload\"");
    assert_eq!(said.contains("reload-refused"), broken, "{said}");
    for number in 0..EACH {
        let why = format!("{{\"why\":{{\"address\":\"10.9.{}.{}\"}}}}", 1 + round, 1 + number);
        for what in [why.as_str(), "\"status\"", "\"leases\""] {
            ask(dir, what);
        }
        assert!(told(dir, b"nonsense\n").contains("malformed"));
        drop(UnixStream::connect(dir.join("control.sock")).expect("connected"));
    }
}

#[test]
fn r24_what_is_asked_again_and_again_leaves_nothing_behind() {
    let Some((_hosts, dir, daemon)) = serve(&config(0)) else { return };
    let processes = || std::iter::once(daemon.pid()).chain(daemon.children()).collect::<Vec<u32>>();
    let all = processes();
    let open = || all.iter().copied().map(descriptors).collect::<Vec<usize>>();
    let (mut sizes, mut settled) = (Vec::new(), Vec::new());
    for number in 1..=ROUNDS {
        round(dir.path(), number);
        sizes.push(all.iter().copied().map(own).sum());
        if number == ROUNDS / 4 {
            settled = open();
        }
    }
    // What fills has filled in the first quarter.
    let of_quarter = |from: usize| middle(sizes[ROUNDS * from / 4..ROUNDS * (from + 1) / 4].iter().copied());
    let left = of_quarter(3).saturating_sub(of_quarter(1)) / (ROUNDS as u64 / 2);
    println!(
        "figure: R24 {ROUNDS} reloads, {} questions and {} clients without one leave {left} bytes each round",
        ROUNDS * EACH * 3,
        ROUNDS * EACH * 2
    );
    assert!(left < LEFT, "{left} bytes left by each round: {sizes:?}");
    // A client who has hung up is let go of a moment later: it may still have counted after the quarter, and may here at first.
    let no_more = || open().iter().zip(&settled).all(|(now, then)| now <= then);
    let same = until(Duration::from_secs(10), no_more);
    assert!(same.is_some(), "descriptors {:?}, after a quarter {settled:?}", open());
    assert_eq!(processes(), all, "the same worker, and nobody who is not buried");
}
