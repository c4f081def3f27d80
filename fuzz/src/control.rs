//! Lines at the control socket: no bytes bring a reader down, what is read is said again in a line that is read as the same,
//! and nothing is longer than it may be (spec/control.md).

use aldabad::control::{Answer, LONGEST_ANSWER, LONGEST_REQUEST, Request};

/// Checks one input.
///
/// # Panics
/// If a reader does, a line comes back as another, or one that is too long is taken.
pub fn run(data: &[u8]) {
    if let Ok(request) = Request::parse(data) {
        assert!(data.len() <= LONGEST_REQUEST, "{request:?}");
        let line = whole(request.to_line(), LONGEST_REQUEST);
        assert_eq!(Request::parse(&line), Ok(request));
    }
    if let Ok(answer) = Answer::parse(data) {
        let line = whole(answer.to_line(), LONGEST_ANSWER);
        assert_eq!(Answer::parse(&line), Ok(answer));
    }
}

/// A line without its end, of which it has one.
fn whole(mut line: Vec<u8>, longest: usize) -> Vec<u8> {
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(line.len() <= longest && !line.contains(&b'\n'), "{}", String::from_utf8_lossy(&line));
    line
}
