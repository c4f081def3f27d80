use super::{Item, LONGEST_LINE, lines};

fn shown(text: &[u8]) -> Vec<String> {
    let part = |range: &std::ops::Range<usize>| String::from_utf8_lossy(&text[range.clone()]).into_owned();
    lines(text)
        .map(|line| match &line.item {
            Item::Section(name) => format!("{}[{}]", line.number, part(name)),
            Item::Directive { key, value: None } => format!("{} {}", line.number, part(key)),
            Item::Directive { key, value: Some(value) } => {
                format!("{} {}<{}>", line.number, part(key), part(value))
            }
        })
        .collect()
}

#[test]
fn splits_at_the_first_equals_sign_and_trims_both_sides() {
    assert_eq!(
        shown(b"\t[ a ] \r\n x\t= y = z \x0b\x0c\nword\n k =\n=v"),
        ["1[ a ]", "2 x<y = z>", "3 word", "4 k<>", "5 <v>"]
    );
}

#[test]
fn skips_comments_and_empty_lines_but_counts_them() {
    assert_eq!(shown(b"# a = b\n\n  \t# c\n;d\n[]\n[\n[x] y"), ["4 ;d", "5[]", "6 [", "7 [x] y"]);
}

#[test]
fn a_nul_byte_ends_the_line() {
    assert_eq!(shown(b"a = b\0c = d\ne\n\0f"), ["1 a<b>", "2 e"]);
    assert_eq!(lines(b"x\na = b\0").nth(1).and_then(|line| line.nul), Some(7));
}

#[test]
fn the_limit_is_4095_bytes_with_the_newline() {
    let mut fits = vec![b'x'; LONGEST_LINE - 1];
    fits.extend_from_slice(b"\nnext\n");
    assert_eq!(lines(&fits).map(|line| line.is_rest).collect::<Vec<_>>(), [false, false]);
    // One byte more: only the newline is left over, and an empty line says nothing.
    fits.insert(0, b'x');
    let read: Vec<_> = lines(&fits).map(|line| (line.number, line.is_rest)).collect();
    assert_eq!(read, [(1, false), (3, false)]);
    fits.insert(0, b'x');
    let read: Vec<_> = lines(&fits).map(|line| (line.number, line.is_rest)).collect();
    assert_eq!(read, [(1, false), (2, true), (3, false)]);
}
