//! What the proxy is told, by flags and by a file of the same names.

use std::{
    fmt::{self, Write as _},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::StatusCode;
use tower_guardrails::layer::{
    BlockResponse, Enforcement, History, Limits, OnRailError, UnreadEndpoints,
};

use crate::upstream::Upstream;

/// All that is decided at start.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) config: PathBuf,
    pub(crate) watch: bool,
    pub(crate) python: Option<String>,
    pub(crate) listen: SocketAddr,
    pub(crate) http: Http,
    /// The prefix of a path, and where requests under it go.
    pub(crate) upstreams: Vec<(String, Upstream)>,
    pub(crate) upstream_ca: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) upstream_timeout: Duration,
    pub(crate) health_path: String,
    pub(crate) ready_path: String,
    pub(crate) drain: Duration,
    pub(crate) grace: Duration,
    pub(crate) connections: usize,
    pub(crate) log: Option<String>,
    pub(crate) enforcement: Enforcement,
    pub(crate) block_response: BlockResponse,
    pub(crate) on_rail_error: OnRailError,
    pub(crate) history: History,
    pub(crate) unread_endpoints: UnreadEndpoints,
    pub(crate) plain_paths: Vec<String>,
    pub(crate) verdict_log: Option<PathBuf>,
    pub(crate) report_headers: bool,
    pub(crate) limits: Limits,
}

/// Which versions of HTTP clients speak. Where it is known, a connection's first bytes need not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    Either,
    One,
    Two,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: "examples/rails".into(),
            watch: false,
            python: None,
            listen: ([127, 0, 0, 1], 8080).into(),
            http: Http::Either,
            upstreams: Vec::new(),
            upstream_ca: None,
            connect_timeout: Duration::from_secs(10),
            upstream_timeout: Duration::from_secs(600),
            health_path: "/healthz".to_owned(),
            ready_path: "/readyz".to_owned(),
            drain: Duration::ZERO,
            grace: Duration::from_secs(30),
            connections: 10_000,
            log: None,
            enforcement: Enforcement::default(),
            block_response: BlockResponse::default(),
            on_rail_error: OnRailError::default(),
            history: History::default(),
            unread_endpoints: UnreadEndpoints::default(),
            plain_paths: Vec::new(),
            verdict_log: None,
            report_headers: false,
            limits: Limits::default(),
        }
    }
}

/// An option: a flag `--name VALUE`, and a line `name VALUE` of a file.
struct Known {
    name: &'static str,
    /// What its value is; none: it is on where it is named.
    value: Option<&'static str>,
    about: &'static str,
    set: fn(&mut Options, &str) -> Result<(), String>,
}

const fn known(
    name: &'static str,
    value: &'static str,
    about: &'static str,
    set: fn(&mut Options, &str) -> Result<(), String>,
) -> Known {
    Known {
        name,
        value: if value.is_empty() { None } else { Some(value) },
        about,
        set,
    }
}

/// Every option, in the order of the help.
const KNOWN: &[Known] = &[
    known(
        "config",
        "DIR",
        "the rails directory [examples/rails]",
        |o, v| {
            o.config = v.into();
            Ok(())
        },
    ),
    known(
        "watch",
        "",
        "follow changes of the rails directory",
        |o, _| {
            o.watch = true;
            Ok(())
        },
    ),
    known(
        "python",
        "INTERPRETER",
        "run the directory's Python by this interpreter",
        |o, v| {
            o.python = Some(v.to_owned());
            Ok(())
        },
    ),
    known(
        "listen",
        "ADDR",
        "where to listen [127.0.0.1:8080]",
        |o, v| {
            o.listen = v
                .parse()
                .map_err(|_| format!("`{v}` is no address with a port, as in 0.0.0.0:8080"))?;
            Ok(())
        },
    ),
    known(
        "http",
        "1|2|any",
        "the version of HTTP that clients speak [any]",
        |o, v| {
            o.http = one_of(
                v,
                &[("any", Http::Either), ("1", Http::One), ("2", Http::Two)],
            )?;
            Ok(())
        },
    ),
    known(
        "upstream",
        "[PREFIX=]URL",
        "where requests go; with a prefix: those whose path begins with it, which the URL's path then replaces. May be given several times [a scripted model]",
        |o, v| {
            let (prefix, upstream) = Upstream::of_option(v)?;
            if o.upstreams.iter().any(|(other, _)| *other == prefix) {
                return Err(match prefix.is_empty() {
                    true => "there is another upstream without a prefix".to_owned(),
                    false => format!("there is another upstream for `{prefix}`"),
                });
            }
            o.upstreams.push((prefix, upstream));
            Ok(())
        },
    ),
    known(
        "upstream-ca",
        "FILE",
        "certificates (PEM) that upstreams may be signed by, besides those that the system trusts",
        |o, v| {
            o.upstream_ca = Some(v.into());
            Ok(())
        },
    ),
    known(
        "connect-timeout",
        "TIME",
        "how long connecting to an upstream may take [10s]",
        |o, v| {
            o.connect_timeout = time(v)?;
            Ok(())
        },
    ),
    known(
        "upstream-timeout",
        "TIME",
        "how long an upstream may take to begin its reply [600s]",
        |o, v| {
            o.upstream_timeout = time(v)?;
            Ok(())
        },
    ),
    known(
        "health-path",
        "PATH",
        "answers 200 as long as the process works [/healthz]",
        |o, v| {
            o.health_path = path(v)?;
            Ok(())
        },
    ),
    known(
        "ready-path",
        "PATH",
        "answers 200, and 503 while it shuts down [/readyz]",
        |o, v| {
            o.ready_path = path(v)?;
            Ok(())
        },
    ),
    known(
        "drain",
        "TIME",
        "how long it goes on accepting after a signal to end, so that balancers see the 503 [0s]",
        |o, v| {
            o.drain = if v == "0" || v == "0s" {
                Duration::ZERO
            } else {
                time(v)?
            };
            Ok(())
        },
    ),
    known(
        "grace",
        "TIME",
        "how long exchanges may go on once nothing more is accepted [30s]",
        |o, v| {
            o.grace = time(v)?;
            Ok(())
        },
    ),
    known(
        "connections",
        "NUMBER",
        "the most connections at once; more wait [10000]",
        |o, v| {
            o.connections = number(v, 1)?;
            Ok(())
        },
    ),
    known(
        "log",
        "FILTER",
        "what is logged, as RUST_LOG has it: off, info, warn,proxy=info .. [info]",
        |o, v| {
            tracing_subscriber::EnvFilter::try_new(v).map_err(|error| error.to_string())?;
            o.log = Some(v.to_owned());
            Ok(())
        },
    ),
    known(
        "monitor",
        "",
        "rails act on nothing: the log says what they would have done",
        |o, _| {
            o.enforcement = Enforcement::Monitor;
            Ok(())
        },
    ),
    known(
        "block-response",
        "refusal|STATUS",
        "a block is answered by an ordinary answer that refuses, or by an error of this status [refusal]",
        |o, v| {
            o.block_response = match v {
                "refusal" => BlockResponse::Refusal,
                status => match status.parse().ok().map(StatusCode::from_u16) {
                    Some(Ok(status)) if status.is_client_error() || status.is_server_error() => {
                        BlockResponse::Status(status)
                    }
                    _ => {
                        return Err(format!(
                            "`{v}` is neither `refusal` nor a status from 400 to 599"
                        ));
                    }
                },
            };
            Ok(())
        },
    ),
    known(
        "on-rail-error",
        "block|pass",
        "what becomes of a text when a rail fails [block]",
        |o, v| {
            o.on_rail_error = one_of(
                v,
                &[("block", OnRailError::Block), ("pass", OnRailError::Pass)],
            )?;
            Ok(())
        },
    ),
    known(
        "history",
        "all|last-turn|last-message",
        "which messages of a request are checked [all]",
        |o, v| {
            o.history = one_of(
                v,
                &[
                    ("all", History::All),
                    ("last-turn", History::LastTurn),
                    ("last-message", History::LastMessage),
                ],
            )?;
            Ok(())
        },
    ),
    known(
        "unread-endpoints",
        "refuse|pass",
        "what becomes of requests to model endpoints that are not read [refuse]",
        |o, v| {
            o.unread_endpoints = one_of(
                v,
                &[
                    ("refuse", UnreadEndpoints::Refuse),
                    ("pass", UnreadEndpoints::Pass),
                ],
            )?;
            Ok(())
        },
    ),
    known(
        "plain-path",
        "PATH",
        "nothing is read on this path; `/imports/*`: on all under it. May be given several times",
        |o, v| {
            o.plain_paths.push(path(v)?);
            Ok(())
        },
    ),
    known(
        "verdict-log",
        "FILE",
        "a line of JSON for each exchange, with hashes of what was said [off]",
        |o, v| {
            o.verdict_log = Some(v.into());
            Ok(())
        },
    ),
    known(
        "report-headers",
        "",
        "tell clients by x-guardrails and server-timing",
        |o, _| {
            o.report_headers = true;
            Ok(())
        },
    ),
    known(
        "limit-request-body",
        "BYTES",
        "of a request's body; over it: 413 [32MiB]",
        |o, v| {
            o.limits.request_body = bytes(v)?;
            Ok(())
        },
    ),
    known(
        "limit-request-text",
        "BYTES",
        "of all texts of a request; over it: 413 [4MiB]",
        |o, v| {
            o.limits.request_text = bytes(v)?;
            Ok(())
        },
    ),
    known(
        "limit-questions",
        "NUMBER",
        "of questions to rails about one request; over it: 413 [64]",
        |o, v| {
            o.limits.questions = number(v, 1)?;
            Ok(())
        },
    ),
    known(
        "limit-reply-body",
        "BYTES",
        "of a buffered reply's body; over it: 502 [16MiB]",
        |o, v| {
            o.limits.reply_body = bytes(v)?;
            Ok(())
        },
    ),
    known(
        "limit-held-stream",
        "BYTES",
        "of text of a stream that waits for a verdict [16MiB]",
        |o, v| {
            o.limits.held_stream = bytes(v)?;
            Ok(())
        },
    ),
    known(
        "limit-stream-event",
        "BYTES",
        "of one record of a stream [16MiB]",
        |o, v| {
            o.limits.stream_event = bytes(v)?;
            Ok(())
        },
    ),
    known(
        "limit-json-depth",
        "NUMBER",
        "how deep JSON may nest; over it: 400 [128]",
        |o, v| {
            o.limits.json_depth = number(v, 1)?;
            Ok(())
        },
    ),
    known(
        "limit-request-idle",
        "TIME",
        "how long the next piece of a request's body may take; over it: 408 [60s]",
        |o, v| {
            o.limits.request_idle = time(v)?;
            Ok(())
        },
    ),
];

/// Names that stand for no option of [`Options`].
const FILE: &str = "options";
const HELP: &str = "help";

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Serve(Box<Options>),
    /// This text, and nothing else.
    Help(String),
}

/// Everything that is wrong with what was given, a line each.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Faults(pub(crate) Vec<String>);

/// An option as it was given.
struct Given {
    name: String,
    value: Option<String>,
    origin: Origin,
}

enum Origin {
    Flag,
    Line(PathBuf, usize),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Flag => write!(f, "--{}", self.name),
            Origin::Line(file, line) => write!(f, "{}:{line}: {}", file.display(), self.name),
        }
    }
}

impl Options {
    /// Reads a command line, and the file that it names. What stands in both is the command line's.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Asked, Faults> {
        let mut faults = Vec::new();
        let (mut flags, mut in_file) = (Vec::new(), Vec::new());
        for given in flags_of(arguments, &mut faults) {
            match (given.name.as_str(), &given.value) {
                (HELP, _) => return Ok(Asked::Help(help())),
                (FILE, Some(file)) => in_file.extend(lines_of(Path::new(file), &mut faults)),
                (FILE, None) => faults.push(format!("{given}: it needs a value: FILE")),
                _ => flags.push(given),
            }
        }
        // A flag takes the place of the file's line.
        in_file.retain(|line| !flags.iter().any(|flag| overrides(flag, line)));
        let mut options = Self::default();
        let mut seen: Vec<&Given> = Vec::new();
        for given in in_file.iter().chain(&flags) {
            match set(&mut options, given, &seen) {
                Ok(()) => seen.push(given),
                Err(fault) => faults.push(format!("{given}: {fault}")),
            }
        }
        faults.extend(options.odd_together());
        match faults.is_empty() {
            true => Ok(Asked::Serve(Box::new(options))),
            false => Err(Faults(faults)),
        }
    }

    /// What is right alone and wrong together.
    fn odd_together(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.health_path == self.ready_path {
            faults.push(format!(
                "--health-path and --ready-path are both `{}`: they answer different questions",
                self.health_path
            ));
        }
        let own = self
            .upstreams
            .iter()
            .filter(|(_, upstream)| upstream.is_at(self.listen));
        faults.extend(own.map(|(_, upstream)| {
            format!("--upstream: {upstream} is where this proxy listens: it would ask itself")
        }));
        faults
    }
}

/// Whether `flag` says what `line` says otherwise. Upstreams of different prefixes stand side by side.
fn overrides(flag: &Given, line: &Given) -> bool {
    let prefix = |given: &Given| {
        Upstream::split_option(given.value.as_deref().unwrap_or(""))
            .0
            .to_owned()
    };
    match flag.name.as_str() {
        "plain-path" => false,
        "upstream" => line.name == "upstream" && prefix(flag) == prefix(line),
        name => name == line.name,
    }
}

fn set(options: &mut Options, given: &Given, seen: &[&Given]) -> Result<(), String> {
    let Some(known) = KNOWN.iter().find(|known| known.name == given.name) else {
        let nearest = KNOWN
            .iter()
            .filter(|known| known.name.contains(&given.name) || given.name.contains(known.name))
            .map(|known| format!("`{}`", known.name))
            .collect::<Vec<_>>();
        return Err(match nearest.is_empty() {
            true => "there is no such option; --help lists all".to_owned(),
            false => format!(
                "there is no such option; is {} meant?",
                nearest.join(" or ")
            ),
        });
    };
    let repeats = matches!(known.name, "upstream" | "plain-path");
    if !repeats && seen.iter().any(|other| other.name == given.name) {
        return Err("it is given twice".to_owned());
    }
    match (known.value, given.value.as_deref()) {
        (None, None) => (known.set)(options, ""),
        (None, Some("true")) => (known.set)(options, ""),
        (None, Some("false")) => Ok(()),
        (None, Some(value)) => Err(format!(
            "it is on or off: `{value}` is neither `true` nor `false`"
        )),
        (Some(kind), None | Some("")) => Err(format!("it needs a value: {kind}")),
        (Some(_), Some(value)) => (known.set)(options, value),
    }
}

/// Flags with their values, as `--name VALUE` or `--name=VALUE`.
fn flags_of(arguments: impl Iterator<Item = String>, faults: &mut Vec<String>) -> Vec<Given> {
    let mut arguments = arguments.peekable();
    let mut flags = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some(name) = argument.strip_prefix("--").filter(|name| !name.is_empty()) else {
            if argument == "-h" {
                flags.push(Given {
                    name: HELP.to_owned(),
                    value: None,
                    origin: Origin::Flag,
                });
                continue;
            }
            faults.push(format!("`{argument}` is no option; --help lists all"));
            continue;
        };
        let takes_none = name == HELP
            || KNOWN
                .iter()
                .any(|known| known.name == name && known.value.is_none());
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None if takes_none => (name, None),
            None => (name, arguments.next_if(|next| !next.starts_with("--"))),
        };
        flags.push(Given {
            name: name.to_owned(),
            value,
            origin: Origin::Flag,
        });
    }
    flags
}

/// The options of a file: a line each, `name value` or `name = value`. `#` begins a comment where it begins a word.
fn lines_of(file: &Path, faults: &mut Vec<String>) -> Vec<Given> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            faults.push(format!(
                "--options: {} cannot be read: {error}",
                file.display()
            ));
            return Vec::new();
        }
    };
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = match line.trim_start().starts_with('#') {
            true => "",
            false => line.split(" #").next().unwrap_or_default().trim(),
        };
        if line.is_empty() {
            continue;
        }
        let (name, value) = match line.split_once(|c: char| c.is_whitespace() || c == '=') {
            Some((name, rest)) => {
                let rest = rest.trim_start();
                (
                    name,
                    Some(rest.strip_prefix('=').unwrap_or(rest).trim().to_owned()),
                )
            }
            None => (line, None),
        };
        let origin = Origin::Line(file.to_owned(), number + 1);
        let name = name.strip_prefix("--").unwrap_or(name).to_owned();
        lines.push(Given {
            name,
            value,
            origin,
        });
    }
    lines
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "A guarded reverse proxy: each request is checked before it goes to its upstream, each reply before it comes back.\n\n\
         cargo run --release --example proxy -- [OPTIONS]\n\n\
         Options; those in brackets are the defaults:\n",
    );
    let file = known(
        FILE,
        "FILE",
        "options from a file: a line `name value` each, `#` begins a comment; flags go before it",
        |_, _| Ok(()),
    );
    for known in KNOWN.iter().chain([&file]) {
        let left = format!("--{} {}", known.name, known.value.unwrap_or(""));
        let _ = writeln!(text, "  {left:<42} {}", known.about);
    }
    text.push_str("\nTIME: 500ms, 30s, 5m; BYTES: 4096, 64KiB, 32MiB, 1GiB.\n");
    text
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("`{value}` is none of {}", names.join(", "))
    })
}

fn number(value: &str, least: usize) -> Result<usize, String> {
    let number = value.replace('_', "").parse().ok();
    number
        .filter(|number| *number >= least)
        .ok_or_else(|| format!("`{value}` is no whole number from {least} on"))
}

fn bytes(value: &str) -> Result<usize, String> {
    let wrong = || format!("`{value}` is no number of bytes, as in 4096, 64KiB, 32MiB or 1GiB");
    let at = value
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(value.len());
    let (digits, unit) = value.split_at(at);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number = number(digits, 1).map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn time(value: &str) -> Result<Duration, String> {
    let wrong = || format!("`{value}` is no time, as in 500ms, 30s or 5m");
    let at = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (digits, unit) = value.split_at(at);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let millis = number
        .checked_mul(millis)
        .filter(|millis| *millis > 0)
        .ok_or_else(wrong)?;
    // Timers reach no further than some two years.
    Ok(Duration::from_millis(millis.min(365 * 24 * 3_600_000)))
}

fn path(value: &str) -> Result<String, String> {
    match value.starts_with('/') && !value.contains(['?', '#']) {
        true => Ok(value.to_owned()),
        false => Err(format!(
            "`{value}` is no path: it begins with `/` and has no query"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options, Vec<String>> {
        match Options::read(arguments.iter().map(|&argument| argument.to_owned())) {
            Ok(Asked::Serve(options)) => Ok(*options),
            Ok(Asked::Help(_)) => panic!("help"),
            Err(Faults(faults)) => Err(faults),
        }
    }

    /// A file of this text, that is removed in the end.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("guardrails-proxy-{name}-{}", std::process::id()));
            fs::write(&path, text).unwrap();
            Self(path)
        }

        fn at(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn nothing_has_to_be_given() {
        let options = read(&[]).unwrap();
        assert_eq!(options.listen.port(), 8080);
        assert!(options.upstreams.is_empty());
        assert_eq!(options.limits, Limits::default());
    }

    #[test]
    fn every_option_has_an_effect_by_flag_and_by_file() {
        let samples = [
            ("config", "rails"),
            ("watch", ""),
            ("python", "python3"),
            ("listen", "[::1]:9000"),
            ("http", "2"),
            ("upstream", "/a=https://example.com/v1"),
            ("upstream-ca", "ca.pem"),
            ("connect-timeout", "250ms"),
            ("upstream-timeout", "2m"),
            ("health-path", "/live"),
            ("ready-path", "/set"),
            ("drain", "3s"),
            ("grace", "5s"),
            ("connections", "3"),
            ("log", "warn,proxy=info"),
            ("monitor", ""),
            ("block-response", "403"),
            ("on-rail-error", "pass"),
            ("history", "last-turn"),
            ("unread-endpoints", "pass"),
            ("plain-path", "/imports/*"),
            ("verdict-log", "verdicts.jsonl"),
            ("report-headers", ""),
            ("limit-request-body", "1KiB"),
            ("limit-request-text", "2k"),
            ("limit-questions", "3"),
            ("limit-reply-body", "4096"),
            ("limit-held-stream", "5MiB"),
            ("limit-stream-event", "6MiB"),
            ("limit-json-depth", "7"),
            ("limit-request-idle", "8s"),
        ];
        assert!(
            KNOWN
                .iter()
                .map(|known| known.name)
                .eq(samples.map(|(name, _)| name))
        );
        let unchanged = format!("{:?}", read(&[]).unwrap());
        let mut all = String::new();
        for (name, value) in samples {
            let flag = format!("--{name}");
            let given: Vec<&str> = [flag.as_str(), value]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            let by_flag = format!("{:?}", read(&given).unwrap());
            assert_ne!(by_flag, unchanged, "{name}");
            for line in [
                format!("{name} {value}\n"),
                format!("{name} = {value}  # why"),
            ] {
                // What is only on has no value.
                let line = if value.is_empty() {
                    name.to_owned()
                } else {
                    line
                };
                let file = File::new(name, &line);
                let by_file = format!("{:?}", read(&["--options", file.at()]).unwrap());
                assert_eq!(by_file, by_flag, "{line}");
            }
            let _ = writeln!(all, "{name} {value}");
            assert!(help().contains(&format!("--{name} ")), "{name}");
        }
        let file = File::new("all", &all);
        let options = read(&["--options", file.at()]).unwrap();
        assert_eq!(options.limits.request_idle, Duration::from_secs(8));
        assert_eq!(options.limits.request_body, 1024);
    }

    #[test]
    fn the_docs_have_every_option() {
        let docs =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
        let documented: Vec<&str> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ']).next())
            .take(KNOWN.len())
            .collect();
        let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let file = File::new(
            "before",
            "# all of it\n\nlisten 127.0.0.1:1\nupstream http://a\nupstream /b=http://b\nmonitor false\n",
        );
        let options = read(&[
            "--listen=127.0.0.1:2",
            "--upstream",
            "http://c",
            "--options",
            file.at(),
        ])
        .unwrap();
        assert_eq!(options.listen.port(), 2);
        let shown: Vec<String> = options
            .upstreams
            .iter()
            .map(|(prefix, upstream)| format!("{prefix}={upstream}"))
            .collect();
        assert_eq!(shown, ["/b=http://b/", "=http://c/"]);
        assert_eq!(options.enforcement, Enforcement::Enforce);
    }

    #[test]
    fn all_faults_are_named_at_once_with_their_places() {
        let file = File::new(
            "faults",
            "listen nowhere\nlimit-request 3\nhistory everything\nhistory all\nmonitor maybe\n",
        );
        let given = [
            "--limit-questions",
            "0",
            "--limit-json-depth",
            "--upstreams",
            "x",
            "stray",
            "--options",
            file.at(),
            "--connect-timeout=soon",
            "--block-response=200",
            "--limit-request-body=99999999999999GiB",
            "--health-path=live",
            "--http=3",
        ];
        let faults = read(&given).unwrap_err().join("\n");
        for said in [
            &format!("{}:1: listen: `nowhere` is no address", file.at()),
            &format!(
                "{}:2: limit-request: there is no such option; is `limit-request-body` or",
                file.at()
            ),
            &format!(
                "{}:3: history: `everything` is none of all, last-turn, last-message",
                file.at()
            ),
            &format!("{}:5: monitor: it is on or off", file.at()),
            "--limit-questions: `0` is no whole number from 1 on",
            "--limit-json-depth: it needs a value: NUMBER",
            "--upstreams: there is no such option; is `upstream` meant?",
            "`stray` is no option",
            "--connect-timeout: `soon` is no time",
            "--block-response: `200` is neither",
            "--limit-request-body: `99999999999999GiB` is no number of bytes",
            "--health-path: `live` is no path",
            "--http: `3` is none of any, 1, 2",
        ] {
            assert!(faults.contains(said), "{said}\nin\n{faults}");
        }
        let twice = read(&["--grace", "1s", "--grace", "2s"]).unwrap_err();
        assert_eq!(twice, ["--grace: it is given twice"]);
        let missing = read(&["--options", "/nowhere/at/all"]).unwrap_err();
        assert!(
            missing[0].contains("/nowhere/at/all cannot be read"),
            "{missing:?}"
        );
    }

    #[test]
    fn what_is_wrong_only_together() {
        let same = read(&["--health-path", "/readyz"]).unwrap_err();
        assert!(same[0].contains("both `/readyz`"), "{same:?}");
        for listen in ["127.0.0.1:8080", "0.0.0.0:8080"] {
            for upstream in ["http://localhost:8080/x", "http://127.0.0.1:8080"] {
                let own = read(&["--listen", listen, "--upstream", upstream]).unwrap_err();
                assert!(own[0].contains("it would ask itself"), "{own:?}");
            }
        }
        read(&["--upstream", "http://localhost:8081"]).unwrap();
        read(&["--upstream", "https://example.com:8080"]).unwrap();
    }
}
