//! What a started role has, and has not.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aldaba_sys::channel::{Channel, Received};
use aldaba_sys::memfd;
use aldaba_sys::reexec::Program;
use rustix::io::FdFlags;

use crate::child::{Child, Ending, INSIDE, NAME, ending, is_inside, null, receive, tell};

/// The child's side.
pub(crate) fn act(channel: &Channel) {
    let mut fds: Vec<u32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    fds.sort_unstable();
    // The directory being read is one of them.
    fds.pop();
    let links: Vec<_> = fds
        .iter()
        .filter(|fd| !(2..=3).contains(*fd))
        .map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap())
        .collect();
    let session = rustix::process::getsid(None).unwrap() == rustix::process::getpid();
    tell(
        channel,
        &format!(
            "{:?} {links:?} leads {session} environment {} directory {:?} name {:?}",
            fds,
            std::env::vars_os().count(),
            std::env::current_dir().unwrap(),
            std::env::args().next().unwrap(),
        ),
    );
}

#[test]
fn a_role_has_what_it_was_given_and_nothing_else() {
    // Something of ours that is careless enough to survive an exec, at a low number and at a high one.
    let careless: Vec<OwnedFd> = (0..30).map(|_| null().unwrap()).collect();
    for fd in &careless {
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).unwrap();
    }
    let child = Child::start("reexec", &[]);
    assert_eq!(
        child.answer(),
        format!(
            "[0, 1, 2, 3] [\"/dev/null\", \"/dev/null\"] leads true environment 0 directory \"/\" name {NAME:?}"
        )
    );
    assert_eq!(child.ending(), Ending::Code(0));
}

#[test]
fn descriptors_stand_in_the_order_given_whatever_their_numbers_were() {
    let files: Vec<OwnedFd> = (0..4).map(|n| memfd::sealed(&n.to_string(), b"").unwrap()).collect();
    let reversed: Vec<_> = files.iter().rev().map(|fd| fd.as_fd()).collect();
    let child = Child::start_with("reexec", &[], &reversed);
    let answer = child.answer();
    assert!(answer.starts_with("[0, 1, 2, 3, 4, 5, 6, 7]"), "{answer}");
    let names = (0..4).rev().map(|n| format!("\"/memfd:{n} (deleted)\"")).collect::<Vec<_>>().join(", ");
    assert!(answer.contains(&names), "{answer}");
}

#[test]
fn the_end_of_its_parent_reaches_it_through_the_channel() {
    let Child { channel, started } = Child::start("sandbox wait", &[]);
    assert!(matches!(receive(&channel), Received::Message { bytes, .. } if bytes == b"ready"));
    drop(channel);
    assert_eq!(ending(&started), Ending::Code(0));
}

#[test]
fn a_program_file_that_is_replaced_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("program");
    let itself = std::env::current_exe().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the program under test must be a file we may replace")]
    let run = |program: &Path| std::process::Command::new(program);
    // Another process writes it: a child that some test starts meanwhile would keep our descriptor, and the file busy.
    assert!(run("cp".as_ref()).args([&itself, &copy]).status().unwrap().success());
    let output = run(&copy)
        .args(["--exact", "reexec::in_a_file_that_is_replaced", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read(&copy).unwrap() == b"another version");
}

/// The inside of the test above.
#[test]
fn in_a_file_that_is_replaced() {
    if !is_inside() {
        return;
    }
    let program = Program::open().unwrap();
    let path = std::env::current_exe().unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"another version").unwrap();
    let child = Child::start_from(&program, "sandbox wait", &[], &[]);
    assert_eq!(child.answer(), "ready");
}
