//! A helper without a daemon: the test itself speaks the protocol, or what is none.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A running helper that has said hello.
pub struct PlainHelper {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl PlainHelper {
    /// Starts it by a command that ends up as `PROGRAM helper`.
    pub fn start(mut command: Command) -> PlainHelper {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let requests = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut helper = PlainHelper { process, requests, answers };
        assert!(helper.answer().contains(r#""response":"hello""#));
        helper
    }

    /// Says something, line end included, and returns the answer; nothing when there is none.
    pub fn ask(&mut self, request: &[u8]) -> String {
        self.requests.write_all(request).expect("it reads");
        self.answer()
    }

    /// Ends its stdin, and returns how it ended.
    pub fn stop(self) -> ExitStatus {
        let PlainHelper { mut process, requests, answers: _answers } = self;
        drop(requests);
        process.wait().expect("it ends")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it speaks");
        line.trim_end().to_owned()
    }
}
