//! Finds the stage's reports and the agent's hello in what a link brings, and skips the rest.
//!
//! Login banners, start-up files and prompts may say anything before; the end of it is kept, for the
//! report of a failure.

use proto::greeting::{Hello, MAGIC};

use super::stage::Form;

/// What a report begins with; the stage's text has it only as an escape.
const MARK: &[u8] = b"\x1eshuttle:";
/// A report longer than this is none.
const LONGEST_REPORT: usize = 4096;
/// How much noise is kept.
const NOISE_KEPT: usize = 2048;

/// Something that the other side says to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The stage's shell runs.
    Ready,
    /// The stage reports.
    Report(Report),
    /// The agent runs; what follows is the session's.
    Hello(Hello),
}

/// A line of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// What it is about.
    pub(super) topic: Topic,
    /// What `uname -sm` says over there.
    pub(super) system: String,
    /// The form in which the agent can be taken.
    pub(super) form: Form,
    /// The place, the places tried, or the missing tool.
    pub(super) detail: String,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// The order fits; the agent goes to this place.
    At,
    /// The order does not fit; another is awaited.
    Need,
    /// No place takes and executes a file.
    Nowhere,
    /// A tool is missing.
    Missing,
    /// The agent did not arrive whole.
    Spoilt,
    /// The agent cannot be executed.
    Unstarted,
}

/// The search, over whatever pieces the bytes come in.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Not yet judged.
    pending: Vec<u8>,
    /// The end of what was neither a report nor a hello.
    noise: Vec<u8>,
}

impl Scanner {
    /// Takes what the link brought.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next sign among the bytes so far.
    pub(super) fn next_sign(&mut self) -> Option<Sign> {
        loop {
            let report = find(&self.pending, MARK);
            let hello = find(&self.pending, &MAGIC);
            match (report, hello) {
                (Some(at), other) if other.is_none_or(|other| at < other) => {
                    self.skip(at);
                    let body = &self.pending[MARK.len()..];
                    let end = body.iter().take(LONGEST_REPORT).position(|&byte| byte == b'\n');
                    match end {
                        None if body.len() < LONGEST_REPORT => return None,
                        None => self.skip(1),
                        Some(end) => match parse(&body[..end]) {
                            None => self.skip(1),
                            sign => {
                                self.pending.drain(..MARK.len() + end + 1);
                                return sign;
                            }
                        },
                    }
                }
                (_, Some(at)) => {
                    self.skip(at);
                    let hello = Hello::decode(self.pending.first_chunk()?);
                    match hello {
                        Err(_) => self.skip(1),
                        Ok(hello) => {
                            self.pending.drain(..Hello::LENGTH);
                            return Some(Sign::Hello(hello));
                        }
                    }
                }
                (_, None) => {
                    // The end may be the beginning of either.
                    let undecided = MARK.len().max(MAGIC.len()) - 1;
                    self.skip(self.pending.len().saturating_sub(undecided));
                    return None;
                }
            }
        }
    }

    /// What came after the hello.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.pending
    }

    /// The end of the noise, printable.
    pub(super) fn noise(&self) -> String {
        let seen = [self.noise.as_slice(), self.pending.as_slice()].concat();
        let text = String::from_utf8_lossy(&seen);
        let printable = |c: char| c == '\n' || c == '\t' || !c.is_control();
        text.chars().filter(|&c| printable(c)).collect::<String>().trim().to_owned()
    }

    /// Moves the first `count` bytes to the noise.
    fn skip(&mut self, count: usize) {
        self.noise.extend(self.pending.drain(..count));
        let excess = self.noise.len().saturating_sub(NOISE_KEPT);
        self.noise.drain(..excess);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn parse(line: &[u8]) -> Option<Sign> {
    let line = str::from_utf8(line).ok()?.trim_end_matches('\r');
    if line == "ready" {
        return Some(Sign::Ready);
    }
    let mut fields = line.split('\t');
    let topic = match fields.next()? {
        "at" => Topic::At,
        "need" => Topic::Need,
        "nowhere" => Topic::Nowhere,
        "missing" => Topic::Missing,
        "spoilt" => Topic::Spoilt,
        "unstarted" => Topic::Unstarted,
        _ => return None,
    };
    let system = fields.next()?.to_owned();
    let form = match fields.next()? {
        "gzip" => Form::Gzip,
        "raw" => Form::Raw,
        _ => return None,
    };
    Some(Sign::Report(Report { topic, system, form, detail: fields.next()?.to_owned() }))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const HELLO: Hello = Hello { version: 1, features: 0, window: 65536, streams: 100 };

    fn signs(pieces: &[&[u8]]) -> (Vec<Sign>, Scanner) {
        let (mut scanner, mut signs) = (Scanner::default(), Vec::new());
        for piece in pieces {
            scanner.feed(piece);
            while let Some(sign) = scanner.next_sign() {
                let done = matches!(sign, Sign::Hello(_));
                signs.push(sign);
                if done {
                    break;
                }
            }
        }
        (signs, scanner)
    }

    fn at() -> Sign {
        Sign::Report(Report {
            topic: Topic::At,
            system: "Linux x86_64".into(),
            form: Form::Gzip,
            detail: "/dev/shm".into(),
        })
    }

    #[test]
    fn a_noisy_login_is_skipped() {
        let banner = b"Last login: today\r\n\x1b[?2004h$ exec sh -c 'printf \"\\036shuttle:ready\\n\"'\r\n\
            \x1eshuttle:ready\r\nstty: not a tty\n\x1eshuttle:at\tLinux x86_64\tgzip\t/dev/shm\n\0shut";
        let (found, scanner) = signs(&[banner, &HELLO.encode(), b"more"]);
        assert_eq!(found, [Sign::Ready, at(), Sign::Hello(HELLO)]);
        assert!(scanner.noise().contains("Last login: today"));
        assert_eq!(scanner.into_rest(), b"more");
    }

    #[test]
    fn a_mark_without_a_report_is_noise_and_hides_nothing_behind_it() {
        let long = [MARK, &[b'x'; LONGEST_REPORT + 1], b"\x1eshuttle:ready\n"].concat();
        assert_eq!(signs(&[&long]).0, [Sign::Ready]);
        assert_eq!(
            signs(&[b"\x1eshuttle:odd\t\n\x1eshuttle:at\ta\tzip\tb\n\x1eshuttle:ready\n"]).0,
            [Sign::Ready]
        );
    }

    proptest! {
        #[test]
        fn signs_are_found_behind_any_noise_however_the_bytes_are_cut(
            before in vec(any::<u8>(), 0..300),
            between in vec(any::<u8>(), 0..300),
            after in vec(any::<u8>(), 0..50),
            cuts in vec(1usize..40, 1..20),
        ) {
            // A newline, so that no mark without an end is left open by the noise.
            let whole = [
                &before[..], b"\n\x1eshuttle:at\tLinux x86_64\tgzip\t/dev/shm\n",
                &between, b"\n", &HELLO.encode(), &after,
            ].concat();
            let mut pieces = Vec::new();
            let mut rest = &whole[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            let mut scanner = Scanner::default();
            let mut found = Vec::new();
            let mut pieces = pieces.into_iter();
            'fed: for piece in pieces.by_ref() {
                scanner.feed(piece);
                while let Some(sign) = scanner.next_sign() {
                    let done = matches!(sign, Sign::Hello(_));
                    found.push(sign);
                    if done {
                        break 'fed;
                    }
                }
            }
            prop_assert_eq!(found, [at(), Sign::Hello(HELLO)]);
            let rest = [scanner.into_rest(), pieces.flatten().copied().collect()].concat();
            prop_assert_eq!(rest, after);
        }

        #[test]
        fn noise_alone_is_no_sign_and_is_kept_within_bounds(
            noise in vec("[ -~\r\n\t]{0,200}", 0..40),
        ) {
            let (found, scanner) = signs(&noise.iter().map(String::as_bytes).collect::<Vec<_>>());
            prop_assert_eq!(found, []);
            prop_assert!(scanner.pending.len() + scanner.noise.len() <= NOISE_KEPT + MARK.len());
        }
    }
}
