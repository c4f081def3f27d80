//! Port sequences as text, and how far each source has got in each of them.
#![forbid(unsafe_code)]
