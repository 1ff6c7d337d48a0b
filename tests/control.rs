//! `shuttle status` and `shuttle stop` against running ones: the real server, in this process.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use shuttle::control::{AgentStatus, Call, LinkState, Request, Response, Server, Status};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// A server that answers for a shuttle to `name` until it is told to stop.
fn start(directory: &Path, name: &str) -> std::thread::JoinHandle<()> {
    let status = Status {
        name: name.into(),
        remote: format!("me@{name}:2222"),
        pid: std::process::id(),
        link: LinkState::Up,
        round_trip_us: Some(41_000),
        method: "nft".into(),
        rules: 2,
        agent: Some(AgentStatus { arch: "aarch64".into(), version: "0.1.0".into() }),
        ..Status::default()
    };
    let runtime = Runtime::new().unwrap();
    let (calls, mut received) = mpsc::channel::<Call>(1);
    let server = {
        let _guard = runtime.enter();
        Server::bind_in(directory, calls).unwrap()
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            let serving = tokio::spawn(server.run());
            while let Some(Call { request, reply }) = received.recv().await {
                let (response, last) = match request {
                    Request::Status => (Response::Status(Box::new(status.clone())), false),
                    Request::Stop => (Response::Stopping, true),
                };
                reply.send(response).unwrap();
                if last {
                    break;
                }
            }
            serving.abort();
        });
    })
}

fn shuttle(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shuttle"))
        .args(words)
        .env("SHUTTLE_RUNTIME_DIR", directory)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn status_tells_people_and_programs() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(directory.path(), "office");
    let text = said(&shuttle(directory.path(), &["status"]));
    for word in ["office (process ", "up, round trip 41 ms", "me@office:2222", "aarch64", "nft, 2 rules"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let output = shuttle(directory.path(), &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[0]["name"], "office");
    assert_eq!(json[0]["link"], "up");
    assert_eq!(json[0]["round_trip_us"], 41_000);
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert!(shuttle(directory.path(), &["stop"]).status.success());
    running.join().unwrap();
}

#[test]
fn one_is_selected_by_name_by_process_or_by_remote() {
    for select in [&["office"][..], &[&std::process::id().to_string()], &["-r", "me:@office:2222"]] {
        let directory = tempfile::tempdir().unwrap();
        let running = start(directory.path(), "office");
        for wrong in [&["home"][..], &["1"], &["-r", "office"]] {
            let output = shuttle(directory.path(), &[&["stop"], wrong].concat());
            assert_eq!(output.status.code(), Some(1), "{wrong:?}");
            assert!(said(&output).contains("running: office (process "), "{}", said(&output));
        }
        let output = shuttle(directory.path(), &[&["status"], select].concat());
        assert!(said(&output).contains("me@office:2222"), "{}", said(&output));
        let output = shuttle(directory.path(), &[&["stop"], select].concat());
        assert!(output.status.success(), "{}", said(&output));
        running.join().unwrap();
    }
}

#[test]
fn of_several_none_is_stopped_by_accident() {
    let directory = tempfile::tempdir().unwrap();
    let running = start(directory.path(), "office");
    // A second name of the same socket looks like a second shuttle.
    let socket = directory.path().join(format!("{}.sock", std::process::id()));
    symlink(&socket, directory.path().join("3999999.sock")).unwrap();
    let output = shuttle(directory.path(), &["stop"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("several shuttles run: office (process "), "{}", said(&output));
    assert_eq!(said(&shuttle(directory.path(), &["status"])).matches("office (process ").count(), 2);
    assert!(shuttle(directory.path(), &["stop", "3999999"]).status.success());
    running.join().unwrap();
}

#[test]
fn stop_all_stops_all() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let running = [start(directories[0].path(), "office"), start(directories[1].path(), "home")];
    let socket = directories[1].path().join(format!("{}.sock", std::process::id()));
    symlink(socket, directories[0].path().join("3999999.sock")).unwrap();
    let output = shuttle(directories[0].path(), &["stop", "--all"]);
    assert!(output.status.success(), "{}", said(&output));
    for one in running {
        one.join().unwrap();
    }
}
