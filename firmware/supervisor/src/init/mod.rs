//! `otedama init`: the first process of a machine. It starts `otedama serve`, watches it, and makes hardware safe when it dies
//! or hangs; it never waits for it. Run as any other process it mounts nothing, which is how a test bench uses it.
//!
//! This file carries out what [`keeper`] decides. The network is kept by a process of its own ([`companion`], `net`).

mod child;
mod companion;
mod keeper;
mod mount;
mod net;
mod safe;
mod say;
mod settings;
mod watchdog;

use crate::event;
use crate::exit::Exit;
use anyhow::Context;
use child::Child;
use companion::Companion;
use keeper::{Fact, Keeper, Order};
use model::Time;
use model::settings::Device;
use rustix::process::Signal;
use safe::Held;
use say::say;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use watchdog::Watchdog;

/// How long a child may take to end cleanly when the whole machine stops.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Longest sleep without anything due; far enough to cost nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How to run.
#[derive(clap::Args)]
#[command(after_help = "Example: otedama init --config /config/config.yaml")]
pub struct Args {
    /// The settings file: names the machines to make safe, and is handed to `otedama serve`.
    #[arg(long, value_name = "FILE", default_value = "/config/config.yaml")]
    config: PathBuf,
    /// For benches: milliseconds without a heartbeat after which the child counts as hung.
    #[arg(long, hide = true, default_value_t = keeper::SILENCE_LIMIT.as_millis() as u64)]
    silence: u64,
    /// For benches: the program to keep, with its arguments, in place of `otedama serve`.
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    child: Vec<OsString>,
    /// The part that keeps the network, as a process of its own.
    #[arg(long, hide = true)]
    network: bool,
    /// Where other programs look for what is true until the next start.
    #[arg(long, hide = true, default_value = "/run")]
    run: PathBuf,
}

/// Keeps the child until SIGTERM or SIGINT.
///
/// # Errors
/// Signals cannot be received. Whatever else fails is told and borne.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let done = if args.network { net::run(&args.config, &args.run) } else { keep(args) };
    say::flush();
    done
}

fn keep(args: &Args) -> anyhow::Result<Exit> {
    // The first sign of life, before anything can go wrong.
    say(&first_line());
    let first = std::process::id() == 1;
    if first {
        mount::mount_all().iter().for_each(|line| say(line));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        if first {
            net::loopback_up().await;
        }
        Init::new(args, first)?.keep().await
    })?;
    if first {
        mount::restart().context("restart the board")?;
    }
    Ok(Exit::Done)
}

fn first_line() -> String {
    let kernel = rustix::system::uname();
    let (release, machine) = (kernel.release().to_string_lossy(), kernel.machine().to_string_lossy());
    format!("Otedama {} on Linux {release} {machine}", env!("CARGO_PKG_VERSION"))
}

struct Init<'a> {
    args: &'a Args,
    command: Vec<OsString>,
    epoch: Instant,
    keeper: Keeper,
    child: Option<Child>,
    devices: Vec<Device>,
    held: Held,
    refused: Vec<String>,
    watchdog: Option<Watchdog>,
    network: Option<Companion>,
}

impl<'a> Init<'a> {
    fn new(args: &'a Args, first: bool) -> anyhow::Result<Init<'a>> {
        let own: OsString = std::env::current_exe().context("find the own program")?.into();
        let config: OsString = args.config.clone().into();
        let network = vec![own.clone(), "init".into(), "--network".into(), "--config".into(), config.clone()];
        let mut command = args.child.clone();
        if command.is_empty() {
            command = vec![own, "serve".into(), "--config".into(), config];
        }
        let watchdog = first.then(|| Watchdog::open(watchdog::PATH.as_ref()));
        let watchdog = watchdog.transpose().unwrap_or_else(|e| {
            say(&format!("open {}: {e}", watchdog::PATH));
            None
        });
        let keeper = Keeper::new(Time::ZERO, Duration::from_millis(args.silence));
        let network = first.then(|| Companion::new(network));
        let (epoch, held) = (Instant::now(), Held::default());
        let mut init =
            Init { args, command, epoch, keeper, child: None, devices: vec![], held, refused: vec![], watchdog, network };
        init.read_devices();
        Ok(init)
    }

    /// A file that is broken now leaves the machines of the last good one: their hardware is still there.
    fn read_devices(&mut self) {
        match settings::read(&self.args.config) {
            Ok(settings) => self.devices = settings.mining.asic.devices,
            Err(lines) => lines.iter().for_each(|line| say(line)),
        }
    }

    async fn keep(mut self) -> anyhow::Result<()> {
        let mut ended = signal(SignalKind::child()).context("receive SIGCHLD")?;
        let mut term = signal(SignalKind::terminate()).context("receive SIGTERM")?;
        let mut int = signal(SignalKind::interrupt()).context("receive SIGINT")?;
        loop {
            self.obey();
            let now = event::now(self.epoch);
            self.network.iter_mut().for_each(|n| n.turn(now));
            let network = self.network.as_ref().map_or(Time::NEVER, Companion::wake_at);
            let rest = self.keeper.wake_at().min(network).since(now).min(IDLE);
            let beat = async {
                match &self.child {
                    Some(child) => child.beat().await,
                    None => std::future::pending().await,
                }
            };
            let beaten = tokio::select! {
                () = beat => true,
                _ = ended.recv() => false,
                () = tokio::time::sleep(rest) => false,
                _ = term.recv() => break,
                _ = int.recv() => break,
            };
            if beaten {
                self.keeper.tell(event::now(self.epoch), Fact::Beat);
            }
            self.reap();
        }
        self.stop(&mut ended).await;
        Ok(())
    }

    fn reap(&mut self) {
        for ended in child::reap() {
            let now = event::now(self.epoch);
            self.network.iter_mut().for_each(|n| n.hear(now, &ended));
            if self.child.as_ref().is_some_and(|c| c.pid == ended.pid) {
                say(&format!("the child ended: {}", ended.how));
                self.child = None;
                self.keeper.tell(now, Fact::Exited);
            }
        }
    }

    fn obey(&mut self) {
        while let Some(order) = self.keeper.next_order(event::now(self.epoch)) {
            match order {
                Order::Start => self.start(),
                Order::Kill => {
                    say("the child is silent: killed");
                    self.child.iter().for_each(|c| c.signal(Signal::KILL));
                }
                Order::Secure => {
                    let safe = self.secure();
                    self.keeper.tell(event::now(self.epoch), Fact::Secured(safe));
                }
                Order::Feed => {
                    if let Some(Err(e)) = self.watchdog.as_mut().map(Watchdog::feed) {
                        say(&format!("feed {}: {e}", watchdog::PATH));
                    }
                }
            }
        }
    }

    fn start(&mut self) {
        self.read_devices();
        self.held.release();
        let fact = match Child::start(&self.command) {
            Ok(child) => {
                say(&format!("started the child as process {}", child.pid));
                self.child = Some(child);
                Fact::Started
            }
            Err(e) => {
                say(&format!("start {}: {e}", self.command[0].to_string_lossy()));
                Fact::StartFailed
            }
        };
        self.keeper.tell(event::now(self.epoch), fact);
    }

    /// Tries are many, so only a change is told.
    fn secure(&mut self) -> bool {
        let refused = self.held.secure(&self.devices).err().unwrap_or_default();
        if refused.is_empty() {
            say("hardware is safe");
        } else if refused != self.refused {
            refused.iter().for_each(|line| say(&format!("not safe: {line}")));
        }
        self.refused = refused;
        self.refused.is_empty()
    }

    /// The machine stops: the child may end cleanly, then hardware is made safe, and only safe hardware disarms the watchdog.
    async fn stop(mut self, ended: &mut tokio::signal::unix::Signal) {
        self.network.iter_mut().for_each(Companion::stop);
        self.child.iter().for_each(|c| c.signal(Signal::TERM));
        let wait = async {
            while self.child.is_some() {
                ended.recv().await;
                self.reap();
            }
        };
        if tokio::time::timeout(STOP_LIMIT, wait).await.is_err() {
            say("the child does not end: killed");
            self.child.iter().for_each(|c| c.signal(Signal::KILL));
        }
        if self.secure()
            && let Some(Err(e)) = self.watchdog.take().map(Watchdog::disarm)
        {
            say(&format!("disarm {}: {e}", watchdog::PATH));
        }
    }
}
