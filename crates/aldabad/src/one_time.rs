//! Files of one-time sequences: the monitor alone holds them, marks what was used, and knows what comes next
//! (spec/knock.md, "One-time sequences").

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use aldaba_config::{Current, OneTime};
use aldaba_gate::DoorId;
use aldaba_gate::knock::Sequence;
use aldaba_gate::knock::one_time::OneTimeList;
use aldaba_sys::files;

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// One knock's file, held open for as long as the policy is in force.
#[derive(Debug)]
pub struct OneTimeFile {
    /// The door it belongs to.
    pub door: DoorId,
    /// Which of the door's knocks.
    pub knock: u8,
    path: PathBuf,
    file: File,
    /// With the byte to mark when it is used; a sequence that stands in the configuration has none.
    current: Option<(Sequence, Option<u64>)>,
    used: bool,
}

impl OneTimeFile {
    /// Opens the file of a knock; `written` is the knock's sequence where that stands in the configuration.
    pub fn open(of: &OneTime, written: Option<&Sequence>) -> io::Result<Self> {
        let file = files::open_for_marking(&of.path)?;
        let OneTime { door, knock, ref path, current } = *of;
        let mut this = Self { door, knock, path: path.clone(), file, current: None, used: false };
        match (current, written) {
            (Current::Written, Some(sequence)) => this.current = Some((sequence.clone(), None)),
            _ => this.find_current()?,
        }
        Ok(this)
    }

    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sequence that opens now.
    #[must_use]
    pub fn current(&self) -> Option<&Sequence> {
        self.current.as_ref().map(|(sequence, _)| sequence)
    }

    /// Marks the current sequence as used, durably, and goes on to the next. On an error nothing is current any more:
    /// a sequence that cannot be marked must not open twice.
    pub fn use_up(&mut self) -> io::Result<()> {
        self.used = true;
        if let Some((_, Some(offset))) = self.current.take() {
            files::overwrite_byte_durably(&self.file, offset, b'#')?;
        }
        self.find_current()
    }

    /// Whether a sequence was used up since it was opened.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.used
    }

    /// Goes on to the first line that is not marked: somebody else has used the file.
    pub fn look_again(&mut self) -> io::Result<()> {
        self.current = None;
        self.find_current()
    }

    /// Nothing is current any more.
    pub fn give_up(&mut self) {
        self.current = None;
    }

    /// Lines appended since the file was opened count.
    fn find_current(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        io::Read::by_ref(&mut self.file).take(LARGEST).read_to_end(&mut text)?;
        let list = OneTimeList::parse(&text);
        self.current = list.current().map(|(sequence, offset)| (sequence.clone(), Some(offset as u64)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path, current: Current) -> OneTime {
        OneTime { door: DoorId(0), knock: 0, path: path.to_owned(), current }
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, OneTimeFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let opened = OneTimeFile::open(&of(file.path(), Current::Line(0)), None).unwrap();
        (file, opened)
    }

    fn shown(one_time: &OneTimeFile) -> Option<String> {
        one_time.current().map(ToString::to_string)
    }

    #[test]
    fn the_used_line_is_marked_in_place_and_the_next_one_follows() {
        let (on_disk, mut one_time) = file("# list\n 7000,8000\n bad:xyz\n 7100:udp,8100\n");
        assert_eq!(shown(&one_time).as_deref(), Some("7000,8000"));
        one_time.use_up().unwrap();
        assert_eq!(shown(&one_time).as_deref(), Some("7100:udp,8100"));
        let text = std::fs::read_to_string(on_disk.path()).unwrap();
        assert_eq!(text, "# list\n#7000,8000\n bad:xyz\n 7100:udp,8100\n");
    }

    #[test]
    fn a_sequence_of_the_configuration_counts_once_and_marks_nothing() {
        let (on_disk, _) = file(" 7100\n");
        let written = "7000,8000".parse().unwrap();
        let mut one_time = OneTimeFile::open(&of(on_disk.path(), Current::Written), Some(&written)).unwrap();
        assert_eq!(shown(&one_time).as_deref(), Some("7000,8000"));
        one_time.use_up().unwrap();
        assert_eq!(shown(&one_time).as_deref(), Some("7100"));
        assert_eq!(std::fs::read_to_string(on_disk.path()).unwrap(), " 7100\n");
    }

    #[test]
    fn what_another_policy_used_up_is_used_up_here_too() {
        let (on_disk, mut before) = file(" 7000\n 7100\n");
        let mut on_trial = OneTimeFile::open(&of(on_disk.path(), Current::Line(0)), None).unwrap();
        assert!(!on_trial.is_used());
        on_trial.use_up().unwrap();
        assert!(on_trial.is_used());
        assert_eq!(shown(&before).as_deref(), Some("7000"));
        before.look_again().unwrap();
        assert_eq!(shown(&before).as_deref(), Some("7100"));
        before.give_up();
        assert_eq!(shown(&before), None);
    }

    #[test]
    fn a_line_added_meanwhile_is_used_in_turn() {
        let (on_disk, mut one_time) = file(" 7000\n");
        let mut more = File::options().append(true).open(on_disk.path()).unwrap();
        io::Write::write_all(&mut more, b" 7100\n").unwrap();
        one_time.use_up().unwrap();
        assert_eq!(shown(&one_time).as_deref(), Some("7100"));
        one_time.use_up().unwrap();
        assert_eq!(shown(&one_time), None);
        one_time.use_up().unwrap();
    }
}
