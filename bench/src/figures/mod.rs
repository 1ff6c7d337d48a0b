//! The figures, one file each.

mod bulk;
mod connects;
mod idle;
mod stalled;
mod start;

use anyhow::{Result, bail};

use crate::Plan;
use crate::table::Section;

/// Something to measure.
pub(crate) struct Figure {
    pub name: &'static str,
    pub measure: fn(&Plan) -> Result<Section>,
}

const ALL: [Figure; 5] = [
    Figure { name: "bulk", measure: bulk::measure },
    Figure { name: "connects", measure: connects::measure },
    Figure { name: "idle", measure: idle::measure },
    Figure { name: "stalled", measure: stalled::measure },
    Figure { name: "start", measure: start::measure },
];

/// The figures of these names, or all.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Figure>> {
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|figure| figure.name != **name)) {
        let known: Vec<_> = ALL.iter().map(|figure| figure.name).collect();
        bail!("there is no figure {unknown}; there are: {}", known.join(", "));
    }
    Ok(ALL.iter().filter(|figure| names.is_empty() || names.iter().any(|name| name == figure.name)).collect())
}
