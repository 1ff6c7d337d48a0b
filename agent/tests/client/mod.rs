//! A client for tests: starts an agent as a process and speaks the protocol with it over pipes.
#![allow(dead_code)] // Each test program uses its own part.

mod program;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant as Clock};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proto::greeting::{Attach, Attached, Hello, VERSION};
use proto::{Config, Connection, Event, Instant, Peer, Reason, Side, StreamId, Target, Violation};

pub use program::Program;

/// How long anything may take before a test is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream brought, and what it is to be given.
#[derive(Default)]
pub struct Stream {
    pub accepted: bool,
    pub received: Vec<u8>,
    /// Bytes received, also those that `received` does not keep.
    pub count: usize,
    pub finished: bool,
    pub reset: Option<Reason>,
    /// Do not take what comes: it stays in the protocol's windows.
    pub paused: bool,
    to_send: VecDeque<u8>,
    finish: bool,
    unconsumed: usize,
    gone: bool,
}

/// The client's end of a session with an agent of its own.
pub struct Client {
    pub agent: Child,
    pub connection: Connection,
    pub streams: Vec<Stream>,
    /// The agent's last words in the protocol.
    pub closed: Option<Option<Violation>>,
    /// The agent closed its output.
    pub ended: bool,
    input: Option<File>,
    output: File,
    pub errors: Option<ChildStderr>,
    start: Clock,
    buffer: Vec<u8>,
    _program: Program,
}

/// A usual client's greeting.
pub fn attach() -> Attach {
    let config = Config::new(Side::Client);
    Attach {
        version: VERSION,
        features: 0,
        session: [1; 16],
        secret: [2; 32],
        resume: false,
        received: 0,
        window: config.window,
        streams: config.streams,
    }
}

/// Starts an agent on pipes.
pub fn spawn(mut command: Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the agent")
}

impl Client {
    /// Starts this machine's agent and exchanges greetings.
    pub fn start() -> Self {
        let program = Program::here();
        let command = program.command();
        Self::with(program, command)
    }

    /// The same for any agent, started in any way.
    pub fn with(program: Program, command: Command) -> Self {
        let mut agent = spawn(command);
        let input = OwnedFd::from(agent.stdin.take().unwrap());
        let output = OwnedFd::from(agent.stdout.take().unwrap());
        Self::over(program, agent, input, output)
    }

    /// The same over any pipe to an agent that was started already.
    pub fn over(program: Program, mut agent: Child, input: OwnedFd, output: OwnedFd) -> Self {
        let (mut input, mut output) = (File::from(input), File::from(output));
        let mut hello = [0; Hello::LENGTH];
        output.read_exact(&mut hello).expect("the agent's hello");
        let hello = Hello::decode(&hello).unwrap();
        input.write_all(&attach().encode()).unwrap();
        let mut attached = [0; Attached::LENGTH];
        output.read_exact(&mut attached).expect("the agent's confirmation");
        assert_eq!(Attached::decode(&attached).unwrap().refusal, 0);

        fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut connection = Connection::new(Config::new(Side::Client));
        let peer = Peer { received: 0, window: hello.window, streams: hello.streams };
        connection.attach(Instant::from_micros(1), peer).unwrap();
        let errors = agent.stderr.take();
        Self {
            agent,
            connection,
            streams: Vec::new(),
            closed: None,
            ended: false,
            input: Some(input),
            output,
            errors,
            start: Clock::now(),
            buffer: vec![0; 256 << 10],
            _program: program,
        }
    }

    pub fn now(&self) -> Instant {
        Instant::from_micros(1 + self.start.elapsed().as_micros() as u64)
    }

    pub fn open(&mut self, address: SocketAddr) -> StreamId {
        let now = self.now();
        let id = self.connection.open(now, &Target::Tcp(address)).unwrap();
        if self.streams.len() <= id.index() {
            self.streams.resize_with(id.index() + 1, Stream::default);
        }
        self.streams[id.index()] = Stream::default();
        id
    }

    pub fn stream(&self, id: StreamId) -> &Stream {
        &self.streams[id.index()]
    }

    pub fn send(&mut self, id: StreamId, bytes: &[u8]) {
        self.streams[id.index()].to_send.extend(bytes);
        self.connection.ready(id);
    }

    /// Ends the sending half once everything is sent.
    pub fn finish(&mut self, id: StreamId) {
        self.streams[id.index()].finish = true;
        self.connection.ready(id);
        self.end_if_sent(id);
    }

    pub fn reset(&mut self, id: StreamId) {
        self.streams[id.index()].gone = true;
        self.connection.reset(id, Reason::Reset);
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self, id: StreamId) -> usize {
        self.stream(id).to_send.len()
    }

    /// Closes the link to the agent.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Closes only what the agent writes to.
    pub fn close_output(&mut self) {
        self.output = File::open("/dev/null").unwrap();
    }

    /// Writes bytes that are no protocol to the link.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Runs the session until the condition holds.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let start = Clock::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "waited too long for: {what}");
            self.turn(Duration::from_millis(50));
        }
    }

    /// Runs the session for so long, in which nothing need happen.
    pub fn run_for(&mut self, time: Duration) {
        let start = Clock::now();
        while start.elapsed() < time {
            self.turn(Duration::from_millis(5));
        }
    }

    /// Waits for the agent's end; its status and its words.
    pub fn wait(mut self) -> (ExitStatus, String) {
        self.input = None;
        let mut words = String::new();
        self.errors.take().unwrap().read_to_string(&mut words).unwrap();
        (self.agent.wait().unwrap(), words)
    }

    fn turn(&mut self, limit: Duration) {
        self.feed_link();
        self.sleep(limit);
        self.take_link();
        let now = self.now();
        self.connection.handle_timeout(now);
    }

    fn sleep(&self, limit: Duration) {
        let mut limit = limit;
        if let Some(deadline) = self.connection.timeout() {
            limit = limit.min(deadline.since(self.now()));
        }
        let mut waits = vec![PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        if self.ended {
            waits.clear();
        }
        let limit = u16::try_from(limit.as_micros().div_ceil(1_000)).unwrap();
        poll(&mut waits, PollTimeout::from(limit)).unwrap();
    }

    fn feed_link(&mut self) {
        loop {
            let now = self.now();
            self.fill(now);
            let Some(input) = &self.input else { return };
            let slices = self.connection.transmit(now);
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            if total == 0 {
                return;
            }
            match nix::sys::uio::writev(input, &slices.map(IoSlice::new)) {
                Ok(count) => {
                    self.connection.transmitted(now, count);
                    if count < total {
                        return;
                    }
                }
                Err(Errno::EAGAIN) => return,
                // The agent went away: its output says so too.
                Err(Errno::EPIPE) => {
                    self.input = None;
                    return;
                }
                Err(errno) => panic!("cannot write to the agent: {errno}"),
            }
        }
    }

    fn fill(&mut self, now: Instant) {
        while let Some((id, buffer)) = self.connection.reserve(now) {
            let stream = &mut self.streams[id.index()];
            let count = stream.to_send.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(stream.to_send.drain(..count)) {
                *to = from;
            }
            self.connection.commit(id, count);
            self.end_if_sent(id);
        }
    }

    fn end_if_sent(&mut self, id: StreamId) {
        let stream = &mut self.streams[id.index()];
        if stream.finish && stream.to_send.is_empty() && !stream.gone && stream.reset.is_none() {
            stream.finish = false;
            self.connection.finish(id);
        }
    }

    fn take_link(&mut self) {
        if self.ended {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = match nix::unistd::read(&self.output, &mut buffer) {
            Ok(0) => {
                self.ended = true;
                0
            }
            Ok(count) => count,
            Err(Errno::EAGAIN) => 0,
            // A terminal whose other side is closed.
            Err(Errno::EIO) => {
                self.ended = true;
                0
            }
            Err(errno) => panic!("cannot read from the agent: {errno}"),
        };
        let now = self.now();
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            let (taken, event) = self.connection.handle(now, bytes).expect("the agent keeps to the protocol");
            match event {
                Some(Event::Accepted { stream }) => self.streams[stream.index()].accepted = true,
                Some(Event::Data { stream: id, bytes }) => {
                    let stream = &mut self.streams[id.index()];
                    assert!(!stream.finished, "data after the end");
                    stream.count += bytes.len();
                    stream.received.extend_from_slice(bytes);
                    stream.unconsumed += bytes.len();
                    if !stream.paused {
                        self.connection.consumed(now, id, std::mem::take(&mut stream.unconsumed));
                    }
                }
                Some(Event::Finished { stream }) => self.streams[stream.index()].finished = true,
                Some(Event::Reset { stream, reason }) => self.streams[stream.index()].reset = Some(reason),
                Some(Event::Closed { violation }) => self.closed = Some(violation),
                Some(Event::Opened { .. }) => panic!("an agent opens nothing"),
                None => {}
            }
            bytes = &bytes[taken..];
        }
        self.buffer = buffer;
    }

    /// Takes what comes again, beginning with what has come already.
    pub fn resume(&mut self, id: StreamId) {
        let now = self.now();
        let stream = &mut self.streams[id.index()];
        stream.paused = false;
        self.connection.consumed(now, id, std::mem::take(&mut stream.unconsumed));
    }

    /// Bytes of memory that the agent has touched.
    pub fn agent_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Files that the agent has open.
    pub fn agent_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.agent.id())).unwrap().count()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}
