//! The programs and words of a command line, as far as they can be told without being a shell.
//!
//! It knows blanks, quotes, `;`, `&`, `|`, comments and redirections. At the first thing it does not know (a group, a
//! here-document) it stops: what it has not understood, nobody is warned of.

use aldaba_runner::door::Template;

/// Words of the shell in front of a command.
const BEFORE_COMMANDS: [&str; 8] = ["!", "do", "elif", "else", "if", "then", "until", "while"];
/// Words of the shell after which no program comes.
const NO_PROGRAMS: [&str; 36] = [
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "continue", "done", "echo", "esac", "eval", "exit",
    "export", "false", "fi", "for", "kill", "printf", "pwd", "read", "return", "set", "shift", "test",
    "times", "trap", "true", "type", "ulimit", "umask", "unset", "wait", "in", "function",
];
/// Programs, and words of the shell, that start the command behind them.
const STARTERS: [&str; 5] = ["command", "exec", "nohup", "sudo", "time"];
const NO_FILES: [&str; 3] = ["command", "exec", "time"];

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// Its text without quotes.
    pub(super) text: String,
    /// Whether something in it is known to a running shell only.
    pub(super) is_open: bool,
}

/// One program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call(pub(super) Vec<Word>);

impl Call {
    /// The program's name or path, where it is a program and its name can be told.
    pub(super) fn program(&self) -> Option<&str> {
        let word = self.0.first().filter(|word| !word.is_open)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
        (!word.text.is_empty() && word.text.chars().all(plain)).then_some(word.text.as_str())
    }

    /// The program's name without its folder.
    pub(super) fn name(&self) -> Option<&str> {
        self.program()?.rsplit('/').next()
    }

    /// The words after the program.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().skip(1).map(|word| word.text.as_str())
    }
}

/// What a command starts, in order.
pub(super) fn calls(template: &Template) -> Vec<Call> {
    let line = match template {
        Template::Argv(words) => {
            let word = |text: &String| Word { text: text.clone(), is_open: false };
            return vec![Call(words.iter().map(word).collect())];
        }
        Template::Shell(line) => line,
    };
    let mut scanner = Scanner { rest: line.chars().peekable(), call: Vec::new(), calls: Vec::new() };
    scanner.run();
    scanner.calls.into_iter().flat_map(programs).collect()
}

/// A command without what the shell keeps for itself; two where one program starts another.
fn programs(mut words: Vec<Word>) -> Vec<Call> {
    let mut calls = Vec::new();
    loop {
        let skipped = words.iter().take_while(|word| is_before(word)).count();
        words.drain(..skipped);
        let Some(first) = words.first() else { return calls };
        let name = first.text.rsplit('/').next().unwrap_or_default().to_owned();
        if NO_PROGRAMS.contains(&first.text.as_str()) {
            return calls;
        }
        if !STARTERS.contains(&name.as_str()) {
            calls.push(Call(words));
            return calls;
        }
        let first = words.remove(0);
        if !NO_FILES.contains(&first.text.as_str()) {
            calls.push(Call(vec![first]));
        }
        if words.first().is_some_and(|word| word.text.starts_with('-')) {
            return calls;
        }
    }
}

/// Assignments and words of the shell, behind which the program comes.
fn is_before(word: &Word) -> bool {
    let assigns = word.text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    assigns || BEFORE_COMMANDS.contains(&word.text.as_str())
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    call: Vec<Word>,
    calls: Vec<Vec<Word>>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(&c) = self.rest.peek() {
            match c {
                '#' => break,
                '(' | ')' | '{' | '}' => {
                    self.call.clear();
                    break;
                }
                ';' | '&' | '|' | '\n' => {
                    self.rest.next();
                    self.end_call();
                }
                '<' | '>' => {
                    if !self.redirection() {
                        break;
                    }
                }
                c if c.is_whitespace() => {
                    self.rest.next();
                }
                _ => {
                    let word = self.word();
                    // The number in front of a redirection belongs to it.
                    let number = !word.text.is_empty() && word.text.bytes().all(|byte| byte.is_ascii_digit());
                    if !(number && matches!(self.rest.peek(), Some('<' | '>'))) {
                        self.call.push(word);
                    }
                }
            }
        }
        self.end_call();
    }

    fn end_call(&mut self) {
        if !self.call.is_empty() {
            self.calls.push(std::mem::take(&mut self.call));
        }
    }

    /// Passes over a redirection; false for a here-document.
    fn redirection(&mut self) -> bool {
        let first = self.rest.next();
        let second = self.rest.next_if(|c| matches!(c, '<' | '>' | '&' | '|'));
        if first == Some('<') && second == Some('<') {
            return false;
        }
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        self.word();
        true
    }

    fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(&c) = self.rest.peek() {
            match c {
                ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                c if c.is_whitespace() => break,
                '\'' | '"' => self.quoted(&mut word),
                '\\' => {
                    self.rest.next();
                    word.text.extend(self.rest.next());
                }
                c => {
                    word.is_open |= "$`*?".contains(c);
                    word.text.push(c);
                    self.rest.next();
                }
            }
        }
        word
    }

    fn quoted(&mut self, word: &mut Word) {
        let quote = self.rest.next();
        while let Some(c) = self.rest.next() {
            match c {
                c if Some(c) == quote => return,
                '\\' if quote == Some('"') => word.text.extend(self.rest.next()),
                c => {
                    word.is_open |= quote == Some('"') && "$`".contains(c);
                    word.text.push(c);
                }
            }
        }
        // Nothing closes the quotes: the shell will say so.
        word.is_open = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let call = |call: &Call| call.0.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        calls(&Template::Shell(line.to_owned())).iter().map(call).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn lines_are_taken_apart() {
        for (line, expected) in [
            ("", ""),
            ("iptables -A INPUT -s %IP% -j ACCEPT", "iptables -A INPUT -s %IP% -j ACCEPT"),
            ("a 1; b 2 && c 3 || d|e &", "a 1 | b 2 | c 3 | d | e"),
            ("'/opt/my script' \"x y\" z\\ w", "/opt/my script x y z w"),
            ("a >/dev/null 2>&1 b", "a b"),
            ("a 2>> /log; b < /in 7", "a | b 7"),
            ("LANG=C X= run it # with a comment", "run it"),
            ("a#b", "a#b"),
            ("if test -e /x; then go; else stay; fi", "go | stay"),
            ("for i in 1 2; do go $i; done", "go $i"),
            ("sudo iptables -L", "sudo | iptables -L"),
            ("sudo -u joe iptables -L", "sudo"),
            ("exec nohup run &", "nohup | run"),
            ("a; (b; c)", "a"),
            ("cat <<END", "cat"),
            ("echo hello", ""),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn names_only_a_shell_knows_are_not_told() {
        let told = |line: &str| {
            let calls = calls(&Template::Shell(line.to_owned()));
            calls.first().and_then(Call::program).map(str::to_owned)
        };
        for line in ["$X y", "\"$X\" y", "`x`", "/opt/%IP% x", "'never ends", "~/bin/x"] {
            assert_eq!(told(line), None, "{line}");
        }
        assert_eq!(told("/opt/x.sh y").as_deref(), Some("/opt/x.sh"));
        assert_eq!(told("'$x'"), None);
    }
}
