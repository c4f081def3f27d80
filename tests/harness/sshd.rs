//! Debian's sshd on the server, with keys of its own, and Debian's ssh on the client.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Hosts, Program};

/// A server on port 22 that lets the key beside it in.
#[derive(Debug)]
pub struct Sshd {
    pub program: Program,
    user_key: PathBuf,
}

impl Sshd {
    /// Starts it; its files lie in `dir`.
    pub fn start(hosts: &Hosts, dir: &Path) -> Self {
        let (host_key, user_key) = (keypair(dir, "host_key"), keypair(dir, "user_key"));
        std::fs::create_dir_all("/run/sshd").unwrap();
        let config = dir.join("sshd_config");
        let text = format!(
            "Port 22\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}.pub\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            host_key.display(),
            user_key.display()
        );
        std::fs::write(&config, text).unwrap();
        let words = ["/usr/sbin/sshd", "-D", "-e", "-f", config.to_str().unwrap()];
        let program = Program::start(hosts, &words, &dir.join("sshd"));
        program.wait_for("Server listening");
        Self { program, user_key }
    }

    /// Options of `ssh` for a session with it: nothing of the user's own configuration, no questions.
    pub fn options(&self) -> Vec<String> {
        let key = format!("IdentityFile={}", self.user_key.display());
        let settings = [
            key.as_str(),
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=5",
        ];
        let mut words = vec!["-F".to_owned(), "none".to_owned()];
        words.extend(settings.iter().flat_map(|setting| ["-o".to_owned(), (*setting).to_owned()]));
        words
    }
}

/// A key pair without a passphrase.
fn keypair(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
    assert!(made.unwrap().success(), "ssh-keygen");
    path
}
