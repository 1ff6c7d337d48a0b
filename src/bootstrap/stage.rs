//! What is sent to the shell over there: the opening, the stage, the order, the agent.

use std::fmt;

/// The first command, which passes through any login shell (sh, csh, fish and their kin) as it is: one
/// line, no single quote inside, no `!`, no doubled backslash. `read` takes one line and not a byte more.
/// The mark is written with an escape, so that a shell that echoes its commands does not print the mark.
pub(super) const OPENING: &str = r#"exec sh -c 'printf "\036shuttle:ready\n";read -r stage;eval "$stage"'"#;

/// The first stage, for reading.
const STAGE: &str = include_str!("stage.sh");

/// The first stage as the one line that the opening reads.
pub(super) fn line() -> String {
    let mut line = String::with_capacity(STAGE.len());
    for statement in STAGE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        line.push_str(statement);
        line.push(' ');
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// How the agent's bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Compressed.
    Gzip,
    /// As they are: there is no gzip over there.
    Raw,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Raw => "raw",
        })
    }
}

/// Which agent follows, how, and where it is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order<'a> {
    /// What `uname -m` must say for it, or nothing when no agent follows.
    pub(super) machine: Option<&'a str>,
    /// The form of the bytes that follow.
    pub(super) form: Form,
    /// How many bytes follow.
    pub(super) count: usize,
    /// How many bytes the agent has.
    pub(super) size: usize,
    /// The random part of the file's name.
    pub(super) name: &'a str,
    /// Which directory to try first.
    pub(super) place: Option<&'a str>,
}

impl fmt::Display for Order<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, form, count, size, name, place } = self;
        writeln!(f, "{} {form} {count} {size} {name} {}", machine.unwrap_or("-"), place.unwrap_or("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_has_nothing_that_a_login_shell_would_change() {
        let inside = OPENING.strip_prefix("exec sh -c '").unwrap().strip_suffix('\'').unwrap();
        assert!(!inside.contains(['\'', '!', '\n']));
        assert!(!inside.contains(r"\\"));
        assert!(OPENING.len() < 256);
    }

    #[test]
    fn the_opening_and_the_stage_do_not_contain_the_mark() {
        assert!(!OPENING.as_bytes().contains(&0o36));
        assert!(!STAGE.as_bytes().contains(&0o36));
    }

    #[test]
    fn the_stage_is_one_line_of_statements() {
        let line = line();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains(" #"));
        for statement in
            STAGE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            assert!(
                [";", "do", "then", "else"].iter().any(|end| statement.ends_with(end)),
                "not complete on its line: {statement}"
            );
        }
    }

    #[test]
    fn an_order_is_one_line_whose_last_word_may_have_blanks() {
        let order = Order {
            machine: Some("x86_64"),
            form: Form::Gzip,
            count: 25_885,
            size: 47_800,
            name: "00ff",
            place: Some("/home/a b"),
        };
        assert_eq!(order.to_string(), "x86_64 gzip 25885 47800 00ff /home/a b\n");
        let none = Order { machine: None, form: Form::Raw, count: 0, size: 0, name: "1", place: None };
        assert_eq!(none.to_string(), "- raw 0 0 1 -\n");
    }
}
