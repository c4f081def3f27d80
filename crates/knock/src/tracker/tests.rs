//! Tests of the tracker: the transition tables of spec/knock.md, the comparison with the plain model, scenarios.

mod differential;
