//! What is cited of the specifications is there, and what they print or name is so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{files, read, root};

/// All that cites specifications.
fn citing() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests", "fuzz", "docs", "spec", "keys"] {
        for extension in ["rs", "md", "py", "1", "5", "8"] {
            found.extend(files(folder, extension));
        }
    }
    found
}

/// Numbers like `4` or `9.2` in "4", "4 and 9.2", "1 to 11", "6 and 10)", up to the first word of another kind.
fn numbers(text: &str) -> Vec<&str> {
    let words = text.split([' ', '\n']).filter(|word| !["", "//!", "///", "//", "*", "#"].contains(word));
    let mut found = Vec::new();
    for word in words {
        let number = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            found.push(number);
        } else if !["and", "to"].contains(&word) {
            break;
        }
    }
    found
}

/// The sections and the steps a text cites of the specification `name`.
fn cited<'t>(text: &'t str, name: &str) -> (Vec<&'t str>, Vec<&'t str>) {
    let (mut sections, mut steps) = (Vec::new(), Vec::new());
    for rest in text.split(name).skip(1) {
        let rest = rest.trim_start_matches(['`', ')', ']']);
        let Some(rest) = rest.strip_prefix(", section") else { continue };
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        sections.extend(numbers(rest));
        let sentence = rest.split([';', ')', ':']).next().unwrap_or_default();
        if let Some((_, rest)) = sentence.split_once(", step") {
            steps.extend(numbers(rest.strip_prefix('s').unwrap_or(rest)));
        }
    }
    (sections, steps)
}

#[test]
fn sections_and_steps_that_are_cited_exist() {
    let mut checked = 0;
    for name in ["spa.md", "keys.md", "knock.md", "leases.md", "ipc.md"] {
        let specification = read(&root().join("spec").join(name));
        let has_section = |number: &str| {
            let number = number.trim_end_matches('.');
            let heading = |line: &str| {
                let title = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
                title.is_some_and(|title| {
                    title.split(' ').next().unwrap_or_default().trim_end_matches('.') == number
                })
            };
            specification.lines().any(heading)
        };
        for path in citing() {
            let text = read(&path);
            let (sections, steps) = cited(&text, name);
            for number in &sections {
                assert!(has_section(number), "{}: spec/{name} has no section {number}", path.display());
            }
            for number in &steps {
                let row = format!("\n| {number} | ");
                assert!(specification.contains(&row), "{}: spec/{name} has no step {number}", path.display());
            }
            checked += sections.len() + steps.len();
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn citations_are_read_as_they_are_written() {
    let text = "see spec/spa.md, section 8, steps 4 and 14. [spa.md](../spa.md), section 9.2; `spec/spa.md`, sections 5 and 9.
        //! in spec/spa.md, section 8, steps 1 to 11, and spec/spa.md";
    assert_eq!(cited(text, "spa.md"), (vec!["8", "9.2", "5", "9", "8"], vec!["4", "14", "1", "11"]));
}

#[test]
fn every_step_a_refusal_ends_at_is_in_the_table() {
    let specification = read(&root().join("spec/spa.md"));
    let refusal = read(&root().join("crates/spa/src/refusal.rs"));
    let body = refusal.split("fn step(self)").nth(1).and_then(|rest| rest.split("fn ").next());
    let arms = body.expect("the function").split("=> ").skip(1);
    let steps: Vec<&str> = arms.filter_map(|arm| arm.split(',').next()).collect();
    assert!(steps.len() > 9, "{steps:?}");
    for step in steps {
        assert!(specification.contains(&format!("\n| {step} | ")), "spec/spa.md has no step {step}");
    }
    let names = refusal.split("fn name(self)").nth(1).expect("the function");
    for name in names.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let silent = ["length", "tag"].contains(&name);
        assert!(silent || specification.contains(&format!("`{name}`")), "spec/spa.md does not know {name}");
    }
}

/// The values of the worked example, each with a name and hexadecimal lines.
fn printed(specification: &str) -> BTreeMap<String, String> {
    let (_, example) = specification.split_once("Worked example\n").expect("the section");
    let mut values: Vec<(String, String)> = Vec::new();
    for line in example.lines().filter_map(|line| line.strip_prefix("    ")) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default().to_owned();
        match (words.next(), values.last_mut()) {
            (Some(value), _) => values.push((first, value.to_owned())),
            (None, Some((_, value))) => value.push_str(&first),
            (None, None) => panic!("{line}"),
        }
    }
    values.into_iter().collect()
}

#[test]
fn the_worked_example_is_the_first_vector() {
    let printed = printed(&read(&root().join("spec/spa.md")));
    let vector = read(&root().join("spec/vectors/spa/positive/vector-1.json"));
    let vector: serde_json::Value = serde_json::from_str(&vector).expect("JSON");
    for (name, value) in &printed {
        let vector = vector["derived"].get(name).or_else(|| vector["inputs"].get(name));
        assert_eq!(vector.and_then(serde_json::Value::as_str), Some(value.as_str()), "{name}");
    }
    let left_out = ["plain", "hedge_key"];
    for name in vector["derived"].as_object().expect("values").keys() {
        assert!(printed.contains_key(name) || left_out.contains(&name.as_str()), "{name} is not printed");
    }
}

/// What the log calls degraded is a state of `aldabad status`, under the same name; so is all that the monitor notes.
#[test]
fn degraded_states_have_one_name_everywhere() {
    let specification = read(&root().join("spec/control.md"));
    let states = specification.split("### Degraded states").nth(1).expect("the section");
    let mut known = 0;
    for path in files("crates/aldabad/src", "rs") {
        let text: String = read(&path).split_whitespace().collect::<Vec<_>>().join(" ");
        let mut names: Vec<&str> = Vec::new();
        for before in ["degraded what=", ".degraded(now, \"", ".degraded( now, \"", " of(\""] {
            names.extend(text.split(before).skip(1));
        }
        // `note` and its moment, which is now or is asked for.
        for before in ["health.note(now, \"", "health.note(clock::boottime(), \"", "health.clear(\""] {
            names.extend(text.split(before).skip(1));
        }
        for name in names.into_iter().filter_map(|rest| rest.split(['"', ' ', '\\', '`']).next()) {
            // Whoever asks has the socket; the others are not names but what stands in for one.
            if name == "control" || name.contains(['{', '<', '(']) {
                continue;
            }
            assert!(states.contains(&format!("\n| `{name}` |")), "{}: no state {name}", path.display());
            known += 1;
        }
    }
    assert!(known > 50, "{known}");
}

#[test]
fn threats_name_tests_that_exist() {
    let model = read(&root().join("spec/threat-model.md"));
    let mut named = 0;
    for row in model.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attacker")) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        assert!(tests.contains("no test") || tests.contains('`'), "{row}\nnames no test and does not say so");
        for named_test in tests.split('`').skip(1).step_by(2) {
            match named_test.split_once(' ') {
                Some((path, function)) => {
                    let source = read(&root().join(path));
                    assert!(source.contains(&format!("fn {function}(")), "{path} has no test {function}");
                }
                None => assert!(root().join(named_test).exists(), "{named_test} is not there"),
            }
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}
