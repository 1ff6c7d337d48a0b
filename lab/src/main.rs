//! `lab`: a playground and a demonstration in shuttle's private internet.

mod demo;

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use lab::Lab;

const USAGE: &str = "usage: lab shell [HOST]   a shell on a host of a new lab (client, server, inner)
       lab run HOST LINE  one command line there instead
       lab demo [SHUTTLE] the main job, shown step by step with the shuttle beside this program, or another
       lab hold           builds a lab, says where it is, and keeps it until its input ends";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["shell"] => shell("client"),
        ["shell", host] => shell(host),
        ["run", host, line] => run(host, line),
        ["demo"] => demo::beside_us().and_then(|shuttle| demo::run(&shuttle)),
        ["demo", shuttle] => demo::run(Path::new(shuttle)),
        ["hold"] => hold(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn shell(name: &str) -> Result<(), Box<dyn Error>> {
    let lab = Lab::new()?;
    for host in lab.hosts() {
        println!("{:8} {:16} {}", host.name(), host.address_v4(), host.address_v6());
    }
    println!("ssh -F $LAB_SSH_CONFIG {}", lab.login());
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    // How the last command of the shell went is not our concern.
    enter(&lab, name, &[&shell]).map(drop)
}

fn run(name: &str, line: &str) -> Result<(), Box<dyn Error>> {
    let status = enter(&Lab::new()?, name, &["sh", "-c", line])?;
    if status.success() { Ok(()) } else { Err(status.to_string().into()) }
}

fn enter(lab: &Lab, name: &str, words: &[&str]) -> Result<ExitStatus, Box<dyn Error>> {
    let host = lab.hosts().iter().find(|host| host.name() == name);
    let host = host.ok_or_else(|| format!("there is no host {name}"))?;
    let mut command = host.command(words[0]);
    Ok(command.args(&words[1..]).env("LAB_SSH_CONFIG", lab.ssh_config()).status()?)
}

/// Prints the lab's directory, the process number of each host, and `ready`.
fn hold() -> Result<(), Box<dyn Error>> {
    let lab = Lab::new()?;
    println!("{}", lab.directory().display());
    for host in lab.hosts() {
        println!("{}", host.holder());
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
