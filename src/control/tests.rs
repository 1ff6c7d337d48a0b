//! Both sides of the control socket, over a real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;

/// A runtime with a server in `directory` that answers as a daemon does; dropping it is the daemon's end.
struct Daemon {
    runtime: Option<tokio::runtime::Runtime>,
    path: std::path::PathBuf,
    /// Gets a word when `stop` has been asked.
    stops: std::sync::mpsc::Receiver<()>,
}

impl Daemon {
    fn start(directory: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (calls, mut received) = mpsc::channel::<Call>(4);
        let server = {
            let _guard = runtime.enter();
            Server::bind_in(directory, calls).unwrap()
        };
        let path = server.path().to_owned();
        runtime.spawn(server.run());
        let (stop_seen, stops) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            while let Some(Call { request, reply }) = received.recv().await {
                let response = match request {
                    Request::Status => Response::Status(Box::new(Status { pid: 7, ..Status::default() })),
                    Request::Stop => {
                        let _ = stop_seen.send(());
                        Response::Stopping
                    }
                };
                let _ = reply.send(response);
            }
        });
        Self { runtime: Some(runtime), path, stops }
    }

    fn talk(&self, question: &[u8]) -> String {
        let mut stream = BufReader::new(UnixStream::connect(&self.path).unwrap());
        stream.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.get_mut().write_all(question).unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answer
    }
}

#[test]
fn a_running_shuttle_is_found_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(directory.path());
    let mut clients = client::running_in(directory.path());
    assert_eq!(clients.len(), 1);
    assert_eq!(clients[0].pid(), std::process::id());
    assert_eq!(clients[0].status().unwrap().pid, 7);
    assert_eq!(clients[0].status().unwrap().pid, 7, "a connection may ask again");
}

#[test]
fn nobody_else_can_reach_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let daemon = Daemon::start(directory.path());
    assert_eq!(std::fs::metadata(directory.path()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&daemon.path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn stop_returns_when_the_process_ends_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(directory.path());
    let client = client::running_in(directory.path()).pop().unwrap();
    let stopping = std::thread::spawn(move || client.stop(Duration::from_secs(60)));
    daemon.stops.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(!stopping.is_finished());
    daemon.runtime.take().unwrap().shutdown_background();
    stopping.join().unwrap().unwrap();
}

#[test]
fn a_shuttle_that_does_not_end_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(directory.path());
    let client = client::running_in(directory.path()).pop().unwrap();
    let error = client.stop(Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains("not ended"), "{error}");
}

#[test]
fn the_socket_of_a_dead_shuttle_is_removed_and_others_are_left() {
    let directory = tempfile::tempdir().unwrap();
    let dead = directory.path().join("4000000.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let other = directory.path().join("notes.txt");
    std::fs::write(&other, "").unwrap();
    let daemon = Daemon::start(directory.path());
    assert!(!dead.exists(), "the start sweeps");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    assert_eq!(client::running_in(directory.path()).len(), 1);
    assert!(!dead.exists(), "a list sweeps");
    assert!(other.exists() && daemon.path.exists());
}

#[test]
fn the_socket_goes_with_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(directory.path());
    drop(daemon.runtime.take());
    assert!(!daemon.path.exists());
}

#[test]
fn a_directory_of_somebody_else_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    assert!(place::create_private(&link).is_err(), "a symbolic link may be anybody's");
    assert!(client::running_in(&link).is_empty());
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(directory.path(), Some(65534), None).unwrap();
        let error = place::create_private(directory.path()).unwrap_err();
        assert!(error.to_string().contains("65534"), "{error}");
        assert!(client::running_in(directory.path()).is_empty());
    }
}

#[test]
fn a_question_that_is_not_understood_is_refused_and_the_next_one_answered() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    for question in [&b"\n"[..], b"garbage\n", b"{\"request\":\"fly\"}\n", b"\xff\xfe\n"] {
        let answer = daemon.talk(question);
        assert!(matches!(serde_json::from_str(&answer), Ok(Response::Error { .. })), "{answer}");
    }
    assert!(daemon.talk(b"{\"request\":\"status\"}\n").contains("\"pid\":7"));
}

#[test]
fn an_endless_question_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let mut stream = UnixStream::connect(&daemon.path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The other side may close before all of it is taken.
    let _ = stream.write_all(&vec![b'x'; 100_000]);
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("too long") || end.is_err(), "{answer}");
    assert!(daemon.talk(b"{\"request\":\"status\"}\n").contains("\"pid\":7"));
}

#[test]
fn a_status_of_another_version_is_read() {
    let text = r#"{"response":"status","name":"host","pid":3,"of_tomorrow":[1]}"#;
    let Ok(Response::Status(status)) = serde_json::from_str(text) else { panic!("not read") };
    assert_eq!((status.name.as_str(), status.pid, status.rules), ("host", 3, 0));
}
