//! Repairs what dead runs left: what their state files say, and what bears our name.

use std::path::Path;

use super::cgroup::remove_empty;
use super::state::{Leftover, abandoned};
use crate::nft::{FoundTable, Nft};

/// What was found, in words for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Undone now.
    pub(super) repaired: Vec<String>,
    /// Still there.
    pub(super) not_repaired: Vec<String>,
}

impl Swept {
    fn note(&mut self, what: String, undone: Result<(), String>) -> bool {
        let done = undone.is_ok();
        match undone {
            Ok(()) => self.repaired.push(what),
            Err(reason) => self.not_repaired.push(format!("{what}: {reason}")),
        }
        done
    }
}

/// Undoes everything that no living helper holds.
pub(super) fn sweep(nft: &mut Nft, state: &Path) -> Swept {
    let mut swept = Swept::default();
    match abandoned(state) {
        Err(error) => swept.not_repaired.push(format!("{}: {error}", state.display())),
        Ok(files) => {
            for file in files {
                let undone = match &file.leftovers {
                    Ok(leftovers) => undo(leftovers, &mut swept),
                    // Nothing can be learnt from it, now or later.
                    Err(error) => swept.note(format!("an unreadable state file ({error})"), Ok(())),
                };
                if undone && let Err(error) = file.forget() {
                    swept.not_repaired.push(format!("a state file: {error}"));
                }
            }
        }
    }
    match nft.tables() {
        Err(error) => swept.not_repaired.push(error.to_string()),
        Ok(tables) => {
            // Of an owned table the owner lives.
            let abandoned = |table: &&FoundTable| !table.owned && is_abandoned(&table.name);
            for FoundTable { name, .. } in tables.iter().filter(abandoned) {
                let removed = nft.remove(name).map_err(|error| error.to_string());
                swept.note(format!("nft table {name}"), removed);
            }
        }
    }
    swept.repaired.extend(remove_empty(is_abandoned).into_iter().map(|name| format!("cgroup {name}")));
    swept
}

/// Tries all of them; true when nothing of it is left.
fn undo(leftovers: &[Leftover], swept: &mut Swept) -> bool {
    let mut all = true;
    for Leftover::Cgroup(refuge) in leftovers {
        all &= swept.note(format!("cgroup {}", refuge.path()), refuge.leave());
    }
    all
}

/// Whether this names something of ours that has outlived its maker, whose number is in the name.
fn is_abandoned(name: &str) -> bool {
    let maker = name.strip_prefix(super::NAME_PREFIX).and_then(|maker| maker.parse::<u32>().ok());
    maker.is_some_and(|maker| !is_a_helper(maker))
}

/// Whether this process is a shuttle's helper; its number may have passed to somebody else.
fn is_a_helper(process: u32) -> bool {
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).nth(1) == Some(super::SUBCOMMAND.as_bytes())
}
