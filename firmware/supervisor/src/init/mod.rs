//! `otedama init`: the first process of a machine. It starts `otedama serve`, watches it, and makes hardware safe when it dies
//! or hangs; it never waits for it. Run as any other process it mounts nothing, which is how a test bench uses it.
//!
//! This file carries out what [`keeper`] decides. What may hang or break runs elsewhere: buses in a thread ([`guard`]), the
//! network in a process ([`companion`], `net`), the console in a thread ([`mod@say`]).

mod child;
mod companion;
mod ends;
mod guard;
mod keeper;
mod machines;
mod mount;
mod net;
mod restart;
mod safe;
mod say;
mod settings;
mod watchdog;

use crate::exit::{self, Exit};
use crate::heartbeat::LastWord;
use crate::{detect, event};
use anyhow::Context;
use child::Child;
use companion::Companion;
use ends::Ends;
use guard::{Answer, Ask, Guard};
use hwdrivers::bus::usb;
use keeper::{Fact, Keeper, Order};
use model::Time;
use rustix::process::Signal;
use say::say;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use watchdog::Watchdog;

/// The wait between two tries to make hardware safe at the end.
const SECURE_RETRY: Duration = Duration::from_millis(100);
/// How long programs that nobody knows have to end when the machine stops.
const OTHERS_LIMIT: Duration = Duration::from_millis(300);
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
    /// For benches: the watchdog's device.
    #[arg(long, hide = true, default_value = watchdog::PATH)]
    watchdog: PathBuf,
    /// For benches: where Linux shows its devices, and where their nodes are.
    #[arg(long, hide = true, default_value = usb::SYS)]
    sys: PathBuf,
    #[arg(long, hide = true, default_value = usb::DEV)]
    dev: PathBuf,
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
    if std::process::id() != 1 {
        return tend(args, &args.config, false).map(|()| Exit::Done);
    }
    mount::mount_all().iter().for_each(|line| say(line));
    let config = settings::place(&args.config, mount::DATA.as_ref());
    on_panic(&config);
    let done = tend(args, &config, true);
    // Neither comes back where the machine is ours to restart.
    match &done {
        Ok(()) => {
            mount::unmount_all();
            restart::restart();
        }
        Err(e) => restart::last_resort(&config, &format!("{e:#}")),
    }
    done.map(|()| Exit::Done)
}

/// A mistake in this program is no reason to leave a machine without anybody who watches it.
fn on_panic(config: &Path) {
    static FALLING: AtomicBool = AtomicBool::new(false);
    let config = config.to_owned();
    std::panic::set_hook(Box::new(move |panic| {
        if FALLING.swap(true, Ordering::Relaxed) {
            restart::restart();
        } else {
            restart::last_resort(&config, &panic.to_string());
        }
    }));
}

/// Keeps the child until SIGTERM or SIGINT.
fn tend(args: &Args, config: &Path, first: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        if first {
            net::loopback_up().await;
        }
        Init::new(args, config, first)?.keep().await
    })
}

fn first_line() -> String {
    let kernel = rustix::system::uname();
    let (release, machine) = (kernel.release().to_string_lossy(), kernel.machine().to_string_lossy());
    format!("Otedama {} on Linux {release} {machine}", env!("CARGO_PKG_VERSION"))
}

struct Init {
    first: bool,
    config: PathBuf,
    command: Vec<OsString>,
    epoch: Instant,
    keeper: Keeper,
    ends: Ends,
    child: Option<Child>,
    /// What the last child said of the machine when it ended by itself, until the next one starts.
    word: Option<LastWord>,
    guard: Guard,
    /// How often hardware was to be made safe, and how often that was answered.
    asked: u64,
    answered: u64,
    /// What was said of the last answer: tries are many, so only a change is told.
    told: Answer,
    watchdog: Option<Watchdog>,
    network: Option<Companion>,
}

/// Why the loop turns.
enum Woken {
    /// Something is due, or a process stirred or ended.
    Look,
    Answer(Answer),
    Stop,
}

impl Init {
    fn new(args: &Args, config: &Path, first: bool) -> anyhow::Result<Init> {
        // By this name it is there even where its file is not, or is another one by now.
        let own = |rest: &[&str]| -> Vec<OsString> {
            let words = ["/proc/self/exe"].iter().chain(rest).map(OsString::from);
            words.chain(["--config".into(), config.into()]).collect()
        };
        let command = if args.child.is_empty() { own(&["serve"]) } else { args.child.clone() };
        let watchdog = first.then(|| Watchdog::open(&args.watchdog));
        let watchdog = watchdog.transpose().unwrap_or_else(|e| {
            say(&format!("open {}: {e}", watchdog::PATH));
            None
        });
        let patience = watchdog::patience(watchdog::TIMEOUT.as_ref());
        let period = (patience / 3).min(keeper::FEED_PERIOD);
        let (sys, dev) = (args.sys.clone(), args.dev.clone());
        let look = Box::new(move || detect::boards_below(&sys, &dev));
        if let Some(line) = watchdog.as_ref().map(|w| w.shown(&args.watchdog, period)) {
            say(&line);
        }
        Ok(Init {
            first,
            config: config.to_owned(),
            command,
            epoch: Instant::now(),
            keeper: Keeper::new(Time::ZERO, Duration::from_millis(args.silence), period),
            ends: Ends::within(patience),
            child: None,
            word: None,
            guard: Guard::start(config, look).context("start the thread of the hardware")?,
            asked: 0,
            answered: 0,
            told: Answer::Released,
            watchdog,
            network: first.then(|| Companion::new(own(&["init", "--network"]))),
        })
    }

    async fn keep(mut self) -> anyhow::Result<()> {
        let mut ended = signal(SignalKind::child()).context("receive SIGCHLD")?;
        let mut term = signal(SignalKind::terminate()).context("receive SIGTERM")?;
        let mut int = signal(SignalKind::interrupt()).context("receive SIGINT")?;
        loop {
            // What happened comes first: a beat that lies in the pipe counts, however late it is read.
            self.look();
            self.obey()?;
            let now = event::now(self.epoch);
            self.network.iter_mut().for_each(|n| n.turn(now));
            let network = self.network.as_ref().map_or(Time::NEVER, Companion::wake_at);
            let rest = self.keeper.wake_at().min(network).since(now).min(IDLE);
            let stirs = async {
                match &self.child {
                    Some(child) => child.stirs().await,
                    None => std::future::pending().await,
                }
            };
            let woken = tokio::select! {
                () = stirs => Woken::Look,
                _ = ended.recv() => Woken::Look,
                () = sleep(rest) => Woken::Look,
                answer = self.guard.answer() => Woken::Answer(answer),
                _ = term.recv() => Woken::Stop,
                _ = int.recv() => Woken::Stop,
            };
            match woken {
                Woken::Look => {}
                Woken::Answer(answer) => self.hear(answer),
                Woken::Stop => break,
            }
        }
        self.stop(&mut ended).await;
        Ok(())
    }

    fn tell(&mut self, fact: Fact) {
        self.keeper.tell(event::now(self.epoch), fact);
    }

    fn look(&mut self) {
        if self.child.as_ref().is_some_and(Child::beaten) {
            self.tell(Fact::Beat);
        }
        for ended in child::reap() {
            let now = event::now(self.epoch);
            self.network.iter_mut().for_each(|n| n.hear(now, &ended));
            if self.child.as_ref().is_some_and(|c| c.pid == ended.pid) {
                say(&format!("the child ended: {}", ended.how));
                self.word = self.child.take().and_then(|c| parting(&c, &ended));
                if self.first && ended.code == Some(i32::from(exit::BOARD)) {
                    restart::last_resort(
                        &self.config,
                        "the child asks for a new start of the board: nothing else made chains hash",
                    );
                }
                if ended.code == Some(i32::from(exit::ANEW)) {
                    say("the child asks to be started anew");
                }
                self.tell(Fact::Exited);
            }
        }
    }

    fn hear(&mut self, answer: Answer) {
        self.answered += u64::from(answer != Answer::Released);
        match &answer {
            Answer::Released => return self.tell(Fact::Released),
            Answer::Safe(0) if answer == self.told => {}
            Answer::Safe(0) => say("the settings name no machine: there is nothing to make safe"),
            Answer::Safe(_) => say("hardware is safe"),
            Answer::Refused(_) if answer == self.told => {}
            Answer::Refused(lines) => lines.iter().for_each(|line| say(&format!("not safe: {line}"))),
        }
        self.tell(Fact::Secured(matches!(answer, Answer::Safe(_))));
        self.told = answer;
    }

    fn obey(&mut self) -> anyhow::Result<()> {
        while let Some(order) = self.keeper.next_order(event::now(self.epoch)) {
            match order {
                Order::Release => self.guard.ask(Ask::Release),
                Order::Start => self.start(),
                Order::Kill => {
                    say("the child is silent: killed");
                    self.child.iter().for_each(|c| c.signal(Signal::KILL));
                }
                Order::Secure => self.secure(),
                Order::Feed => self.feed(),
                Order::Restart => {
                    let why = "the child was killed and does not go: it hangs in the kernel, and holds the lines there";
                    if self.first {
                        restart::last_resort(&self.config, why);
                    }
                    anyhow::bail!(why);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self) {
        let fact = match Child::start(&self.command) {
            Ok(child) => {
                self.word = None;
                say(&format!("started the child as process {}", child.pid));
                self.child = Some(child);
                Fact::Started
            }
            Err(e) => {
                say(&format!("start {}: {e}", self.command[0].to_string_lossy()));
                Fact::StartFailed
            }
        };
        self.tell(fact);
    }

    fn secure(&mut self) {
        self.asked += 1;
        self.guard.ask(Ask::Secure(self.word));
    }

    fn feed(&mut self) {
        if let Some(Err(e)) = self.watchdog.as_mut().map(Watchdog::feed) {
            say(&format!("feed {}: {e}", watchdog::PATH));
        }
    }

    /// The machine stops: the child may end cleanly, then hardware is made safe, and only safe hardware disarms the watchdog.
    async fn stop(mut self, ended: &mut tokio::signal::unix::Signal) {
        say("ending");
        // Fed once more: what follows is shorter than its patience.
        self.feed();
        self.network.iter_mut().for_each(Companion::stop);
        self.child.iter().for_each(|c| c.signal(Signal::TERM));
        if timeout(self.ends.stop, self.gone(ended)).await.is_err() {
            say("the child does not end: killed");
            self.child.iter().for_each(|c| c.signal(Signal::KILL));
            if timeout(self.ends.kill, self.gone(ended)).await.is_err() {
                say("the child does not go even so");
            }
        }
        let safe = timeout(self.ends.secure, self.safe()).await;
        if safe.is_err() {
            say("hardware is not known to be safe");
        } else if let Some(Err(e)) = self.watchdog.take().map(Watchdog::disarm) {
            say(&format!("disarm {}: {e}", watchdog::PATH));
        }
        if self.first {
            restart::end_others(Signal::TERM);
            sleep(OTHERS_LIMIT).await;
            restart::end_others(Signal::KILL);
        }
    }

    /// Waits until the child is gone.
    async fn gone(&mut self, ended: &mut tokio::signal::unix::Signal) {
        self.look();
        while self.child.is_some() {
            ended.recv().await;
            self.look();
        }
    }

    /// Waits until hardware was made safe after this call.
    async fn safe(&mut self) {
        loop {
            self.secure();
            while self.answered < self.asked {
                let answer = self.guard.answer().await;
                self.hear(answer);
            }
            if matches!(self.told, Answer::Safe(_)) {
                return;
            }
            sleep(SECURE_RETRY).await;
        }
    }
}

/// What a child said last, where it ended by itself: one that was killed, or fell, is believed nothing.
fn parting(child: &Child, ended: &child::Ended) -> Option<LastWord> {
    child.beaten();
    let meant = [0, i32::from(exit::ANEW)];
    let word = child.last_word().filter(|_| ended.code.is_some_and(|code| meant.contains(&code)))?;
    let warmest =
        word.warmest.map_or("nobody knows how warm the chips are".to_owned(), |c| format!("the warmest chip is at {c:.1}"));
    say(&format!("it said: hash power is {}, {warmest}", if word.off { "off" } else { "on" }));
    Some(word)
}
