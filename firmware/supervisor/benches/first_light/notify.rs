//! From a pool's `mining.notify` on the socket to the first job frame on a chain's tty, and the memory that it takes.
//!
//! The bench is the pool, with a clean job every 100 to 200 ms whose previous block is a number of its own, and it sits on the
//! tty of chain 0. Firmware and simulated machine are the program itself, each its own process. Both stamps are of one clock:
//! before the line is written, and after the frame was read, so that the figure holds both system calls and both wake-ups.
//! The processor mines meanwhile, as it does by default. On a host that is busy besides, the median rises to some 4 ms.

use crate::figure::{Figure, Goal, Report, quantile};
use crate::program::{Folder, Running, finished};
use crate::serving::listening_at;
use crate::tap::Tap;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const NOTIFIES: u32 = 1000;
const GOAL_SECONDS: f64 = 0.002;
const MEMORY_GOAL_BYTES: f64 = 30e6;
/// A job that is not on the tty within this is lost.
const LOST: Duration = Duration::from_secs(2);
/// Longest wait for the chains to hash: their bring-up takes half a minute where nothing disturbs it.
const PATIENCE: Duration = Duration::from_secs(180);
/// Hashing before memory is looked at.
const SETTLE: Duration = Duration::from_secs(10);
/// Nobody's share meets this: nothing but jobs is on the socket.
const DIFFICULTY: &str = "1000000000000";

/// Brings three chains up, looks at memory, then sends job after job.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut machine = Running::start(&["simulate", "antminer-s19jpro", "--pty"], Stdio::piped(), Stdio::inherit())?;
    let said = machine.child().stdout.take().and_then(|out| BufReader::new(out).lines().next());
    let said = said.context("read where the simulated machine is")?.context("read where the simulated machine is")?;
    let described: Value = serde_json::from_str(&said).context("read where the simulated machine is")?;
    let mut devices = described["devices"].clone();
    let chain = devices[0]["ttys"][0].as_str().with_context(|| format!("find a tty in {said}"))?.to_owned();
    let tap = Tap::new(Path::new(&chain))?;
    devices[0]["ttys"][0] = json!(tap.tty);

    let listener = TcpListener::bind("127.0.0.1:0").context("listen as a pool")?;
    let pool = listener.local_addr().context("listen as a pool")?;
    let page = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("find a free port")?;
    let folder = Folder::new("work")?;
    let upstreams = format!("[{{url: 'stratum+tcp://{pool}', user: bench, password: x}}]");
    let more = format!("upstreams: {upstreams}\nmining: {{enable_cpu: true, asic: {{devices: {devices}}}}}\n");
    let settings = folder.settings(&listening_at(&page.to_string(), &more))?;
    let serve = Running::start(&["serve", "--config", &settings], Stdio::null(), Stdio::null())?;

    let mut miner = Miner::greet(&listener)?;
    report.doing("bringing up three chains on ptys (half a minute)");
    until_hashing(&mut miner, &format!("http://{page}"))?;
    let settled = Instant::now() + SETTLE;
    while Instant::now() < settled {
        miner.notify()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let resident = serve.memory_bytes("VmRSS")?;
    report.add(&Figure::once("three_chains_resident_bytes", resident, Goal::Below(MEMORY_GOAL_BYTES)));

    report.doing(&format!("sending {NOTIFIES} jobs, 100 to 200 ms apart"));
    let (mut seconds, mut lost) = (Vec::new(), 0);
    for n in 0..NOTIFIES {
        let (tag, sent) = miner.notify()?;
        match arrival(&tap.jobs, tag)? {
            Some(seen) => seconds.push(seen.saturating_duration_since(sent).as_secs_f64()),
            None => lost += 1,
        }
        let pause = Duration::from_millis(100 + u64::from(n * 37 % 101));
        std::thread::sleep(pause.saturating_sub(sent.elapsed()));
    }
    let quantiles = [("median", 0.5), ("p99", 0.99), ("worst", 1.0)];
    report.add(&Figure {
        name: "notify_to_job_on_tty_seconds".to_owned(),
        values: quantiles.map(|(key, part)| (key, quantile(&seconds, part))).to_vec(),
        repetitions: seconds.len(),
        goal: Goal::Below(GOAL_SECONDS),
    });
    report.add(&Figure::once("notify_to_job_on_tty_lost", f64::from(lost), Goal::Exactly(0.0)));
    report.add(&Figure::once("three_chains_peak_bytes", serve.memory_bytes("VmHWM")?, Goal::Below(MEMORY_GOAL_BYTES)));
    Ok(())
}

/// When the job of this tag was on the tty; `None` where it never came.
fn arrival(jobs: &Receiver<(u32, Instant)>, tag: u32) -> anyhow::Result<Option<Instant>> {
    let by = Instant::now() + LOST;
    loop {
        match jobs.recv_timeout(by.saturating_duration_since(Instant::now())) {
            Ok((seen, at)) if seen == tag => return Ok(Some(at)),
            Ok(_) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => return Ok(None),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => bail!("the tap on the tty ended"),
        }
    }
}

fn until_hashing(miner: &mut Miner, page: &str) -> anyhow::Result<()> {
    let by = Instant::now() + PATIENCE;
    loop {
        miner.notify()?;
        let (said, _) = finished(&["status", "--json", "--address", page])?;
        let status: Value = serde_json::from_slice(&said).context("read the status")?;
        let hashing = |c: &&Value| c["state"] == "hashing";
        let chains = status["chains"].as_array().map_or(&[][..], Vec::as_slice);
        if !chains.is_empty() && chains.iter().filter(hashing).count() == chains.len() {
            return Ok(());
        }
        if Instant::now() > by {
            bail!("the chains did not hash within {PATIENCE:?}: {status}");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The firmware's connection, as its pool sees it.
struct Miner {
    stream: TcpStream,
    last: u32,
}

impl Miner {
    /// Waits for the firmware and answers its greeting; from then on a thread answers what it asks.
    fn greet(listener: &TcpListener) -> anyhow::Result<Miner> {
        listener.set_nonblocking(true).context("listen as a pool")?;
        let by = Instant::now() + PATIENCE;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < by => std::thread::sleep(Duration::from_millis(10)),
                Err(e) => return Err(e).context("wait for the firmware's connection"),
            }
        };
        stream.set_nonblocking(false).context("talk to the firmware")?;
        stream.set_nodelay(true).context("talk to the firmware")?;
        let (mut answers, lines) = (stream.try_clone()?, BufReader::new(stream.try_clone()?).lines());
        let (greeted, ready) = channel();
        let answer = move || {
            for line in lines.map_while(Result::ok) {
                let Ok(asked) = serde_json::from_str::<Value>(&line) else { return };
                let method = asked["method"].as_str().unwrap_or_default();
                let text = answer(&asked, DIFFICULTY);
                if answers.write_all(text.as_bytes()).is_err() {
                    return;
                }
                if method == "mining.authorize" {
                    let _ = greeted.send(());
                }
            }
        };
        std::thread::Builder::new().name("pool".to_owned()).spawn(answer).context("start the pool's thread")?;
        ready.recv_timeout(PATIENCE).context("wait for the firmware's greeting")?;
        Ok(Miner { stream, last: 0 })
    }

    /// Sends a clean job: its tag, and when the line went out.
    fn notify(&mut self) -> anyhow::Result<(u32, Instant)> {
        self.last += 1;
        let line = notify(self.last, self.last, true);
        let sent = Instant::now();
        self.stream.write_all(line.as_bytes()).context("send a job to the firmware")?;
        Ok((self.last, sent))
    }
}

/// What a pool answers to what a miner asks; with the last of its greeting comes the difficulty.
pub fn answer(asked: &Value, difficulty: &str) -> String {
    let method = asked["method"].as_str().unwrap_or_default();
    let result = match method {
        "mining.configure" => json!({ "version-rolling": true, "version-rolling.mask": "1fffe000" }),
        "mining.subscribe" => json!([[["mining.notify", "1"]], "0a0b0c0d", 4]),
        _ => json!(true),
    };
    let mut text = format!("{}\n", json!({ "id": asked["id"], "result": result, "error": null }));
    if method == "mining.authorize" {
        text += &format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty}]}}\n");
    }
    text
}

/// A line as a pool of Bitcoin sends it: a coinbase of common size, twelve branches, and a previous block that is one word.
pub fn notify(name: u32, block: u32, clean: bool) -> String {
    // On the wire each word of the hash is turned round; on the tty it stands as in the header.
    let previous = format!("{:08x}", block.swap_bytes()).repeat(8);
    let (prefix, suffix, branch) = ("01".repeat(60), "02".repeat(110), vec!["03".repeat(32); 12]);
    let params = json!([format!("{name:x}"), previous, prefix, suffix, branch, "20000000", "1d00ffff", "69000000", clean]);
    format!("{}\n", json!({ "id": null, "method": "mining.notify", "params": params }))
}
