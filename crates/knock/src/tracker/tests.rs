//! Tests of the tracker: the transition tables of spec/knock.md, the comparison with the plain model, scenarios.

use super::*;

mod bench;
mod differential;
mod room;
mod scenarios;
mod transitions;
