//! `shuttle cleanup`: undoes what killed runs left, without knowing anything of them.

use std::io::Write;

use anyhow::Context;
use firewall::client::Helper;

use crate::control::client;

/// Clears away and says what it found. What a living shuttle holds is not touched.
pub async fn cleanup(output: &mut dyn Write) -> anyhow::Result<()> {
    // Looking for running ones removes the sockets of dead ones.
    let running = client::running().len();
    // Every helper begins by sweeping.
    let helper = Helper::start().await?;
    let hello = helper.hello().clone();
    helper.stop().await?;
    for what in &hello.repaired {
        writeln!(output, "removed: {what}").context("cannot write")?;
    }
    anyhow::ensure!(hello.not_repaired.is_empty(), "still there: {}", hello.not_repaired.join("; "));
    if hello.repaired.is_empty() {
        writeln!(output, "nothing to remove").context("cannot write")?;
    }
    if running > 0 {
        writeln!(output, "{running} running, left alone; see shuttle status").context("cannot write")?;
    }
    Ok(())
}
