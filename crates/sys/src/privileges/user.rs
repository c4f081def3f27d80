//! Who a process may become: a user by name, or a number nobody has.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;

use rustix::io::Errno;
use rustix::process::Uid;

/// Numbers that are never given to people: the range service managers take dynamic users from.
const FREE: RangeInclusive<u32> = 61_184..=65_519;

/// A user with the one group it will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// The user of this name, wherever the system keeps its users (NSS); `None`: there is none.
pub fn lookup_user(name: &str) -> io::Result<Option<Identity>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    lookup(|entry, text, found| {
        // SAFETY: all pointers are valid for the call; the text's length is given.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, text.as_mut_ptr(), text.len(), found) }
    })
}

/// A number between 61184 and 65519 that no user, no group and no process has.
///
/// Users and groups are asked for through NSS, so that dynamic users of the service manager are seen. Begins at a random one, so
/// that two daemons started together hardly ever meet.
pub fn free_uid() -> io::Result<Identity> {
    let span = FREE.end() - FREE.start() + 1;
    let mut random = [0; 4];
    rustix::rand::getrandom(random.as_mut_slice(), rustix::rand::GetRandomFlags::empty())?;
    let offset = u32::from_ne_bytes(random) % span;
    for step in 0..span {
        let id = FREE.start() + (offset + step) % span;
        if !has_process(id)? && !has_user(id)? && !has_group(id)? {
            return Ok(Identity { uid: id, gid: id });
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "no free user number between 61184 and 65519"))
}

fn has_user(uid: u32) -> io::Result<bool> {
    let user = lookup(|entry, text, found| {
        // SAFETY: all pointers are valid for the call; the text's length is given.
        unsafe { libc::getpwuid_r(uid, entry, text.as_mut_ptr(), text.len(), found) }
    })?;
    Ok(user.is_some())
}

fn has_group(gid: u32) -> io::Result<bool> {
    let mut entry = MaybeUninit::uninit();
    let group = with_room(|text| {
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call; the text's length is given.
        let result = unsafe {
            libc::getgrgid_r(gid, entry.as_mut_ptr(), text.as_mut_ptr(), text.len(), &raw mut found)
        };
        (result, (!found.is_null()).then_some(()))
    })?;
    Ok(group.is_some())
}

/// One of the reentrant look-ups of a user, with the memory it needs.
fn lookup(
    call: impl Fn(*mut libc::passwd, &mut [libc::c_char], *mut *mut libc::passwd) -> libc::c_int,
) -> io::Result<Option<Identity>> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    with_room(|text| {
        let mut found = std::ptr::null_mut();
        let result = call(entry.as_mut_ptr(), text, &raw mut found);
        // SAFETY: null, or our entry, which the call has filled.
        let user = unsafe { found.as_ref() };
        (result, user.map(|user| Identity { uid: user.pw_uid, gid: user.pw_gid }))
    })
}

/// Calls with ever more room for text, as long as there is too little (an entry of a large group can be long).
fn with_room<T>(
    mut call: impl FnMut(&mut [libc::c_char]) -> (libc::c_int, Option<T>),
) -> io::Result<Option<T>> {
    let mut text = vec![0; 4096];
    loop {
        match call(&mut text) {
            (0, found) => return Ok(found),
            // "Not found" has many names (getpwnam_r(3)).
            (libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => return Ok(None),
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if text.len() < 1 << 20 => text.resize(text.len() * 2, 0),
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Whether a process has this number as its real user, also one that is not dumpable: what all of its processes have for a priority
/// is one question, and reading each of them in /proc takes as long as the rest of a start.
fn has_process(uid: u32) -> io::Result<bool> {
    match rustix::process::getpriority_user(Uid::from_raw(uid)) {
        Ok(_) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn root_is_found_and_nobody_else_is_made_up() {
        assert_eq!(lookup_user("root").unwrap(), Some(Identity { uid: 0, gid: 0 }));
        assert_eq!(lookup_user("no-such-user-of-ours").unwrap(), None);
        assert_eq!(lookup_user("root\0x").unwrap(), None);
        assert_eq!(lookup_user("").unwrap(), None);
    }

    #[test]
    fn a_free_number_is_free() {
        let free = free_uid().unwrap();
        assert!(FREE.contains(&free.uid));
        assert_eq!(free.uid, free.gid);
        assert!(!has_user(free.uid).unwrap());
        assert!(has_user(0).unwrap());
        assert!(has_group(0).unwrap());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process of another user")]
    fn a_number_that_a_process_has_is_not_free() {
        assert!(has_process(rustix::process::getuid().as_raw()).unwrap());
        let free = free_uid().unwrap();
        assert!(!has_process(free.uid).unwrap());
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this suite must run as root");
            return println!("SKIPPED: not root");
        }
        let mut sleeper = Command::new("sleep").arg("60").uid(free.uid).spawn().unwrap();
        let seen = has_process(free.uid);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(seen.unwrap());
        assert!(!has_process(free.uid).unwrap());
    }

    #[test]
    fn room_grows_until_it_is_enough() {
        let mut sizes = Vec::new();
        let found = with_room(|text| {
            sizes.push(text.len());
            if text.len() < 10_000 { (libc::ERANGE, None) } else { (0, Some(7)) }
        });
        assert_eq!(found.unwrap(), Some(7));
        assert_eq!(sizes, [4096, 8192, 16_384]);
        assert!(with_room::<()>(|_| (libc::ERANGE, None)).is_err());
    }
}
