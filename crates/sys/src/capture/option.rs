//! Socket options rustix does not know.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sets an option to a plain structure.
pub(super) fn set<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are of one value; the kernel reads only.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The two counters of `PACKET_STATISTICS`: packets (dropped ones included) and drops, since they were last asked for.
pub(super) fn packet_statistics(fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let mut value = [0_u32; 2];
    let mut length = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are of one value, which the kernel writes; two words are all it has.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok((value[0], value[1])) } else { Err(io::Error::last_os_error()) }
}
