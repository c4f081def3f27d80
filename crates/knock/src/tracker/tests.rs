//! Tests of the tracker: the transition tables of spec/knock.md, the comparison with the plain model, scenarios.

use super::*;

mod bench;
mod differential;
mod flood;
mod room;
mod rule;
mod scenarios;
mod transitions;
