//! What happens to the world, read from bytes: every byte string is a list of operations, so that a shrunken or mutated
//! input still is one.

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A client knocks.
    Grant {
        /// Which door, modulo the number of doors.
        door: u8,
        /// Which client.
        source: u8,
        /// Seconds asked for; zero for none.
        wanted: u8,
    },
    /// A client's close knock.
    Close {
        /// Which door.
        door: u8,
        /// Which client.
        source: u8,
    },
    /// The administrator closes all of a client.
    CloseSource(u8),
    /// Time passes: this many quarter seconds.
    Pass(u8),
    /// The machine sleeps for this many quarter seconds: time passes, but not for the kernel's timeouts.
    Sleep(u8),
    /// Time passes till the runner wants to be asked.
    PassToTimeout,
    /// A running command ends.
    Finish {
        /// Which one, modulo their number.
        job: u8,
        /// Its status: 254 a signal, 255 it was never started.
        outcome: u8,
    },
    /// The next answers of the kernel are refusals.
    RefuseElements(u8),
    /// The next journal writes fail.
    FailJournal(u8),
    /// The configuration is read again.
    Reload(u8),
    /// Everything dies after so many further effects, and starts again.
    Crash {
        /// Effects performed before that.
        after: u8,
        /// Whether the machine boots.
        reboot: bool,
        /// Whether the start commands that run go on, if it does not.
        starts_live: bool,
        /// Whether the next daemon cannot have the journal yet.
        blind: bool,
    },
    /// The journal can be had again.
    OpenJournal,
    /// The daemon is asked to end, ends, and starts again.
    Restart {
        /// Whether it keeps its leases.
        keep: bool,
        /// Whether the commands that run end in time.
        patient: bool,
    },
    /// Somebody flushes the ruleset.
    Flush {
        /// Whether elements are to come back.
        restore: bool,
        /// Whether their sets are there again at once.
        there: bool,
    },
    /// The sets are there again: what was lost comes back.
    Reassert,
    /// Somebody takes one element out of its set, which is noticed.
    Remove(u8),
    /// Devices may hold what they have for so many seconds from now on.
    Shorten(u8),
}

impl Operation {
    /// The operations that these bytes stand for.
    pub fn read(data: &[u8]) -> impl Iterator<Item = Self> {
        let mut bytes = data.iter().copied();
        std::iter::from_fn(move || {
            let kind = bytes.next()?;
            let mut next = || bytes.next().unwrap_or(0);
            Some(match kind % 16 {
                0..=4 => Self::Grant { door: next(), source: next() % 5, wanted: next() },
                5 => Self::Close { door: next(), source: next() % 5 },
                6 => Self::CloseSource(next() % 5),
                7 => Self::Pass(next()),
                8 => Self::PassToTimeout,
                9 | 10 => Self::Finish { job: next(), outcome: next() },
                11 => Self::RefuseElements(next() % 4),
                12 => Self::FailJournal(next() % 4),
                13 => Self::Reload(next()),
                14 => {
                    let (after, how) = (next() % 6, next());
                    let blind = how & 0x18 == 0x18;
                    Self::Crash { after, reboot: how % 4 == 0, starts_live: how & 4 == 4, blind }
                }
                _ => {
                    let how = next();
                    match how % 8 {
                        2 if how & 8 == 0 => Self::OpenJournal,
                        0..=2 => Self::Flush { restore: how & 8 == 0, there: how & 16 == 0 },
                        3 => Self::Remove(next()),
                        4 => Self::Reassert,
                        5 => Self::Sleep(next()),
                        6 => Self::Shorten(next()),
                        _ => Self::Restart { keep: how & 8 == 8, patient: how & 16 == 16 },
                    }
                }
            })
        })
    }
}
