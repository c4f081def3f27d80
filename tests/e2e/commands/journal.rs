//! The journal an earlier run has left, under a policy that would not need one, and where its folder can be had only later (hazards R1
//! and R3 of docs/reliability.md).

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{degraded, status, until};

use super::{Scene, config, scene, scene_with};

const LONG: Duration = Duration::from_secs(10);

impl Scene {
    fn write(&self, config: &str) {
        std::fs::write(self.dir.path().join("aldaba.toml"), config).expect("written");
    }

    fn asked(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary("aldabad"));
        command.args(words).arg("--control").arg(self.dir.path().join("control.sock")).output().expect("runs")
    }

    fn may_enter(&self, mode: u32) {
        let folder = self.dir.path().join("state");
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).expect("its mode");
    }

    fn open_for(&self, client: &str) -> bool {
        self.dir.path().join(format!("open-{client}")).exists()
    }
}

/// A policy that closes nothing by command, and opens for others meanwhile.
fn without_commands(action: &str) -> String {
    format!("interfaces = [\"srv0\"]\n[[door]]\nname = \"other\"\nsequence = \"7100,8100,9100\"\n{action}\n")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// R1: everything is killed, and the configuration has no door with a stop command any more.
#[test]
fn r1_a_policy_that_needs_no_journal_closes_what_an_earlier_one_has_opened() {
    // As with iptables, nothing comes of a stop command without the capabilities that commands have.
    let stop = "[\"/bin/sh\", \"-c\", \"grep -q '^CapEff:.*3000$' /proc/self/status && rm $0\"";
    let Some(mut scene) = scene_with(|dir| config(dir, "2s", "").replace("[\"/bin/rm\"", stop)) else {
        return;
    };
    scene.open();
    scene.daemon.kill_everything();
    scene.write(&without_commands("log-only = true"));
    scene.again();
    scene.closes_within(LONG);
    scene.daemon.wait_for("closed door=web address=10.9.0.2");
    assert_eq!(status(scene.dir.path())["journal"]["state"], "working");
}

/// R1, R3: the same where the folder cannot be had: not at the start, and not at the reload that brings stop commands back.
#[test]
fn r1_a_journal_that_can_be_had_only_later_closes_what_it_names_and_loses_nothing() {
    let Some(mut scene) = scene("2s", "") else { return };
    scene.open();
    scene.daemon.kill_everything();
    scene.may_enter(0o755);
    scene.write(&without_commands("ports = [\"2222/tcp\"]"));
    scene.again();
    assert!(degraded(scene.dir.path()).contains(&"state".to_owned()));
    let opened = scene.asked(&["open", "10.9.0.3", "other", "--for", "60s"]);
    assert!(opened.status.success(), "{}{}", said(&opened), scene.daemon.said());
    scene.write(&config(scene.dir.path(), "3s", "").replace("[[door]]", &both_doors()));
    let reloaded = scene.asked(&["reload"]);
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    let refused = scene.asked(&["open", "10.9.0.4", "web"]);
    assert!(said(&refused).contains("journal-not-durable"), "{}", said(&refused));
    assert!(scene.is_open() && !scene.open_for("10.9.0.4"), "{}", scene.daemon.said());
    scene.may_enter(0o700);
    scene.closes_within(LONG);
    let opens = || scene.asked(&["open", "10.9.0.4", "web"]).status.success();
    assert!(until(LONG, opens).is_some(), "{}", scene.daemon.said());
    assert!(!degraded(scene.dir.path()).contains(&"state".to_owned()), "{}", scene.daemon.said());
    let written =
        || std::fs::read_to_string(scene.dir.path().join("state/in-force.toml")).unwrap_or_default();
    let both = |text: String| text.contains("name = \"other\"") && text.contains("name = \"web\"");
    assert!(until(LONG, || both(written())).is_some(), "the policy is written down too: {}", written());
    let said = scene.daemon.said();
    assert_eq!(said.matches("degraded what=state").count(), 1, "said once: {said}");
    // Everything dies again: what was opened before the journal came is in it too, and so is what came after.
    scene.daemon.kill_everything();
    scene.again();
    scene.daemon.wait_for("taken-over door=other address=10.9.0.3");
    scene.daemon.wait_for("taken-over door=web address=10.9.0.4");
    assert!(until(LONG, || !scene.open_for("10.9.0.4")).is_some(), "{}", scene.daemon.said());
}

/// The other door, and the beginning of one with commands.
fn both_doors() -> String {
    let other = without_commands("ports = [\"2222/tcp\"]");
    let (_, other) = other.split_once('\n').expect("lines");
    format!("{other}\n[[door]]")
}
