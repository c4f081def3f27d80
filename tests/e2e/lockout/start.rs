//! A configuration with errors at the start: an edit with a mistake that nobody has loaded, and then the machine restarts.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{Program, asked, degraded, status, text, until};
use rustix::process::Signal;

use super::{AFTER, BEFORE, Scene};

/// Before the edit's mistake, and with it.
fn broken() -> String {
    BEFORE.replace("lease", "leese")
}

impl Scene {
    /// As after a boot: no daemon, an empty ruleset, and a file in which somebody has made a mistake.
    fn after_a_boot_with_errors() -> Option<Self> {
        let mut scene = Self::new()?;
        assert!(scene.daemon.stop().success());
        scene.boot();
        scene.write("aldaba.toml", &broken());
        Some(scene)
    }

    fn boot(&self) {
        self.hosts.on_server(&["nft", "flush", "ruleset"]);
    }

    /// A command on the server that needs no daemon: its exit code and all it said.
    fn on_server(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts.server]).arg(binary("aldabad")).args(words);
        command.arg("--config").arg(self.path("aldaba.toml")).env("STATE_DIRECTORY", self.path("state"));
        let output = command.output().expect("it starts");
        (output.status.code(), text(&[output.stdout, output.stderr].concat()))
    }

    fn start(&mut self) {
        let config = self.read("aldaba.toml");
        let more = ["--or-last-in-force"];
        self.daemon = Program::aldabad_with(&self.hosts, self.dir.path(), &config, &more);
    }

    fn degraded(&self) -> Vec<String> {
        degraded(self.dir.path())
    }

    fn reload(&self, config: &str) {
        self.write("aldaba.toml", config);
        let (code, said) = self.aldabad(&["reload"]).end();
        assert_eq!(code, Some(0), "{said}");
    }

    /// As whom packets are looked at; root's number while there is no worker.
    fn worker_uid(&self) -> u32 {
        let pid = status(self.dir.path())["worker"]["pid"].as_u64().unwrap_or_default();
        let about = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = about.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        line.split_whitespace().next().map_or(0, |uid| uid.parse().expect("a number"))
    }

    fn knocks_open(&self) {
        let opened =
            |said: &str| said.matches("opened door=ssh").count() + said.matches("renewed door=ssh").count();
        let before = opened(&self.daemon.said());
        self.hosts.knock(&[7000, 8000, 9000]);
        self.daemon.wait_until("the sequence opens", |said| opened(said) == before + 1);
        self.knock_with_key("ssh");
        self.daemon.wait_until("the key opens", |said| opened(said) == before + 2);
    }
}

/// R16: the ports are guarded, knocks open, and all that can say so says that this is not as it should be.
#[test]
fn r16_a_start_with_errors_takes_the_policy_that_was_last_in_force() {
    let Some(mut scene) = Scene::after_a_boot_with_errors() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.hosts.wait_for_link();
    assert!(scene.hosts.reachable(2222), "nothing guards it yet");
    let (code, said) = scene.on_server(&["firewall", "apply"]);
    assert!(
        code == Some(3) && said.contains("did you mean lease?") && said.contains("aldaba.toml:14:1"),
        "{said}"
    );
    assert!(said.contains("this is the table as it was last in force\n  help: mend it"), "{said}");
    assert!(scene.guards(2222) && !scene.hosts.reachable(2222));
    let (code, said) = scene.on_server(&["run"]);
    assert!(code == Some(2) && said.contains("did you mean lease?") && !said.contains("in force"), "{said}");
    scene.start();
    let said = scene.daemon.said();
    assert!(said.contains("did you mean lease?") && said.contains("last-in-force config="), "{said}");
    scene.knocks_open();
    assert!(scene.hosts.reachable(2222));
    assert_eq!(scene.degraded(), ["last-in-force"]);
    let status = asked(scene.dir.path(), &["status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(
        text(&status.stdout).contains("aldaba.toml had errors at the start (1)"),
        "{}",
        text(&status.stdout)
    );
    let metrics = text(&asked(scene.dir.path(), &["status", "--metrics"]).stdout);
    assert!(metrics.contains("aldaba_degraded{what=\"last-in-force\"} 1\n"), "{metrics}");
    let control = scene.path("control.sock");
    let (code, said) = scene.on_server(&["doctor", "--control", control.to_str().expect("plain")]);
    let of_last = "what follows is of the policy that was last in force";
    assert!(code == Some(2) && said.contains("did you mean lease?") && said.contains(of_last), "{said}");
    assert!(
        said.contains("closed: door ssh, 2222/tcp") && said.contains("not work: last-in-force"),
        "{said}"
    );
    // Read again, the file still has its error; mended, it is what counts, and is what the next start goes by.
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reload-refused errors=1");
    assert_eq!(scene.degraded(), ["last-in-force", "reload-refused"]);
    scene.knocks_open();
    scene.write("aldaba.toml", AFTER);
    let (code, said) = scene.aldabad(&["reload"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(scene.degraded().is_empty() && scene.guards(2223), "{:?}", scene.degraded());
    assert!(scene.read("state/in-force.toml").contains("name = \"new\""));
    a_file_without_a_door_opens_no_port(&scene);
    what_cannot_be_written_down_is_told_and_tried_again(&scene);
}

/// As a disk that was full when it was saved leaves it: it is refused, not carried out, and what is in force stays written down.
fn a_file_without_a_door_opens_no_port(scene: &Scene) {
    scene.write("aldaba.toml", "");
    let (code, said) = scene.aldabad(&["reload"]).end();
    assert!(code != Some(0) && said.contains("no door stands here"), "{code:?} {said}");
    assert!(scene.guards(2223), "reloaded");
    let (code, said) = scene.on_server(&["firewall", "apply"]);
    assert!(code == Some(3) && said.contains("no door stands here") && scene.guards(2223), "{code:?} {said}");
    assert!(scene.read("state/in-force.toml").contains("name = \"new\""));
    scene.write("aldaba.toml", AFTER);
    assert_eq!(scene.aldabad(&["reload"]).end().0, Some(0));
}

fn what_cannot_be_written_down_is_told_and_tried_again(scene: &Scene) {
    let file = scene.path("state/in-force.toml");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir_all(file.join("in the way")).expect("made");
    let (code, said) = scene.aldabad(&["reload"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(scene.degraded(), ["in-force-file"]);
    std::fs::remove_dir_all(&file).expect("removed");
    let again = until(Duration::from_secs(10), || scene.degraded().is_empty());
    assert!(again.is_some() && scene.read("state/in-force.toml").contains("name = \"new\""));
    assert_eq!(scene.daemon.said().matches("degraded what=in-force-file").count(), 1);
}

/// R16: where no policy can stand in, all is as it would be without one.
#[test]
fn r16_what_may_not_be_the_policy_that_was_last_in_force_is_not_taken() {
    let Some(scene) = Scene::after_a_boot_with_errors() else { return };
    let file = scene.path("state/in-force.toml");
    let whole = std::fs::read(&file).expect("it was written down");
    let refused = |why: &str| {
        for words in [&["firewall", "apply"][..], &["run", "--or-last-in-force"]] {
            let (code, said) = scene.on_server(words);
            assert!(code == Some(2) && said.contains("did you mean lease?"), "{words:?}: {code:?} {said}");
            assert!(said.contains(why) && said.contains("help: mend the configuration"), "{words:?}: {said}");
            assert!(!scene.guards(2222));
        }
    };
    let set_mode =
        |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode");
    set_mode(0o644);
    refused("is not taken: others could use it");
    set_mode(0o600);
    // A door less would be a port that nobody guards.
    std::fs::write(&file, &whole[..whole.len() - 20]).expect("written");
    refused("is damaged");
    std::fs::remove_file(&file).expect("removed");
    refused("is not there");
    // What it names is read where it lies: the daemon wants its keys, and who only guards the ports does not.
    std::fs::write(&file, &whole).expect("written");
    set_mode(0o600);
    std::fs::remove_file(scene.path("server.key")).expect("removed");
    let (code, said) = scene.on_server(&["run", "--or-last-in-force"]);
    assert!(
        code == Some(2) && said.contains("has errors too") && said.contains("server.key\" cannot be read"),
        "{said}"
    );
    assert_eq!(scene.on_server(&["firewall", "apply"]).0, Some(3));
    assert!(scene.guards(2222));
}

/// R16 and R27: a trial goes back to it, also when the daemon is killed meanwhile; kept, the file is what counts again.
#[test]
fn r16_a_trial_of_the_mended_file_goes_back_to_what_was_last_in_force() {
    let Some(mut scene) = Scene::after_a_boot_with_errors() else { return };
    let before = scene.read("state/in-force.toml");
    scene.start();
    let (code, said) = scene.aldabad(&["apply", "--confirm", "60s"]).end();
    assert!(code == Some(1) && said.contains("as it was at the start, when it had errors"), "{said}");
    let edited = scene.write("aldaba.toml", AFTER);
    let applied = scene.trial(&edited, &["60s", "--by-hand"]);
    assert!(scene.guards(2223) && !scene.guards(2222) && scene.degraded().is_empty());
    let as_before = |scene: &Scene| {
        assert_eq!(
            (scene.read("aldaba.toml"), scene.read("state/in-force.toml")),
            (broken(), before.clone())
        );
    };
    as_before(&scene);
    scene.daemon.kill_everything();
    assert_eq!(applied.end().0, Some(1));
    scene.start();
    assert!(scene.guards(2222) && !scene.guards(2223) && scene.degraded() == ["last-in-force"]);
    let new = scene.path("aldaba.toml.new");
    let applied = scene.trial(&new, &["60s", "--by-hand"]);
    let (code, said) = scene.aldabad(&["apply", "--roll-back"]).end();
    assert_eq!((code, applied.end().0), (Some(0), Some(1)), "{said}");
    assert!(scene.guards(2222) && !scene.guards(2223));
    assert_eq!(scene.degraded(), ["last-in-force"], "true again");
    as_before(&scene);
    scene.knocks_open();
    let applied = scene.trial(&new, &["60s"]);
    scene.knock_with_key("new");
    let (code, said) = applied.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((scene.read("aldaba.toml"), scene.read("aldaba.toml.before")), (AFTER.to_owned(), broken()));
    assert!(scene.degraded().is_empty() && scene.read("state/in-force.toml").contains("name = \"new\""));
}

/// R16: a name that was mistyped, or whose user went with its package, is no reason to leave everybody outside.
#[test]
fn r16_a_user_that_does_not_exist_keeps_nobody_out() {
    let named = |name: &str| BEFORE.replacen('\n', &format!("\nuser = \"{name}\"\n"), 1);
    let Some(scene) = Scene::with(&named("nobody-of-ours")) else { return };
    scene.hosts.wait_for_link();
    let said = scene.daemon.said();
    assert!(said.contains("degraded what=user") && said.contains("does not exist"), "{said}");
    assert_eq!(scene.degraded(), ["user"]);
    scene.knocks_open();
    let first = scene.worker_uid();
    assert_ne!(first, 0);
    // Still missing, it is no reason for another worker.
    scene.reload(&named("nobody-of-ours-either"));
    assert_eq!((scene.degraded(), scene.worker_uid()), (vec!["user".to_owned()], first));
    scene.reload(&named("nobody"));
    let serves = || scene.worker_uid() == 65_534 && scene.degraded().is_empty();
    assert!(until(Duration::from_secs(10), serves).is_some(), "{}", scene.daemon.said());
    scene.knocks_open();
}
