//! `cargo image run`: the image in QEMU with a simulated machine, mining within a minute, its page on this machine's loopback.
//!
//! It says what happens and when, passes what a person types to the simulated machine, and ends everything it started.
//! Not here: how the guest is made and started (`boot`).

use crate::boot::{Boot, Booted, Firmware};
use crate::command::say;
use crate::place::Place;
use crate::qemu::Forward;
use crate::watch::Shown;
use anyhow::{Context, Result, bail, ensure};
use model::{Attachment, ChainLine, Product};
use serde_json::Value;
use std::io::{BufRead, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The guest's ports: page, health, metrics.
const PAGE: u16 = 8080;
const OTHERS: [(&str, u16); 2] = [("health", 8081), ("metrics", 9090)];
/// Advised where that of the page is taken.
const OTHER_PORT: u16 = 18_080;
/// Between two looks at the console and the processes.
const LOOK: Duration = Duration::from_millis(20);
/// Between two questions for the status, while a share is awaited and after that.
const ASK: Duration = Duration::from_millis(250);
const ASK_LATER: Duration = Duration::from_secs(2);
/// How long a guest that listens is given to have an address: one asked before keeps the question for seconds.
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
/// How long QEMU may be without a listening guest, and without a chain's share: many times what a loaded machine with two cores
/// needs.
const LISTEN_LIMIT: Duration = Duration::from_secs(240);
const SHARE_LIMIT: Duration = Duration::from_secs(600);

/// How to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cargo image run --port 8085")]
pub struct Args {
    /// A control board of `otedama boards`.
    #[arg(long, default_value = "pc")]
    board: String,
    /// The machine to simulate, a product of `otedama boards`.
    #[arg(long, default_value = "antminer-s19jpro")]
    product: String,
    /// What starts the guest.
    #[arg(long, value_enum, default_value_t)]
    firmware: Firmware,
    /// The port of 127.0.0.1 for the page; 0 takes a free one.
    #[arg(long, default_value_t = PAGE)]
    port: u16,
    /// Take the image as it was built last, however old.
    #[arg(long)]
    built: bool,
    /// Only measure: end after a chain's first share, and print the times as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Builds what is missing and runs it until SIGINT or SIGTERM.
///
/// # Errors
/// The port is taken, something does not build, or the guest does not come to mine; the text says what to do.
pub fn run(args: &Args) -> Result<()> {
    let product = product(&args.product)?;
    let place = Place::of(&args.board)?;
    // Before the minutes that a build takes.
    let port = free(args.port)?;
    if !args.built {
        crate::build(&place)?;
    }
    ensure!(place.disk().exists(), "find {}: run it once without --built", place.disk().display());

    let mut forwards = vec![Forward { host: port, guest: PAGE }];
    // Who leaves the page's port to us wants no fixed one.
    for (name, other) in OTHERS.iter().filter(|_| args.port != 0) {
        match free(*other) {
            Ok(_) if *other != port => forwards.push(Forward { host: *other, guest: *other }),
            _ => say(&format!("{name} will not be reachable from here: port {other} of this machine is taken")),
        }
    }
    let settings = settings(product, true);
    let folder = place.out.join(format!("run-{port}"));
    let boot = Boot {
        place: &place,
        firmware: args.firmware,
        product: Some(product.name),
        settings: &settings,
        folder: &folder,
        forwards: &forwards,
    };
    let (events_in, events) = channel();
    catch_signals(events_in.clone())?;
    say(&format!("starting a SIMULATED {} and QEMU (emulated, without KVM)", product.name));
    let booted = boot.start()?;
    say(&format!("the guest's console is in {}", folder.join("console.log").display()));
    let ask = ask(place.program(), port, events_in.clone())?;
    if !args.json {
        say(
            "what you type goes to the simulated machine: `unplug i2c`, `plug i2c`, `unplug chain 1`, `fault uart-noise`, `help`; Ctrl-C ends all",
        );
        pass_lines(events_in)?;
    }
    let mut session = Session { booted, events, ask, port, forwards, asked: None, shown: Shown::default(), json: args.json };
    let ended = session.watch();
    session.booted.stop()?;
    let ended = ended?;
    if args.port == 0 {
        // A folder by a port that nobody chose would never be found or used again; after a failure it is kept.
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    match ended {
        End::Measured => println!("{}", session.shown.times.json(args.firmware)),
        End::Asked => say("ended"),
    }
    Ok(())
}

/// The product of this name, if a guest can have it.
///
/// # Errors
/// There is none, or it has lines that QEMU has not.
pub fn product(name: &str) -> Result<&'static Product> {
    let product = board::product(name).with_context(|| {
        let names: Vec<_> = board::PRODUCTS.iter().map(|p| p.name).collect();
        format!("find product '{name}'; there are: {}", names.join(", "))
    })?;
    ensure!(is_serial(product), "run {name}: its chains are on SPI, which this guest has not; `otedama simulate {name}` has");
    Ok(product)
}

fn is_serial(product: &Product) -> bool {
    product.hashboards.iter().all(|b| b.line == ChainLine::Uart)
}

/// A port of loopback that nobody listens on.
///
/// # Errors
/// It is taken.
pub fn free(port: u16) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} of this machine is taken: end the program there, or choose another, like `cargo image run --port {}`",
            if port == OTHER_PORT { PAGE } else { OTHER_PORT }
        ),
        _ => anyhow::Error::new(e).context(format!("look whether port {port} is free")),
    })?;
    Ok(listener.local_addr().context("look which port is free")?.port())
}

/// `config.yaml` of the guest, its processor mining as well or not. It listens on all its addresses: only this machine's loopback
/// leads there.
#[must_use]
pub fn settings(product: &Product, cpu: bool) -> String {
    // A USB board's first line is its controller's (`qemu::Lines`).
    let (first, buses) = match product.attachment {
        Attachment::Buses => (0, ["/dev/i2c-0", "/dev/gpiochip0"]),
        Attachment::Usb(_) => (1, ["/dev/ttyACM0"; 2]),
    };
    let [i2c, gpio] = buses;
    let ttys: Vec<_> = (0..product.hashboards.len()).map(|n| format!("/dev/ttyACM{}", first + n)).collect();
    format!(
        "# Written by `cargo image run` for one guest.\n\
         mining:\n  enable_cpu: {cpu}\n  cpu: {{threads: 1}}\n  asic:\n    devices:\n      \
         - {{product: {}, ttys: [{}], i2c: {i2c}, gpio: {gpio}, simulated: true}}\n\
         pool: {{enable: true, address: '127.0.0.1:3333', coins: [practice]}}\n\
         api: {{address: '0.0.0.0:8080'}}\n\
         monitoring: {{health: {{address: '0.0.0.0:8081'}}, metrics: {{address: '0.0.0.0:9090'}}}}\n\
         state: /data\n",
        product.name,
        ttys.join(", ")
    )
}

enum Event {
    /// The guest's status, or why there is none.
    Status(Result<Value, String>),
    /// A line that a person typed.
    Typed(String),
    /// SIGINT or SIGTERM.
    Stop,
}

enum End {
    /// All times are known, and no more was wanted.
    Measured,
    /// By a signal.
    Asked,
}

struct Session {
    booted: Booted,
    events: Receiver<Event>,
    ask: SyncSender<()>,
    port: u16,
    forwards: Vec<Forward>,
    /// When the status was asked for last.
    asked: Option<Instant>,
    shown: Shown,
    json: bool,
}

impl Session {
    fn watch(&mut self) -> Result<End> {
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Stop) => return Ok(End::Asked),
                Ok(Event::Typed(line)) => self.booted.simulated.iter_mut().try_for_each(|s| s.tell(&line))?,
                Ok(Event::Status(Ok(status))) => self.hear(&status),
                // The guest listens a moment before it answers; where it never does, the limits below speak.
                Ok(Event::Status(Err(why))) => self.shown.silent(why),
                Err(_) => {}
            }
            let now = self.booted.since.elapsed();
            for line in self.booted.lines()? {
                self.shown.console(now, &line);
            }
            let times = self.shown.times;
            if self.json && times.chain_share.is_some() {
                return Ok(End::Measured);
            }
            if times.listening.is_none() && now > LISTEN_LIMIT {
                bail!(self.nothing("the guest does not listen", LISTEN_LIMIT));
            }
            if times.chain_share.is_none() && now > SHARE_LIMIT {
                bail!(self.nothing("no share of a chain was accepted", SHARE_LIMIT));
            }
            let wait = if times.chain_share.is_some() { ASK_LATER } else { ASK };
            let reachable = times.reachable.is_some() || times.listening.is_some_and(|t| now > t + ADDRESS_LIMIT);
            if reachable && self.asked.is_none_or(|a| a.elapsed() >= wait) && self.ask.try_send(()).is_ok() {
                self.asked = Some(Instant::now());
            }
        }
    }

    fn hear(&mut self, status: &Value) {
        let before = self.shown.times.share;
        self.shown.status(self.booted.since.elapsed(), status);
        if before.is_none() && self.shown.times.share.is_some() && !self.json {
            println!("http://127.0.0.1:{}", self.port);
            for (name, port) in OTHERS.iter().filter(|(_, p)| self.forwards.iter().any(|f| f.guest == *p)) {
                say(&format!("{name}: http://127.0.0.1:{port}"));
            }
        }
    }

    fn nothing(&self, what: &str, limit: Duration) -> String {
        let why = self.shown.why().map(|w| format!("\nits page: {w}")).unwrap_or_default();
        format!(
            "{what} after {} s{why}\nthe last lines of its console:\n{}\nTry again on a quieter machine, or look whether the same \
             happens with --firmware bios",
            limit.as_secs(),
            self.booted.console.tail()
        )
    }
}

/// Asks the guest's page on a thread of its own, once for each word: an answer may take seconds.
fn ask(program: PathBuf, port: u16, events: Sender<Event>) -> Result<SyncSender<()>> {
    let (ask, asked) = sync_channel(0);
    let answer = move || while asked.recv().is_ok_and(|()| events.send(Event::Status(status(&program, port))).is_ok()) {};
    std::thread::Builder::new().name("status".into()).spawn(answer).context("start the thread that asks for the status")?;
    Ok(ask)
}

/// What the machine behind a port of loopback says of itself; its own program knows how to ask.
///
/// # Errors
/// Why it says nothing.
pub fn status(program: &Path, port: u16) -> Result<Value, String> {
    let address = format!("http://127.0.0.1:{port}");
    let answer = Command::new(program).args(["status", "--json", "--address", &address]).output().map_err(|e| e.to_string())?;
    if !answer.status.success() {
        return Err(String::from_utf8_lossy(&answer.stderr).trim().to_owned());
    }
    serde_json::from_slice(&answer.stdout).map_err(|e| e.to_string())
}

fn catch_signals(events: Sender<Event>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("start the wait for signals")?;
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        let caught = |kind| signal(kind).context("catch signals");
        (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        });
        let _ = events.send(Event::Stop);
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).context("start the wait for signals")?;
    Ok(())
}

/// Passes what is typed on, unless we are in the background: reading a terminal from there would stop us.
fn pass_lines(events: Sender<Event>) -> Result<()> {
    let stdin = rustix::stdio::stdin();
    if rustix::termios::tcgetpgrp(stdin).is_ok_and(|front| front != rustix::process::getpgrp()) {
        return Ok(());
    }
    let pass = move || {
        let mut lines = std::io::stdin().lock().lines();
        while lines.next().is_some_and(|l| l.is_ok_and(|l| events.send(Event::Typed(l)).is_ok())) {}
    };
    std::thread::Builder::new().name("typed".into()).spawn(pass).context("start the wait for lines")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_settings_are_good_and_practise() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let text = settings(product, true);
        let (settings, warnings) = model::settings::read(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        let device = &settings.mining.asic.devices[0];
        assert_eq!(device.ttys, ["/dev/ttyACM0", "/dev/ttyACM1", "/dev/ttyACM2"].map(PathBuf::from));
        assert!(device.simulated && settings.mining.enable_cpu);
        assert_eq!(device.i2c, PathBuf::from("/dev/i2c-0"));
        assert_eq!(settings.pool.coins.len(), 1);
        assert!(settings.api.address.ip().is_unspecified());
        let text = super::settings(&board::bitaxe_gamma::PRODUCT, false);
        let (settings, _) = model::settings::read(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        let device = &settings.mining.asic.devices[0];
        assert_eq!((device.i2c.as_path(), device.gpio.as_path()), ("/dev/ttyACM0".as_ref(), "/dev/ttyACM0".as_ref()));
        assert_eq!(device.ttys, [PathBuf::from("/dev/ttyACM1")]);
        assert!(!settings.mining.enable_cpu);
    }

    #[test]
    fn a_product_that_no_guest_can_have_is_refused() {
        assert!(!is_serial(&board::dragonmint_t1::PRODUCT) && is_serial(&board::bitaxe_gamma::PRODUCT));
        let why = product("antminer-s99").expect_err("none").to_string();
        assert!(why.contains("antminer-s9"), "{why}");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_a_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("its number").port();
        let error = free(port).expect_err("it is taken").to_string();
        assert!(error.contains(&format!("port {port}")) && error.contains("--port"), "{error}");
        assert_ne!(free(0).expect("one is free"), port);
    }
}
