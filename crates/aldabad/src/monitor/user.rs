//! Whose the worker is: the user that the policy names, or one that has nothing else.

use std::io;
use std::time::Duration;

use aldaba_sys::privileges::{self, Identity};

use super::Monitor;
use crate::log::Level;
use crate::wording::quoted;

/// The worker's user, where the policy names none and this one exists.
const DEFAULT: &str = "aldaba";

/// As whom workers are started. Where it may not be changed at all, the worker says so itself.
#[derive(Debug)]
pub(super) struct WorkerUser {
    identity: Identity,
    /// What the policy says.
    wanted: Option<String>,
    /// Why it is another one.
    missing: Option<String>,
}

impl WorkerUser {
    /// The one that is wanted. Where there is no such user it is the one that is taken without a name: it is confined as well, and a
    /// daemon that did not start would leave everybody outside.
    pub(super) fn find(wanted: Option<&str>) -> io::Result<Self> {
        let (identity, missing) = match wanted.map(look_up).transpose() {
            Ok(Some(identity)) => (identity, None),
            Ok(None) => (unnamed()?, None),
            Err(why) => (unnamed()?, Some(why)),
        };
        Ok(Self { identity, wanted: wanted.map(str::to_owned), missing })
    }

    /// The one that is wanted now. Of those without a name one is as good as another.
    fn follow(&self, wanted: Option<&str>) -> Self {
        let is_unnamed = self.wanted.is_none() || self.missing.is_some();
        let other = || if is_unnamed { self.identity } else { unnamed().unwrap_or(self.identity) };
        let (identity, missing) = match wanted.map(look_up).transpose() {
            Ok(named) => (named.unwrap_or_else(other), None),
            Err(why) => (other(), Some(why)),
        };
        Self { identity, wanted: wanted.map(str::to_owned), missing }
    }

    /// As whom the next worker is started.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }
}

fn look_up(name: &str) -> Result<Identity, String> {
    let why = match privileges::lookup_user(name) {
        Ok(Some(identity)) => return Ok(identity),
        Ok(None) => "does not exist".to_owned(),
        Err(error) => format!("cannot be looked up ({error})"),
    };
    Err(format!("user {name:?} {why}: the worker runs as if the configuration named none"))
}

fn unnamed() -> io::Result<Identity> {
    // One that cannot be looked up is as good as none.
    match privileges::lookup_user(DEFAULT) {
        Ok(Some(identity)) => Ok(identity),
        _ => privileges::free_uid(),
    }
}

impl Monitor {
    /// Says so where the worker's user is not the one that the policy names.
    pub(super) fn say_user(&mut self, now: Duration) {
        let Some(error) = &self.workers.user().missing else { return self.health.clear("user") };
        self.health.note(now, "user", error);
        self.speech.tell(Level::Warning, format!("degraded what=user error={}", quoted(error)));
    }

    /// A reload may name another user, or the one it names exists by now: then another worker takes this one's place.
    pub(super) fn follow_user(&mut self, now: Duration) {
        let wanted = self.policy.current().policy.daemon.user.as_deref();
        let before = self.workers.user();
        if before.wanted.as_deref() == wanted && before.missing.is_none() {
            return;
        }
        let user = before.follow(wanted);
        let is_another = user.identity != before.identity;
        self.workers.set_user(user);
        self.say_user(now);
        if is_another && self.workers.is_living() {
            self.replace_worker(now);
        }
    }
}
