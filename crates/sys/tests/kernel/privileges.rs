//! What is left of a process that has dropped its privileges.

use aldaba_sys::channel::Channel;
use aldaba_sys::privileges::{self, Dropped, Identity};
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;

use crate::child::{Child, Ending, INSIDE, end, is_inside, tell};
use crate::skip::is_root;

const NOBODY: Identity = Identity { uid: 61_999, gid: 61_998 };

/// The child's side.
pub(crate) fn act(channel: &Channel, task: &str) {
    match task {
        "drop" => {}
        "twice" => assert_eq!(privileges::drop_to(NOBODY).unwrap(), Dropped::Changed),
        "root" => {
            tell(channel, &format!("{:?}", privileges::drop_to(Identity { uid: 0, gid: 0 }).unwrap()));
            return tell(channel, &status());
        }
        "limits" => return limits(channel),
        _ => end(93),
    }
    tell(channel, &format!("{:?}", privileges::drop_to(NOBODY).unwrap()));
    tell(channel, &status());
    // SAFETY: numbers only, and they must be refused.
    let back = unsafe { libc::setresuid(0, 0, 0) };
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    tell(channel, &format!("{back} {dumpable:?}"));
}

fn limits(channel: &Channel) {
    assert_eq!(privileges::drop_to(NOBODY).unwrap(), Dropped::Changed);
    privileges::limit_worker(64, privileges::Room { memory: 3 << 30, file: 1 << 20 }).unwrap();
    let all =
        [Resource::Nproc, Resource::Core, Resource::Fsize, Resource::Data, Resource::As, Resource::Nofile];
    let all = all.map(getrlimit).map(|limit| (limit.current.unwrap(), limit.maximum.unwrap()));
    tell(channel, &format!("{all:?}"));
    let thread = std::thread::Builder::new().spawn(|| {});
    tell(channel, &format!("{:?}", thread.map(|_| ()).map_err(|error| error.kind())));
}

/// The lines of this thread's status that say who it is.
fn status() -> String {
    let wanted = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"];
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let lines = lines.filter(|(name, _)| wanted.contains(name));
    lines
        .map(|(name, value)| format!("{name}={}", value.split_whitespace().collect::<Vec<_>>().join(",")))
        .collect::<Vec<_>>()
        .join(" ")
}

fn expected(uid: u32, gid: u32) -> String {
    let none = "0".repeat(16);
    format!(
        "Uid={uid},{uid},{uid},{uid} Gid={gid},{gid},{gid},{gid} Groups= CapInh={none} CapPrm={none} CapEff={none} CapBnd={none} CapAmb={none} NoNewPrivs=1"
    )
}

fn child(task: &str) -> Child {
    Child::start(&format!("privileges {task}"), &[])
}

#[test]
fn everything_is_given_up_for_good() {
    if !is_root() {
        return;
    }
    for task in ["drop", "twice"] {
        let child = child(task);
        assert_eq!(child.answer(), "Changed", "{task}");
        assert_eq!(child.answer(), expected(NOBODY.uid, NOBODY.gid), "{task}");
        assert_eq!(child.answer(), "-1 NotDumpable", "{task}");
        assert_eq!(child.ending(), Ending::Code(0), "{task}");
    }
}

#[test]
fn who_may_not_change_its_uid_keeps_it_and_nothing_else() {
    if !is_root() {
        return;
    }
    let uid = CapabilitySet::SETUID;
    for (missing, gid) in [(uid | CapabilitySet::SETGID, 0), (uid, NOBODY.gid)] {
        // What the thread that starts it cannot have, no thread of the child gets.
        let start = move || {
            for capability in missing.iter() {
                rustix::thread::remove_capability_from_bounding_set(capability).unwrap();
            }
            child("drop")
        };
        let child = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.answer(), "KeptUid");
        assert_eq!(child.answer(), expected(0, gid));
        // Root changes nothing by becoming root.
        assert_eq!(child.answer(), "0 NotDumpable");
        assert_eq!(child.ending(), Ending::Code(0));
    }
}

#[test]
fn root_without_capabilities_is_possible_where_asked_for() {
    if !is_root() {
        return;
    }
    let child = child("root");
    assert_eq!(child.answer(), "Changed");
    assert_eq!(child.answer(), expected(0, 0));
}

#[test]
fn a_worker_starts_nothing_and_writes_nothing() {
    if !is_root() {
        return;
    }
    let child = child("limits");
    let (file, data, addresses) = (1 << 20, 3_u64 << 30, 7_u64 << 30);
    let limits = [0, 0, file, data, addresses, 64].map(|limit: u64| (limit, limit));
    assert_eq!(child.answer(), format!("{limits:?}"));
    assert_eq!(child.answer(), "Err(WouldBlock)");
    assert_eq!(child.ending(), Ending::Code(0));
}

/// As under `unshare -Ur`: groups cannot be set, the other uid does not exist.
#[test]
fn a_namespace_with_one_uid_is_no_obstacle() {
    #[expect(clippy::disallowed_methods, reason = "only a program with one thread can make a user namespace")]
    let output = std::process::Command::new("unshare")
        .args(["-Ur", "sh", "-c", "exec \"$0\" --exact privileges::in_a_namespace_with_one_uid --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output();
    let Ok(output) = output else {
        return crate::skip::skipped("no unshare");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if text.is_empty() {
        return crate::skip::skipped("no user namespaces");
    }
    assert!(text.contains("result: KeptUid"), "{text}");
    // The bounding set goes too: it is the namespace's root.
    assert!(
        text.contains("CapPrm=0000000000000000 CapEff=0000000000000000 CapBnd=0000000000000000"),
        "{text}"
    );
}

/// The inside of the test above.
#[test]
fn in_a_namespace_with_one_uid() {
    if !is_inside() {
        return;
    }
    println!("result: {:?}", privileges::drop_to(NOBODY).unwrap());
    println!("{}", status());
}
