//! A door that could not be closed, and a knock that comes then.

use super::*;

/// Each start command adds a rule, each stop command takes one out, as `iptables -I` and `-D` do.
fn rules(dir: &Path) -> String {
    let line = |line: &str| line.replace("DIR", &dir.display().to_string());
    let start = line("echo rule >> DIR/rules");
    let stop = line("test ! -e DIR/stuck && test -s DIR/rules && sed -i 1d DIR/rules");
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nlease = \"2s\"\n\
         start = [\"/bin/sh\", \"-c\", \"{start}\"]\nstop = [\"/bin/sh\", \"-c\", \"{stop}\"]\n"
    )
}

/// R1: it opens, and is closed as often as it was opened.
#[test]
fn r1_a_door_that_could_not_be_closed_opens_anew_and_leaves_nothing_behind() {
    let Some(scene) = scene_with(rules) else { return };
    let path = |name: &str| scene.dir.path().join(name);
    let rules = || std::fs::read_to_string(path("rules")).unwrap_or_default().lines().count();
    std::fs::write(path("stuck"), "").expect("written");
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("close-failed door=web");
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("renewed door=web");
    assert_eq!(rules(), 2, "{}", scene.daemon.said());
    std::fs::remove_file(path("stuck")).expect("removed");
    let closed = until(Duration::from_secs(20), || rules() == 0);
    assert!(closed.is_some(), "{}", scene.daemon.said());
    scene.daemon.wait_for("closed door=web");
    let said = scene.daemon.said();
    let lines = |what: &str| said.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((lines("opened door="), lines("closed door=")), (1, 1), "{said}");
}
