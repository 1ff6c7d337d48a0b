//! Everything that ssh and sshd need to trust each other: keys, configuration, known hosts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing, Error};
use crate::host::{ALICE, Host};
use crate::topology::{HostPlan, Topology};

/// Writes the client's and the servers' files under the lab's directory, before the hosts copy theirs.
pub(crate) fn prepare(directory: &Path, topology: &Topology) -> Result<(), Error> {
    let keys = directory.join("keys");
    fs::create_dir_all(&keys).doing("create the directory of keys")?;
    // ssh reads a private key only if nobody else can: one copy for each user, named by user id.
    let root_key = keys.join("0");
    let mut making = vec![key(&root_key)?];
    for host in &topology.hosts {
        let files = directory.join("hosts").join(&host.name);
        fs::create_dir_all(&files).doing("create a host's directory")?;
        if host.sshd.is_some() {
            making.push(key(&files.join("host_key"))?);
        }
    }
    for process in making {
        let output = process.wait_with_output().doing("run ssh-keygen")?;
        if !output.status.success() {
            return Err(Error::Program {
                program: "ssh-keygen".into(),
                status: output.status.to_string(),
                words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
    }
    let alice_key = keys.join(ALICE.to_string());
    fs::copy(&root_key, &alice_key).doing("copy alice's key")?;
    chown(&alice_key, Some(ALICE), Some(ALICE)).doing("give alice her key")?;
    fs::set_permissions(&alice_key, fs::Permissions::from_mode(0o600)).doing("protect alice's key")?;

    let mut known = String::new();
    for host in &topology.hosts {
        let Some(extra) = &host.sshd else { continue };
        let files = directory.join("hosts").join(&host.name);
        fs::copy(root_key.with_extension("pub"), files.join("authorized_keys"))
            .doing("copy the public key")?;
        fs::write(files.join("sshd_config"), server_config(extra)).doing("write sshd_config")?;
        let public = fs::read_to_string(files.join("host_key.pub")).doing("read a host key")?;
        known.push_str(&known_hosts(host, topology, &public));
    }
    fs::write(directory.join("known_hosts"), known).doing("write known_hosts")?;
    fs::write(directory.join("ssh_config"), client_config(directory, topology)).doing("write ssh_config")
}

/// Starts sshd on a host; it listens when this returns.
pub(crate) fn serve(host: &Host) -> Result<(), Error> {
    host.check("/usr/sbin/sshd -f /run/lab/sshd_config -E /run/lab/sshd.log").map(drop)
}

fn key(path: &Path) -> Result<std::process::Child, Error> {
    Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing("run ssh-keygen")
}

/// sshd takes the first value that it finds for a keyword, so the extra lines come first.
fn server_config(extra: &[String]) -> String {
    let mut lines = extra.to_vec();
    lines.extend(
        [
            "HostKey /run/lab/host_key",
            "PidFile /run/lab/sshd.pid",
            "AuthorizedKeysFile /run/lab/authorized_keys",
            "StrictModes no",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "UsePAM no",
            "UseDNS no",
            "MaxStartups 1000",
            "MaxSessions 1000",
            "LoginGraceTime 60",
            "PermitTunnel yes",
            "Subsystem sftp internal-sftp",
        ]
        .map(str::to_owned),
    );
    lines.join("\n") + "\n"
}

/// One line per address of a server, whichever of its links it is reached on, and its name.
fn known_hosts(host: &HostPlan, topology: &Topology, public: &str) -> String {
    let mut names = vec![host.name.clone()];
    for link in &topology.links {
        if let Some(end) = link.ends.iter().position(|end| *end == host.name) {
            names.push(link.address_v4(end).to_string());
            names.push(link.address_v6(end).to_string());
        }
    }
    format!("{} {public}", names.join(","))
}

/// The file for `ssh -F`: names for the servers, the lab's key, and nothing of the machine's own configuration.
fn client_config(directory: &Path, topology: &Topology) -> String {
    let directory = directory.display();
    let mut text = String::new();
    for host in topology.hosts.iter().filter(|host| host.sshd.is_some()) {
        let Some((link, end)) = topology.end_of(&host.name) else { continue };
        text.push_str(&format!("Host {}\n    HostName {}\n", host.name, link.address_v4(end)));
        if let Some(through) = &host.jump {
            let addresses = format!("{} {}", link.address_v4(end), link.address_v6(end));
            text.push_str(&format!("Host {} {addresses}\n    ProxyJump root@{through}\n", host.name));
        }
    }
    text.push_str(&format!(
        "Host *\n    IdentityFile {directory}/keys/%i\n    IdentitiesOnly yes\n    \
         UserKnownHostsFile {directory}/known_hosts\n    GlobalKnownHostsFile /dev/null\n    \
         StrictHostKeyChecking yes\n    UpdateHostKeys no\n    CheckHostIP no\n    BatchMode yes\n    \
         ControlPath none\n    ConnectTimeout 30\n    LogLevel ERROR\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_behind_a_jump_host_is_configured_by_name_and_by_address() {
        let text = client_config(Path::new("/lab"), &Topology::behind_jump());
        assert!(text.contains("Host server 172.20.0.2 2001:db8:172::2\n    ProxyJump root@jump\n"), "{text}");
        assert!(text.contains("Host jump\n    HostName 203.0.113.2\n"), "{text}");
    }

    #[test]
    fn extra_sshd_lines_come_before_the_labs_own() {
        let text = server_config(&["MaxSessions 1".into()]);
        assert!(text.find("MaxSessions 1\n").unwrap() < text.find("MaxSessions 1000").unwrap());
    }
}
