//! One captured frame to a checked segment, or the layer at which it is malformed.
#![forbid(unsafe_code)]
