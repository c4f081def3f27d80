//! Giving back memory that was needed once: pages of programs and libraries whose code has run for the last time, and heap that is free.
//!
//! A daemon reads its configuration with more code than it then runs on for months. Those pages are not its own, but they count as
//! resident in each of its processes, and under a limit of memory they are charged to it. Whatever of them is needed again is mapped
//! again, from the page cache, with a fault of a microsecond.

use std::ops::Range;

use libc::{c_int, c_void, dl_phdr_info, size_t};
use rustix::mm::Advice;

#[cfg(target_pointer_width = "64")]
type ElfHeader = libc::Elf64_Phdr;
#[cfg(target_pointer_width = "32")]
type ElfHeader = libc::Elf32_Phdr;

/// No page is smaller.
const PAGE: usize = 4096;

/// Gives back what was needed to get ready and is not now. To be called when a process has come to rest: all of it is a matter of how
/// much is resident, never of what a program does.
pub fn give_back() {
    give_back_code();
    give_back_heap();
}

/// The pages of the program and its libraries alone.
pub fn give_back_code() {
    for segment in unwritten_segments() {
        let (start, length) = (std::ptr::with_exposed_provenance_mut(segment.start), segment.len());
        // SAFETY: these pages are mapped from files, and nothing has written to them: what is read there next is the same.
        // What the kernel refuses stays as it is.
        let _ = unsafe { rustix::mm::madvise(start, length, Advice::LinuxDontNeed) };
    }
}

/// One heap for all threads: one of its own is begun for a thread however little it needs, and stays. To be called before there are any.
pub fn keep_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a setting of the allocator's own; where it is refused heaps are as many as before.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Free heap alone.
pub fn give_back_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time; what is in use stays where it is.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The whole pages of all loaded segments that nobody may write to: code, and data that the loader had nothing to put into.
fn unwritten_segments() -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let list: *mut Vec<Range<usize>> = &raw mut found;
    // SAFETY: `collect` is called before this returns, each time with a valid description and with this list.
    unsafe { libc::dl_iterate_phdr(Some(collect), list.cast()) };
    found
}

extern "C" fn collect(object: *mut dl_phdr_info, _: size_t, list: *mut c_void) -> c_int {
    // SAFETY: the list of `unwritten_segments`, which waits meanwhile.
    let Some(list) = (unsafe { list.cast::<Vec<Range<usize>>>().as_mut() }) else { return 0 };
    // SAFETY: the loader describes an object that is loaded, for as long as this function runs.
    let Some(object) = (unsafe { object.as_ref() }) else { return 0 };
    if object.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: so many headers stand there.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            list.extend(whole_pages(object, header));
        }
    }
    0
}

/// What of a segment no other one can share a page with.
fn whole_pages(object: &dl_phdr_info, segment: &ElfHeader) -> Option<Range<usize>> {
    let base = usize::try_from(object.dlpi_addr).ok()?;
    let start = base.checked_add(usize::try_from(segment.p_vaddr).ok()?)?;
    let end = start.checked_add(usize::try_from(segment.p_memsz).ok()?)?;
    // A multiple of the size of a page, on every machine.
    let unit = usize::try_from(segment.p_align).ok()?.max(PAGE);
    let (start, end) = (start.checked_next_multiple_of(unit)?, end - end % unit);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_code() -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_code = false;
        let mut kilobytes = 0;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("Rss:"), Some(number)) if is_code => kilobytes += number.parse::<usize>().unwrap(),
                (Some(range), Some(rights)) if range.contains('-') => is_code = rights == "r-xp",
                _ => {}
            }
        }
        kilobytes
    }

    #[test]
    fn code_is_found_and_runs_again_after_it_was_given_back() {
        let this: fn() = give_back;
        let segments = unwritten_segments();
        assert!(
            segments.iter().any(|segment| segment.contains(&(this as *const () as usize))),
            "{segments:x?}"
        );
        let words: Vec<String> = (0..1000).map(|number| format!("{number}")).collect();
        let before = resident_code();
        give_back();
        let after = resident_code();
        assert!(after < before, "{before} KiB of code resident before, {after} after");
        assert_eq!(words.iter().map(|word| word.parse::<u64>().unwrap()).sum::<u64>(), 499_500);
    }
}
