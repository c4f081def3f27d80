//! The kernel in safe clothes. The only crate of the workspace with unsafe code.
