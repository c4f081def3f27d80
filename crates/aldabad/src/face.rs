//! Under which name the program runs, and what follows from it (docs/architecture.md, "Two faces").

/// The two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Face {
    /// `aldabad run`.
    Aldabad,
    /// `knockd`.
    Knockd(Knockd),
}

/// What `knockd` was told on its command line, as far as the running daemon needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Knockd {
    /// `-v`.
    pub verbose: bool,
    /// `-D`.
    pub debug: bool,
    /// `-l`.
    pub lookup: bool,
}

impl Face {
    /// Whether it is knockd's.
    #[must_use]
    pub const fn is_knockd(&self) -> bool {
        matches!(self, Self::Knockd(_))
    }

    /// Whether `-v` copies lines to standard output.
    #[must_use]
    pub const fn echoes(&self) -> bool {
        matches!(self, Self::Knockd(Knockd { verbose: true, .. }))
    }
}
