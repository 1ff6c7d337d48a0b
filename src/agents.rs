//! The agents that this program carries, one an architecture.

use std::fmt;

/// A program for the far machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// The architecture, as `uname -m` gives it in its most usual form.
    pub architecture: &'static str,
    /// Bytes of the program.
    pub size: usize,
    /// SHA-256 of the program, in hexadecimal.
    pub sha256: &'static str,
    /// The program, compressed by gzip: what is sent.
    pub gzipped: &'static [u8],
}

/// All that this build carries: always this machine's, others when `cargo xtask agents` built them before.
pub const AGENTS: &[Agent] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// The agent for what `uname -m` says over there.
///
/// Both kinds of MIPS say `mips`; only the little-endian one has an agent, and on the other it will not start.
pub fn find(machine: &str) -> Option<&'static Agent> {
    let architecture = architecture_of(machine)?;
    AGENTS.iter().find(|agent| agent.architecture == architecture)
}

/// Which of our architectures runs on a machine of this name, whether or not this build has its agent.
pub fn architecture_of(machine: &str) -> Option<&'static str> {
    Some(match machine {
        "x86_64" | "amd64" => "x86_64",
        "i386" | "i486" | "i586" | "i686" | "x86" => "i686",
        "aarch64" | "arm64" => "aarch64",
        // The last is a 64-bit processor that shows programs a 32-bit machine.
        "armv7" | "armv7l" | "armv8l" => "armv7",
        _ if machine.starts_with("armv5") || machine.starts_with("armv6") => "arm",
        "arm" | "armhf" | "armel" => "arm",
        "riscv64" => "riscv64",
        "mipsel" | "mips" | "mips64" => "mipsel",
        "ppc64le" | "powerpc64le" => "ppc64le",
        _ => return None,
    })
}

impl fmt::Display for Agent {
    /// A line for `shuttle --version -v`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = self.gzipped.len();
        write!(f, "{:8} {:6} bytes, {sent:6} sent, sha256 {}", self.architecture, self.size, self.sha256)
    }
}

impl fmt::Debug for Agent {
    /// Without the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a slow serial line can be asked to carry.
    const LARGEST: usize = 48 << 10;

    #[test]
    fn this_machine_has_an_agent() {
        assert!(find(std::env::consts::ARCH).is_some(), "{AGENTS:?}");
    }

    #[test]
    fn each_agent_is_small_enough_for_a_serial_line() {
        for agent in AGENTS {
            assert!(agent.gzipped.len() <= LARGEST, "{agent}");
        }
    }

    #[test]
    fn each_agent_unpacks_to_what_its_entry_says() {
        for agent in AGENTS {
            let mut program = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(agent.gzipped), &mut program)
                .unwrap();
            assert_eq!(program.len(), agent.size);
            assert_eq!(&program[..4], b"\x7fELF");
        }
    }

    #[test]
    fn machines_are_known_by_all_their_names() {
        for (machine, architecture) in [
            ("amd64", "x86_64"),
            ("i586", "i686"),
            ("arm64", "aarch64"),
            ("armv7l", "armv7"),
            ("armv6l", "arm"),
            ("armv5tejl", "arm"),
            ("mips", "mipsel"),
            ("ppc64le", "ppc64le"),
        ] {
            assert_eq!(architecture_of(machine), Some(architecture));
        }
        assert_eq!(architecture_of("s390x"), None);
    }
}
