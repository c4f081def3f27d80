//! Where results are written for readers: between two lines of a document, which are there once for each part.

use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- measured: benches/run --write -->\n";
const END: &str = "<!-- end of what was measured -->";

/// Puts the parts into the document, in their order.
pub(crate) fn write(path: &Path, parts: &[String]) {
    let text = std::fs::read_to_string(path).expect("the document");
    let (mut written, mut rest) = (String::new(), text.as_str());
    for part in parts {
        let (before, old) = rest.split_once(BEGIN).expect("where a part begins");
        write!(written, "{before}{BEGIN}\n{part}\n{END}").expect("text");
        rest = old.split_once(END).expect("where it ends").1;
    }
    std::fs::write(path, written + rest).expect("written");
    println!("written: {}", path.display());
}
