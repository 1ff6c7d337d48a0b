//! What the program says of itself: to stderr in one plain line each, or to syslog.

use std::fmt;
use std::io::{IsTerminal, Stderr};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use syslog_tracing::{Facility, Options, Syslog, SyslogWriter};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::writer::EitherWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Where the system's logger listens.
const SYSLOG_SOCKET: &str = "/dev/log";

static TO_SYSLOG: AtomicBool = AtomicBool::new(false);
static SYSLOG: OnceLock<Option<Syslog>> = OnceLock::new();

/// Starts the log of this process; `verbose` is how many `-v` were given.
pub fn start(verbose: u8, syslog: bool) {
    let stamps = needs_stamps(verbose);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        // The lines are for files and syslog as well.
        .with_ansi(false)
        .with_writer(Destination)
        .event_format(Line { stamps })
        .finish()
        .with(levels(verbose));
    // A second start in one process (tests) keeps the first.
    if subscriber.try_init().is_ok() {
        log_panics();
    }
    if syslog {
        to_syslog();
    }
}

/// From now on to syslog: the terminal is about to be left.
pub fn to_syslog() {
    if !Path::new(SYSLOG_SOCKET).exists() {
        tracing::warn!("there is no {SYSLOG_SOCKET}: what is said from now on is lost until there is one");
    }
    TO_SYSLOG.store(true, Ordering::Release);
}

/// Our own words by `verbose`; of other crates only what is wrong.
fn levels(verbose: u8) -> Targets {
    let ours = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // A prefix: the workspace's libraries are called shuttle_*.
    Targets::new().with_default(LevelFilter::WARN).with_target("shuttle", ours)
}

/// A terminal is read as it happens, and the journal has its own clock.
fn needs_stamps(verbose: u8) -> bool {
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    !in_journal && (verbose >= 2 || !std::io::stderr().is_terminal())
}

/// In the background, nobody would see a panic.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if TO_SYSLOG.load(Ordering::Acquire) {
            tracing::error!("{panic}");
        }
        print(panic);
    }));
}

/// Stderr or syslog, whatever is right at the moment.
struct Destination;

impl<'a> MakeWriter<'a> for Destination {
    type Writer = EitherWriter<SyslogWriter, Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        match syslog() {
            Some(syslog) => EitherWriter::A(syslog.make_writer()),
            None => EitherWriter::B(std::io::stderr()),
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        match syslog() {
            Some(syslog) => EitherWriter::A(syslog.make_writer_for(metadata)),
            None => EitherWriter::B(std::io::stderr()),
        }
    }
}

fn syslog() -> Option<&'static Syslog> {
    if !TO_SYSLOG.load(Ordering::Acquire) {
        return None;
    }
    SYSLOG.get_or_init(|| Syslog::new(c"shuttle", Options::LOG_PID, Facility::Daemon)).as_ref()
}

/// `shuttle: warning: text`; syslog adds name, level and time itself.
struct Line {
    stamps: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if TO_SYSLOG.load(Ordering::Acquire) {
            return context.field_format().format_fields(writer, event);
        }
        if self.stamps {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        writer.write_str(prefix(*event.metadata().level()))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR | Level::INFO => "shuttle: ",
        Level::WARN => "shuttle: warning: ",
        Level::DEBUG => "shuttle: debug: ",
        Level::TRACE => "shuttle: trace: ",
    }
}
