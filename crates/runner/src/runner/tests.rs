//! See the files of this folder.

mod properties;
