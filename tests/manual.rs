//! The manual page and the shells' completions in docs/ are what the command line is.
//!
//! `UPDATE_DOCS=1 cargo test --test manual` writes them anew.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use shuttle::cli;

/// What clap does not know.
const SECTIONS: &str = include_str!("../docs/manual-sections.roff");

/// The command line without what only its author or sshuttle's users need to know.
fn shown() -> Command {
    let all = cli::command();
    let options = all.get_arguments().filter(|option| !option.is_hide_set()).cloned();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    Command::new("shuttle")
        .about(all.get_about().unwrap().clone())
        .long_about(all.get_long_about().unwrap().clone())
        .disable_help_subcommand(true)
        .args(options)
        .subcommands(verbs)
}

fn check(name: &str, expected: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read(&path).unwrap_or_default();
    let hint = "UPDATE_DOCS=1 cargo test --test manual";
    assert!(found == expected, "{} is not what the command line is: {hint}", path.display());
}

#[test]
fn the_manual_page_is_up_to_date() {
    let manual = clap_mangen::Man::new(shown()).manual("User Commands").source("shuttle");
    let mut page = Vec::new();
    manual.render_title(&mut page).unwrap();
    manual.render_name_section(&mut page).unwrap();
    page.extend(SYNOPSIS.as_bytes());
    manual.render_description_section(&mut page).unwrap();
    manual.render_options_section(&mut page).unwrap();
    page.extend(SECTIONS.as_bytes());
    check("shuttle.1", &page);
}

#[test]
fn the_completions_are_up_to_date() {
    for (shell, name) in
        [(Shell::Bash, "shuttle.bash"), (Shell::Zsh, "_shuttle"), (Shell::Fish, "shuttle.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut shown(), "shuttle", &mut script);
        check(&format!("completions/{name}"), &script);
    }
}

/// clap would list every option here.
const SYNOPSIS: &str = r".SH SYNOPSIS
\fBshuttle\fR [\fIOPTIONS\fR] \fB\-r\fR [\fIuser\fR@]\fIhost\fR[:\fIport\fR] \fISUBNET\fR...
.br
\fBshuttle\fR \fBstatus\fR|\fBstop\fR|\fBcleanup\fR
";
