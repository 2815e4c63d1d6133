//! A simulated machine as a process of its own, the firmware that mines with it as another, and a pool of the bench's own: a job
//! every 30 s, a new block every ten minutes, and a difficulty at which a machine sends a share every few seconds.
//!
//! Not here: what is measured while it runs.

use crate::notify::{answer, notify};
use crate::program::{Folder, Running, finished};
use crate::serving::listening_at;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Between two jobs, and how many of them a block lasts.
const JOB_EVERY: Duration = Duration::from_secs(30);
const JOBS_A_BLOCK: u32 = 20;
/// 2^-15, exactly: 131,072 of the candidates that simulated chips test.
const DIFFICULTY: &str = "0.000030517578125";
/// Longest wait for all chains to hash: their bring-up takes half a minute where nothing disturbs it.
const PATIENCE: Duration = Duration::from_secs(180);

/// A simulated machine and what mines with it; both end with this value.
pub struct Mined {
    machine: Running,
    said: BufReader<ChildStdout>,
    /// The firmware.
    pub serve: Running,
    page: SocketAddr,
    _folder: Folder,
}

impl Mined {
    /// Starts both; the processor mines nothing. `name` tells it from others.
    pub fn start(product: &str, name: &str, pool: SocketAddr) -> anyhow::Result<Mined> {
        let mut machine = Running::talking(&["simulate", product, "--pty"])?;
        let said = machine.child().stdout.take().context("read where the simulated machine is")?;
        let mut said = BufReader::new(said);
        let devices = line(&mut said)?["devices"].clone();
        let page = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("find a free port")?;
        let folder = Folder::new(name)?;
        let upstreams = format!("[{{url: 'stratum+tcp://{pool}', user: bench, password: x}}]");
        let more = format!("upstreams: {upstreams}\nmining: {{enable_cpu: false, asic: {{devices: {devices}}}}}\n");
        // The bench is the pool: one of the machine's own would cost it time.
        let settings = listening_at(&page.to_string(), &more).lines().skip(1).fold(String::new(), |all, l| all + l + "\n");
        let serve = Running::start(&["serve", "--config", &folder.settings(&settings)?], Stdio::null(), Stdio::null())?;
        Ok(Mined { machine, said, serve, page, _folder: folder })
    }

    /// What the chips did so far, by the simulated machine's own account.
    pub fn hashes(&mut self) -> anyhow::Result<Value> {
        let to = self.machine.child().stdin.as_mut().context("ask the simulated machine")?;
        to.write_all(b"hashes\n").and_then(|()| to.flush()).context("ask the simulated machine")?;
        line(&mut self.said)
    }

    /// The chains' states, as the firmware tells them.
    fn states(&self) -> anyhow::Result<Vec<String>> {
        let (said, _) = finished(&["status", "--json", "--address", &format!("http://{}", self.page)])?;
        let status: Value = serde_json::from_slice(&said).context("read the status")?;
        let chains = status["chains"].as_array().context("find the chains in the status")?;
        Ok(chains.iter().map(|c| c["state"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Lets the chips rest: their power stays on and all of their parts are watched.
    pub fn pause(&self) -> anyhow::Result<()> {
        let mut page = TcpStream::connect(self.page).context("reach the page")?;
        let asked =
            format!("POST /api/mining/pause HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", self.page);
        page.write_all(asked.as_bytes()).context("ask for a pause")?;
        let mut answer = String::new();
        page.read_to_string(&mut answer).context("ask for a pause")?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "asked for a pause, the page said: {answer}");
        Ok(())
    }
}

fn line(from: &mut impl BufRead) -> anyhow::Result<Value> {
    let mut line = String::new();
    from.read_line(&mut line).context("hear the simulated machine")?;
    serde_json::from_str(&line).with_context(|| format!("read what the simulated machine said: '{}'", line.trim()))
}

/// Waits until every chain of all hashes.
pub fn until_hashing(all: &[Mined]) -> anyhow::Result<()> {
    let by = Instant::now() + PATIENCE;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        // The page may not be there yet.
        let states: Vec<String> = all.iter().flat_map(|m| m.states().unwrap_or_else(|why| vec![format!("{why:#}")])).collect();
        if states.iter().all(|s| s == "hashing") {
            return Ok(());
        }
        if Instant::now() > by {
            bail!("the chains did not hash within {PATIENCE:?}: {}", states.join(", "));
        }
    }
}

/// Opens the pool; it serves whoever comes for as long as the bench runs.
pub fn pool() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen as a pool")?;
    let address = listener.local_addr().context("listen as a pool")?;
    let accept = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = std::thread::Builder::new().name("miner".to_owned()).spawn(move || drop(talk(&stream)));
        }
    };
    std::thread::Builder::new().name("pool".to_owned()).spawn(accept).context("start the pool's thread")?;
    Ok(address)
}

/// Answers one miner until it is gone.
fn talk(stream: &TcpStream) -> std::io::Result<()> {
    let mut to_miner = stream.try_clone()?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let Ok(asked) = serde_json::from_str::<Value>(&line?) else { return Ok(()) };
        to_miner.write_all(answer(&asked, DIFFICULTY).as_bytes())?;
        if asked["method"] == "mining.authorize" {
            let mut to_miner = stream.try_clone()?;
            let send = move || {
                for n in 0.. {
                    let job = notify(n + 1, n / JOBS_A_BLOCK + 1, n % JOBS_A_BLOCK == 0);
                    if to_miner.write_all(job.as_bytes()).is_err() {
                        return;
                    }
                    std::thread::sleep(JOB_EVERY);
                }
            };
            std::thread::Builder::new().name("jobs".to_owned()).spawn(send)?;
        }
    }
    Ok(())
}
