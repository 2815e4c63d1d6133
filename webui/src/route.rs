//! The page and its interface: which address answers what.
//!
//! JSON of `/api/status` is [`model::Status`] as it stands; the smaller views are made here. Not here: health and metrics, which
//! have listeners of their own so that a farm's tools need no way to the commands.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError};

use model::{Command, SensorStatus, ShareCounts, Status, WorkerStatus};
use serde::Serialize;
use tiny_http::{Method, Request};

use crate::answer::Answer;
use crate::gate::Limits;
use crate::page::Page;
use crate::server::{Error, Server};
use crate::{Shared, guard};

/// What may differ between machines.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names by which the machine is reached, beside its addresses and `localhost`.
    pub names: Vec<String>,
    /// What the listener bears.
    pub limits: Limits,
    /// Where a private directory for the inner socket is made.
    pub directory: PathBuf,
}

impl Default for Options {
    fn default() -> Options {
        Options { names: Vec::new(), limits: Limits::default(), directory: std::env::temp_dir() }
    }
}

/// Serves the page and the interface on `listener`. Commands go to `commands`; what is shown comes from `view`.
pub fn serve(listener: TcpListener, view: Shared, commands: SyncSender<Command>) -> Result<Server, Error> {
    serve_with(listener, view, commands, Options::default())
}

/// As [`serve`], with other than the usual options.
pub fn serve_with(listener: TcpListener, view: Shared, commands: SyncSender<Command>, options: Options) -> Result<Server, Error> {
    let page = Page::new();
    let names = options.names;
    Server::start(listener, options.limits, &options.directory, move |request| match guard::host(request, &names) {
        Ok(()) => answer(request, &page, &view, &commands),
        Err(refusal) => refusal,
    })
}

fn answer(request: &Request, page: &Page, view: &Shared, commands: &SyncSender<Command>) -> Answer {
    let path = path(request);
    let command = match path {
        "/api/mining/start" => Some(Command::Start),
        "/api/mining/stop" => Some(Command::Stop),
        "/api/mining/pause" => Some(Command::Pause),
        "/api/mining/resume" => Some(Command::Resume),
        _ => None,
    };
    if let Some(command) = command {
        return match request.method() {
            Method::Post => guard::same_origin(request).map_or_else(|refusal| refusal, |()| send(command, commands)),
            _ => Answer::method("POST"),
        };
    }
    let shown: fn(&Page, &Status) -> Answer = match path {
        "/" => |page, _| page.answer(),
        "/api/status" => |_, status| Answer::json(200, status),
        "/api/stats" => |_, status| Answer::json(200, &Stats::of(status)),
        "/api/workers" => |_, status| Answer::json(200, &Workers::of(status)),
        _ => return Answer::not_found(),
    };
    if is_read(request) { shown(page, &view.latest()) } else { Answer::method("GET, HEAD") }
}

/// The path without the query.
pub(crate) fn path(request: &Request) -> &str {
    request.url().split('?').next().unwrap_or_default()
}

/// Whether the method only reads.
pub(crate) fn is_read(request: &Request) -> bool {
    matches!(request.method(), Method::Get | Method::Head)
}

fn send(command: Command, commands: &SyncSender<Command>) -> Answer {
    match commands.try_send(command) {
        Ok(()) => Answer::json(202, &Asked::of(command)),
        Err(TrySendError::Full(_)) => {
            Answer::refusal(503, "busy", "Too many commands wait.", "Wait a few seconds and ask again.").with("Retry-After", "5")
        }
        Err(TrySendError::Disconnected(_)) => Answer::refusal(
            503,
            "stopping",
            "The miner does not take commands: it is stopping.",
            "Ask again when it has restarted.",
        ),
    }
}

/// What was asked; `/api/status` tells when it is so.
#[derive(Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    mining: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
}

impl Asked {
    fn of(command: Command) -> Asked {
        let (mining, paused) = match command {
            Command::Start => (Some(true), None),
            Command::Stop => (Some(false), None),
            Command::Pause => (None, Some(true)),
            Command::Resume => (None, Some(false)),
        };
        Asked { mining, paused }
    }
}

#[derive(Serialize)]
struct Stats<'a> {
    uptime_seconds: u64,
    mining: bool,
    hashes_per_second: f64,
    expected_hashes_per_second: f64,
    shares: ShareCounts,
    best_difficulty: &'a str,
    hottest_chip_celsius: Option<f64>,
    temperatures: Vec<&'a SensorStatus>,
}

impl<'a> Stats<'a> {
    fn of(s: &'a Status) -> Stats<'a> {
        Stats {
            uptime_seconds: s.uptime_seconds,
            mining: s.mining,
            hashes_per_second: s.hashes_per_second,
            expected_hashes_per_second: s.expected_hashes_per_second,
            shares: s.shares,
            best_difficulty: &s.best_difficulty,
            hottest_chip_celsius: s.chains.iter().filter_map(|c| c.chip_celsius).reduce(f64::max),
            temperatures: s.chains.iter().flat_map(|c| &c.sensors).collect(),
        }
    }
}

#[derive(Serialize)]
struct Workers<'a> {
    pool: bool,
    workers: &'a [WorkerStatus],
}

impl<'a> Workers<'a> {
    fn of(s: &'a Status) -> Workers<'a> {
        Workers { pool: s.pool.is_some(), workers: s.pool.as_deref().unwrap_or_default() }
    }
}
