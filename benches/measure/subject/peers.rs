//! The daemons that do the same: knockd, or ours in its place, and fwknopd.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use aldaba_tests::hosts::IF;
use aldaba_tests::program;
use data_encoding::BASE64;

use super::{Door, KNOCKS, PROBE, Prepared, SPA_PORT, Which, ports, teller, words, write};
use crate::knocker::Knock;

/// knockd.conf, for the original or for what stands in for it.
pub(super) fn knockd(which: Which, dir: &Path, size: u32, door: Door) -> Prepared {
    let log = dir.join("door.log");
    let command = if door == Door::Opens {
        format!("/usr/sbin/iptables -I INPUT -s %IP% -p udp --dport {PROBE} -j ACCEPT")
    } else {
        format!("{} %IP%", teller(dir).join(" "))
    };
    let mut text = format!("[options]\n\tlogfile = {}\n", log.display());
    for number in 0..size {
        let [first, second, third] = ports(number);
        write!(
            text,
            "\n[door{number}]\n\tsequence = {first},{second},{third}\n\tseq_timeout = 10\n\ttcpflags = syn\n\tcommand = {command}\n"
        )
        .expect("text");
    }
    write(&dir.join("knockd.conf"), &text);
    let path = dir.join("knockd.conf").display().to_string();
    let knock = Knock::Ports(ports(size - 1));
    if which == Which::Knockd {
        // It says nothing when it listens; it does as soon as it rests.
        return (words(["/usr/sbin/knockd", "-i", IF, "-c", &path]), knock, "");
    }
    let ours = program::binary("knockd").display().to_string();
    let state = format!("STATE_DIRECTORY={}", dir.join("state").display());
    (words(["/usr/bin/env", &state, &ours, "-v", "-i", IF, "-c", &path]), knock, "listening on")
}

/// Keys of a user, in fwknop's lengths.
fn fwknop_keys(user: u32) -> [String; 2] {
    let mut random = fastrand::Rng::with_seed(user.into());
    [32, 64].map(|length| {
        BASE64.encode(&std::iter::repeat_with(|| random.u8(..)).take(length).collect::<Vec<u8>>())
    })
}

pub(super) fn fwknopd(dir: &Path, size: u32, door: Door) -> Prepared {
    let mut access = String::new();
    for user in 0..size {
        let [key, hmac] = fwknop_keys(user);
        write!(access, "SOURCE ANY\nKEY_BASE64 {key}\nHMAC_KEY_BASE64 {hmac}\nHMAC_DIGEST_TYPE SHA256\n")
            .expect("text");
        if door == Door::Opens {
            write!(access, "OPEN_PORTS udp/{PROBE}\nFW_ACCESS_TIMEOUT 60\n\n").expect("text");
        } else {
            write!(access, "CMD_CYCLE_OPEN {} $SRC\nCMD_CYCLE_CLOSE NONE\n\n", teller(dir).join(" "))
                .expect("text");
        }
    }
    write(&dir.join("access.conf"), &access);
    let folder = dir.display();
    let text = format!(
        "ENABLE_UDP_SERVER Y;\nUDPSERV_PORT {SPA_PORT};\nPCAP_INTF {IF};\nMAX_SPA_PACKET_AGE 900;\nFWKNOP_RUN_DIR {folder};\n"
    );
    write(&dir.join("fwknopd.conf"), &text);
    let path = |name: &str| dir.join(name).display().to_string();
    let (conf, users, cache, pid) =
        (path("fwknopd.conf"), path("access.conf"), path("digest.cache"), path("fwknopd.pid"));
    let run = folder.to_string();
    let words = words([
        "/usr/sbin/fwknopd",
        "-f",
        "-U",
        "-i",
        IF,
        "-c",
        &conf,
        "-a",
        &users,
        "-d",
        &cache,
        "-p",
        &pid,
        "-r",
        &run,
    ]);
    let datagrams = fwknop_datagrams(dir, size - 1, door);
    (words, Knock::Datagrams(SPA_PORT, datagrams), "")
}

/// Datagrams of fwknop's own client, which saves them and sends nothing.
fn fwknop_datagrams(dir: &Path, user: u32, door: Door) -> Vec<Vec<u8>> {
    let [key, hmac] = fwknop_keys(user);
    let file = dir.join("packets");
    let _ = std::fs::remove_file(&file);
    let access = if door == Door::Opens { format!("udp/{PROBE}") } else { "tcp/22".to_owned() };
    for _ in 0..KNOCKS {
        let made = Command::new("/usr/bin/fwknop")
            .args([
                "-T",
                "-A",
                &access,
                "-a",
                "0.0.0.0",
                "-D",
                "10.9.0.1",
                "--no-rc-file",
                "--no-home-dir",
                "-E",
                "/dev/null",
            ])
            .args(["--use-hmac", "--key-base64-rijndael", &key, "--key-base64-hmac", &hmac])
            .args(["--save-packet-append", "--save-packet"])
            .arg(&file)
            .output()
            .expect("fwknop runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let text = std::fs::read_to_string(&file).expect("packets");
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}
