//! How long `otedama serve` takes from its start until its page can be reached.

use crate::figure::{Figure, Goal, Report};
use crate::program::{Folder, Running};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

const REPETITIONS: usize = 20;
const GOAL_SECONDS: f64 = 0.1;
/// Between two tries to reach the page: it bounds the figure's error.
const STEP: Duration = Duration::from_micros(200);
/// Longest wait for the page.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts it over and over: as a stranger on the port sees it, and as its own log says.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.doing(&format!("starting 'otedama serve' {REPETITIONS} times"));
    let (mut seen, mut said) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let (reached, logged) = start()?;
        seen.push(reached);
        said.push(logged);
    }
    report.add(&Figure::of_times("start_to_listening_seconds", &seen, Goal::Below(GOAL_SECONDS)));
    report.add(&Figure::of_times("start_to_listening_by_its_log_seconds", &said, Goal::None));
    Ok(())
}

fn start() -> anyhow::Result<(f64, f64)> {
    let folder = Folder::new("start")?;
    // A port that was free a moment ago: the program must be told one, for its log comes later than its page.
    let page = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("find a free port")?;
    let settings = folder.settings(&listening_at(&page.to_string(), ""))?;
    let begun = Instant::now();
    let mut serve = Running::start(&["serve", "--config", &settings], Stdio::null(), Stdio::piped())?;
    let reached = loop {
        if TcpStream::connect(page).is_ok() {
            break begun.elapsed();
        }
        if begun.elapsed() > PATIENCE {
            bail!("nobody listened at {page} within {PATIENCE:?}");
        }
        std::thread::sleep(STEP);
    };
    let log = serve.child().stderr.take().context("read its log")?;
    let line = BufReader::new(log).lines().map_while(Result::ok).find(|l| l.contains("milliseconds="));
    let line = line.context("find 'milliseconds=' in its log")?;
    let milliseconds = line.split_whitespace().find_map(|w| w.strip_prefix("milliseconds=")?.parse::<f64>().ok());
    Ok((reached.as_secs_f64(), milliseconds.context("read 'milliseconds=' of its log")? / 1e3))
}

/// Settings with every listener on loopback, the page at a known place, and its own pool on the practice chain.
pub fn listening_at(page: &str, more: &str) -> String {
    format!(
        "pool: {{enable: true, address: '127.0.0.1:0', coins: [practice]}}\napi: {{address: '{page}'}}\nmonitoring:\n  \
         metrics: {{address: '127.0.0.1:0'}}\n  health: {{address: '127.0.0.1:0'}}\n{more}"
    )
}
