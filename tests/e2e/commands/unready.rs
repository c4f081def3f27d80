//! A program that cannot be read yet, as on a network file system that is dead, holds up neither daemon nor closer (hazard R6 of
//! docs/reliability.md). Here it is a scanner that does not answer (fanotify), which the kernel asks before it executes.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};

/// Asks to be asked before this file is executed, and says nothing (`fanotify(7)`, `FAN_OPEN_EXEC_PERM`).
const SCANNER: &str = "import ctypes,os,sys,time\nlibc=ctypes.CDLL(None,use_errno=True)\n\
    fd=libc.fanotify_init(4,os.O_RDONLY)\n\
    made=libc.fanotify_mark(fd,1,ctypes.c_uint64(0x40000),-100,sys.argv[1].encode())\n\
    print('holds' if made==0 else os.strerror(ctypes.get_errno()),flush=True)\ntime.sleep(120)";

/// What a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(8);

struct Scene {
    daemon: Program,
    scanner: Program,
    dir: tempfile::TempDir,
    hosts: Hosts,
}

fn scene() -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let (file, program) = (dir.path().join("open"), dir.path().join("program"));
    std::fs::copy("/bin/true", &program).unwrap();
    let (file, program) = (file.display(), program.display());
    let config = format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"slow\"\nsequence = \"1000,1001\"\nlease = \"1s\"\n\
         time-limit = \"3s\"\nstart = [\"/bin/true\"]\nstop = [\"{program}\"]\n\
         [[door]]\nname = \"good\"\nsequence = \"2000,2001\"\nlease = \"3s\"\n\
         start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"{file}\"]\n"
    );
    let scanner = ["/usr/bin/python3", "-c", SCANNER, &program.to_string()];
    let scanner = Program::start(&hosts, &scanner, &dir.path().join("scanner"));
    scanner.wait_for("holds");
    let daemon = Program::aldabad_with(&hosts, dir.path(), &config, &["--keep"]);
    Some(Scene { daemon, scanner, dir, hosts })
}

impl Scene {
    fn good(&self) -> PathBuf {
        self.dir.path().join("open")
    }

    fn open(&self, door: &str) {
        assert!(ask(self.dir.path(), &["open", "192.0.2.2", door]), "{}", self.daemon.said());
    }

    fn good_closes(&self) {
        let closed = until(Duration::from_secs(3) + IN_TIME, || !self.good().exists());
        assert!(closed.is_some(), "still open:\n{}", self.daemon.said());
    }
}

fn ask(dir: &Path, words: &[&str]) -> bool {
    let mut command = Command::new(binary("aldabad"));
    command.args(words).arg("--control").arg(dir.join("control.sock"));
    command.status().unwrap().success()
}

#[test]
fn r6_a_program_that_cannot_be_read_yet_holds_nobody_up() {
    let Some(mut scene) = scene() else { return };
    scene.open("slow");
    scene.daemon.wait_until("the stop command begins", |said| said.contains("part=stop"));
    // The daemon: it answers, another door opens and closes, and the time limit ends what waits.
    scene.open("good");
    assert!(scene.good().exists());
    scene.good_closes();
    scene.daemon.wait_until("its limit reaches it", |said| said.contains("command-failed door=slow"));
    // The closer: it closes, and leaves the lock to the next daemon.
    scene.open("good");
    scene.daemon.kill_alone();
    scene.good_closes();
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.open("good");
    // The program can be read again.
    drop(scene.scanner);
    let leases = || String::from_utf8(leases(scene.dir.path())).unwrap();
    let closed = until(Duration::from_secs(70), || !leases().contains("slow"));
    assert!(closed.is_some(), "{}\n{}", leases(), scene.daemon.said());
}

fn leases(dir: &Path) -> Vec<u8> {
    let mut command = Command::new(binary("aldabad"));
    command.args(["leases", "--control"]).arg(dir.join("control.sock")).output().unwrap().stdout
}
