//! All the bytes a policy was made of, to hand from the monitor to the worker.
//!
//! The monitor reads through a bundle being recorded, the worker from the decoded one: the same answers in the same
//! order give the same policy. The encoding is private to one version of the program (both ends run the same
//! binary): a mark, then counted fields, big-endian. It is decoded with every length checked and nothing left over.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    FileBytes, FileFacts, Files, Kind, Loaded, Options, Policy, Report, is_drop_in_of, load, load_again,
};

mod wire;

use wire::{Reader, Writer};

const MARK: &[u8] = b"aldaba bundle 1\n";

/// Why bytes are not a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It does not begin with the mark of this version.
    #[error("not a bundle of this version")]
    Mark,
    /// A length reaches past the end.
    #[error("bundle is cut short")]
    Short,
    /// A field has a value that is never written.
    #[error("bundle holds a value that is never written")]
    Value,
    /// Bytes follow the end.
    #[error("bytes follow the end of the bundle")]
    Trailing,
}

/// What was asked, and what the answer was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Answers {
    files: Vec<(PathBuf, Result<FileBytes, Failure>)>,
    folders: Vec<(PathBuf, Result<Vec<OsString>, Failure>)>,
    facts: Vec<(PathBuf, Result<FileFacts, Failure>)>,
}

/// There are keys among the files.
impl Drop for Answers {
    fn drop(&mut self) {
        self.files.iter_mut().flat_map(|(_, answer)| answer).for_each(|file| file.bytes.zeroize());
    }
}

/// An I/O error in a form that can be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    /// The system's number, where there was one; it makes the same message again.
    errno: Option<i32>,
    text: String,
}

/// All files of a configuration, with how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    kind: Kind,
    path: PathBuf,
    options: Options,
    answers: Answers,
}

impl Bundle {
    /// Reads a configuration and keeps every answer that went into it.
    pub fn record(
        kind: Kind,
        path: &Path,
        files: &mut dyn Files,
        options: &Options,
    ) -> (Self, Result<Loaded, Report>) {
        let mut recorder = Recorder { files, answers: Answers::default() };
        let outcome = load(kind, path, &mut recorder, options);
        let answers = recorder.answers;
        (Self { kind, path: path.to_owned(), options: options.clone(), answers }, outcome)
    }

    /// The policy once more, from what was kept. What is doubtful in it was said when it was recorded.
    pub fn policy(&self) -> Result<Policy, Report> {
        load_again(self.kind, &self.path, &mut Replay::new(&self.answers), &self.options)
    }

    /// The configuration itself as it was read, the main file first and then its drop-ins: without what they refer to.
    #[must_use]
    pub fn texts(&self) -> Vec<(PathBuf, Zeroizing<Vec<u8>>)> {
        let is_text =
            |path: &Path| path == self.path || (self.kind == Kind::Toml && is_drop_in_of(&self.path, path));
        let read = self.answers.files.iter().filter(|(path, _)| is_text(path));
        read.filter_map(|(path, answer)| {
            Some((path.clone(), Zeroizing::new(answer.as_ref().ok()?.bytes.clone())))
        })
        .collect()
    }

    /// The bundle as bytes, with all secrets in it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.raw(MARK);
        writer.byte(u8::from(self.kind == Kind::Knockd));
        writer.byte(u8::from(self.options.strict_check));
        writer.byte(u8::from(self.options.reload));
        writer.number(self.options.own_uid);
        writer.bytes(self.path.as_os_str().as_bytes());
        write_answers(&mut writer, &self.answers);
        writer.finish()
    }

    /// A bundle out of bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let rest = bytes.strip_prefix(MARK).ok_or(BundleError::Mark)?;
        let mut reader = Reader::new(rest);
        let kind = if reader.flag()? { Kind::Knockd } else { Kind::Toml };
        let (strict_check, reload, own_uid) = (reader.flag()?, reader.flag()?, reader.number()?);
        let path = read_path(&mut reader)?;
        let answers = read_answers(&mut reader)?;
        reader.finish()?;
        Ok(Self { kind, path, options: Options { strict_check, reload, own_uid, keyless: false }, answers })
    }
}

fn write_answers(writer: &mut Writer, answers: &Answers) {
    writer.count(answers.files.len());
    for (path, answer) in &answers.files {
        writer.bytes(path.as_os_str().as_bytes());
        write_outcome(writer, answer, |writer, file| {
            write_facts(writer, &file.facts);
            writer.bytes(&file.bytes);
        });
    }
    writer.count(answers.folders.len());
    for (path, answer) in &answers.folders {
        writer.bytes(path.as_os_str().as_bytes());
        write_outcome(writer, answer, |writer, names| {
            writer.count(names.len());
            for name in names {
                writer.bytes(name.as_bytes());
            }
        });
    }
    writer.count(answers.facts.len());
    for (path, answer) in &answers.facts {
        writer.bytes(path.as_os_str().as_bytes());
        write_outcome(writer, answer, write_facts);
    }
}

fn write_facts(writer: &mut Writer, facts: &FileFacts) {
    writer.number(facts.mode);
    writer.number(facts.uid);
    writer.byte(u8::from(facts.is_regular));
}

fn write_outcome<T>(writer: &mut Writer, outcome: &Result<T, Failure>, value: impl FnOnce(&mut Writer, &T)) {
    match outcome {
        Ok(inner) => {
            writer.byte(1);
            value(writer, inner);
        }
        Err(failure) => {
            writer.byte(0);
            writer.byte(u8::from(failure.errno.is_some()));
            writer.number(u32::from_ne_bytes(failure.errno.unwrap_or_default().to_ne_bytes()));
            writer.bytes(failure.text.as_bytes());
        }
    }
}

fn read_answers(reader: &mut Reader<'_>) -> Result<Answers, BundleError> {
    let mut answers = Answers::default();
    for _ in 0..reader.number()? {
        let path = read_path(reader)?;
        answers.files.push((path, read_outcome(reader, read_file)?));
    }
    for _ in 0..reader.number()? {
        let path = read_path(reader)?;
        answers.folders.push((path, read_outcome(reader, read_names)?));
    }
    for _ in 0..reader.number()? {
        let path = read_path(reader)?;
        answers.facts.push((path, read_outcome(reader, read_facts)?));
    }
    Ok(answers)
}

fn read_outcome<T>(
    reader: &mut Reader<'_>,
    value: impl FnOnce(&mut Reader<'_>) -> Result<T, BundleError>,
) -> Result<Result<T, Failure>, BundleError> {
    if reader.flag()? {
        return Ok(Ok(value(reader)?));
    }
    let known = reader.flag()?;
    let errno = i32::from_ne_bytes(reader.number()?.to_ne_bytes());
    if !known && errno != 0 {
        return Err(BundleError::Value);
    }
    Ok(Err(Failure { errno: known.then_some(errno), text: reader.text()? }))
}

fn read_file(reader: &mut Reader<'_>) -> Result<FileBytes, BundleError> {
    let facts = read_facts(reader)?;
    Ok(FileBytes { facts, bytes: reader.bytes()?.to_vec() })
}

fn read_facts(reader: &mut Reader<'_>) -> Result<FileFacts, BundleError> {
    Ok(FileFacts { mode: reader.number()?, uid: reader.number()?, is_regular: reader.flag()? })
}

fn read_names(reader: &mut Reader<'_>) -> Result<Vec<OsString>, BundleError> {
    let count = reader.number()?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(OsString::from_vec(reader.bytes()?.to_vec()));
    }
    Ok(names)
}

fn read_path(reader: &mut Reader<'_>) -> Result<PathBuf, BundleError> {
    Ok(PathBuf::from(OsStr::from_bytes(reader.bytes()?)))
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        Self { errno: error.raw_os_error(), text: error.to_string() }
    }

    fn again(&self) -> io::Error {
        self.errno.map_or_else(|| io::Error::other(self.text.clone()), io::Error::from_raw_os_error)
    }
}

/// Passes every question on and keeps the answer.
struct Recorder<'a> {
    files: &'a mut dyn Files,
    answers: Answers,
}

impl Recorder<'_> {
    fn keep(&mut self, path: &Path, answer: &io::Result<FileBytes>) {
        let kept = match answer {
            Ok(file) => Ok(file.clone()),
            Err(error) => Err(Failure::of(error)),
        };
        self.answers.files.push((path.to_owned(), kept));
    }
}

impl Files for Recorder<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let answer = self.files.read(path);
        self.keep(path, &answer);
        answer
    }

    fn read_secret(&mut self, path: &Path) -> io::Result<FileBytes> {
        let answer = self.files.read_secret(path);
        self.keep(path, &answer);
        answer
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        let answer = self.files.list_dir(path);
        let kept = answer.as_ref().map(Clone::clone).map_err(Failure::of);
        self.answers.folders.push((path.to_owned(), kept));
        answer
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        let answer = self.files.facts(path);
        let kept = answer.as_ref().map(|facts| *facts).map_err(Failure::of);
        self.answers.facts.push((path.to_owned(), kept));
        answer
    }
}

/// Gives the kept answers again.
struct Replay<'a> {
    files: HashMap<&'a Path, &'a Result<FileBytes, Failure>>,
    folders: HashMap<&'a Path, &'a Result<Vec<OsString>, Failure>>,
    facts: HashMap<&'a Path, &'a Result<FileFacts, Failure>>,
}

impl<'a> Replay<'a> {
    fn new(answers: &'a Answers) -> Self {
        Self {
            files: answers.files.iter().map(|(path, answer)| (path.as_path(), answer)).collect(),
            folders: answers.folders.iter().map(|(path, answer)| (path.as_path(), answer)).collect(),
            facts: answers.facts.iter().map(|(path, answer)| (path.as_path(), answer)).collect(),
        }
    }
}

impl Files for Replay<'_> {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        replayed(self.files.get(path).copied())
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        replayed(self.folders.get(path).copied())
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        replayed(self.facts.get(path).copied())
    }
}

fn replayed<T: Clone>(answer: Option<&Result<T, Failure>>) -> io::Result<T> {
    match answer {
        Some(Ok(value)) => Ok(value.clone()),
        Some(Err(failure)) => Err(failure.again()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "not in the bundle")),
    }
}
