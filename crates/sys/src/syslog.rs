//! The system log, through the C library: it knows where the log listens, and connects again when that restarts.

use std::ffi::{CStr, CString};

/// Names this program in the log: facility daemon, no process number.
pub fn open(ident: &'static CStr) {
    // SAFETY: the name lives for ever, which is what the library wants.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_NDELAY, libc::LOG_DAEMON) };
}

/// Writes a message with priority notice.
pub fn send(message: &str) {
    // A text with a zero in it cannot be handed over; our own have none.
    let Ok(message) = CString::new(message) else { return };
    // SAFETY: a constant format with one text, which is what is given.
    unsafe { libc::syslog(libc::LOG_NOTICE, c"%s".as_ptr(), message.as_ptr()) };
}
