//! A policy with the place of everything in it that can be doubted.
//!
//! Both readers end here, so every lint is written once and points into whichever file the door stands in.

use crate::Kind;
use crate::diagnostic::{Diagnostic, Place, Severity, Source};
use crate::files::FileFacts;
use crate::policy::Policy;

/// What a reader made of its file.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The grammar of its file: advice is given in the same.
    pub(crate) kind: Kind,
    pub(crate) policy: Policy,
    /// One for each door, in the policy's order.
    pub(crate) doors: Vec<DoorPlaces>,
    pub(crate) ignore: Option<Place>,
    pub(crate) interfaces: Option<Place>,
}

/// Where the parts of a door stand.
#[derive(Debug, Clone)]
pub(crate) struct DoorPlaces {
    pub(crate) name: Place,
    /// One for each knock, in the door's order.
    pub(crate) sequences: Vec<Place>,
    pub(crate) flags: Option<Place>,
    pub(crate) timeout: Option<Place>,
    pub(crate) lease: Option<Place>,
    pub(crate) target: Option<Place>,
    pub(crate) ports: Option<Place>,
    pub(crate) sets: Families,
    pub(crate) interfaces: Option<Place>,
    pub(crate) start: Families,
    pub(crate) stop: Families,
}

/// Where what is for each address family stands; the same place twice when one line serves both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Families {
    pub(crate) v4: Option<Place>,
    pub(crate) v6: Option<Place>,
}

impl DoorPlaces {
    /// A door of which only the name was written.
    pub(crate) fn named(name: Place) -> Self {
        Self {
            name,
            sequences: Vec::new(),
            flags: None,
            timeout: None,
            lease: None,
            target: None,
            ports: None,
            sets: Families::default(),
            interfaces: None,
            start: Families::default(),
            stop: Families::default(),
        }
    }
}

/// Everything that was found so far, in the order it was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Diagnostic>,
    /// Whether things the original reads with a shrug are errors.
    pub(crate) strict: bool,
    /// Besides root, the only owner that a file with a secret may have.
    pub(crate) own_uid: u32,
    /// Whether keys, registry and one-time sequences stay unread.
    pub(crate) keyless: bool,
    /// Every file that was read, with what the system says of it.
    pub(crate) files: Vec<(Source, FileFacts)>,
}

impl Findings {
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// A thing that knockd accepts but that nobody should write: an error in a strict check, else a warning.
    pub(crate) fn lenient(&mut self, mut diagnostic: Diagnostic) {
        if self.strict {
            diagnostic.severity = Severity::Error;
        }
        self.add(diagnostic);
    }

    pub(crate) fn refused(&self) -> bool {
        self.list.iter().any(|found| found.severity == Severity::Error)
    }
}
