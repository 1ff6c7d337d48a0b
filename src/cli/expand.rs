//! Arguments from elsewhere: the environment and `@file`s.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::Error;

/// Files may name files; deeper than this they most likely name each other.
const DEEPEST: usize = 16;

/// Puts the environment's arguments before `words`, so that the latter win, and replaces each `@file`.
pub(super) fn expand(
    words: Vec<OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, Error> {
    let mut all = from_environment(environment)?;
    all.extend(words);
    let mut expanded = Vec::with_capacity(all.len());
    for word in all {
        expand_word(word, 0, &mut expanded)?;
    }
    Ok(expanded)
}

fn from_environment(environment: impl Fn(&str) -> Option<OsString>) -> Result<Vec<OsString>, Error> {
    let Some((name, value)) =
        ["SHUTTLE_ARGS", "SSHUTTLE_ARGS"].into_iter().find_map(|name| Some((name, environment(name)?)))
    else {
        return Ok(Vec::new());
    };
    let text = value.to_str().ok_or_else(|| Error::usage(format!("{name} is not valid UTF-8")))?;
    let words = shell_words::split(text)
        .map_err(|_| Error::usage(format!("{name}: a quote is not closed in: {text}")))?;
    Ok(words.into_iter().map(OsString::from).collect())
}

fn expand_word(word: OsString, depth: usize, expanded: &mut Vec<OsString>) -> Result<(), Error> {
    let Some(path) = word.as_bytes().strip_prefix(b"@") else {
        expanded.push(word);
        return Ok(());
    };
    let path = std::ffi::OsStr::from_bytes(path);
    let shown = path.to_string_lossy();
    if depth == DEEPEST {
        return Err(Error::usage(format!("@{shown}: argument files name each other too deeply")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("cannot read the argument file {shown}: {error}")))?;
    for line in text.lines() {
        if let Some(argument) = argument_of(line) {
            expand_word(argument.into(), depth + 1, expanded)?;
        }
    }
    Ok(())
}

/// The one argument of a line; quotes around it, kept from a command line, are taken off.
fn argument_of(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let unquoted = ['\'', '"'].into_iter().find_map(|quote| line.strip_prefix(quote)?.strip_suffix(quote));
    Some(unquoted.unwrap_or(line))
}
