//! `otedama serve`: runs the machine of a settings file. Listeners first, then the machine; the deciding loop is the main thread.
//!
//! Everything that happens comes as an [`Event`] through one bounded channel to [`rig::Rig`], which is what simulations test too.
//! Not here: the network's bytes (`network`), what a setting means (`model::settings`), any decision (`control`).

use crate::asked::{self, StatusSocket};
use crate::check::runnable;
use crate::cpu::{self, Cpus};
use crate::detect;
use crate::event::{EVENT_LIMIT, Event, now};
use crate::exit::Exit;
use crate::heartbeat::{Heartbeat, LastWord};
use crate::last_good;
use crate::latches::Latches;
use crate::lights::{self, Lights};
use crate::machine_open::{Hands, Machine};
use crate::network::Network;
use crate::own_pool;
use crate::profile;
use crate::restarts::Restarts;
use crate::vital::Vitals;
use anyhow::Context;
use control::{Brain, Fact, Plan, Rung};
use hwdrivers::chip::small_cores;
use model::settings::{Listen, Mode, Settings};
use model::{ChainState, Command, Cooling, Fault, FaultCode, FaultStatus, Status, Time, UpstreamId};
use rig::{Net, Rig, Upstream};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime};
use stratum::Url;
use stratum::v1::Client;
use webui::{Options, Server, Shared};

/// How often the status is published where nothing urgent happens.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// How often a board is looked for where there is none: a person waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the time on the wall is looked at: hours of the settings begin to the minute.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// Longest wait at the end for chains to be off.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Commands that wait; a user clicks slower than that.
const COMMAND_LIMIT: usize = 16;
/// Events that are taken before the rig's turn.
const BATCH: usize = 256;

#[derive(clap::Args)]
#[command(after_help = "Example: otedama serve --config config.yaml")]
pub struct Args {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let epoch = Instant::now();
    let (mut settings, refused) = match settings(&args.config) {
        Ok(found) => found,
        Err(problems) => {
            problems.iter().for_each(|p| eprintln!("{p}"));
            return Ok(Exit::WrongInput);
        }
    };
    start_log(settings.app.mode);
    if let Some(fault) = &refused {
        tracing::warn!(detail = %fault.detail, "the settings file was refused; the last good one runs");
    }
    detect::complete(&mut settings.mining);
    let state = last_good::state(&args.config, settings.state.as_deref());
    let mut serving = Serving::start(&settings, refused.clone(), &state, epoch)?;
    let kept = serving.heart.is_some();
    if refused.is_none()
        && let Err(error) = last_good::keep(&args.config, &state)
    {
        tracing::warn!(%error, state = %state.display(), "keep a copy of the good settings");
    }
    serving.run();
    match end(serving.anew, kept) {
        End::Exit(exit) => Ok(exit),
        End::Again => again(serving),
    }
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(Exit),
    /// This process becomes the new program.
    Again,
}

/// Where the first process keeps us it makes hardware safe and looks anew for boards before it starts the next program. Alone, that
/// one has to do: it orders everything off before anything else.
fn end(anew: Option<Anew>, kept: bool) -> End {
    match anew {
        Some(Anew::Process) if kept => End::Exit(Exit::Anew),
        Some(Anew::Process) => End::Again,
        Some(Anew::Board) => End::Exit(Exit::Board),
        None => End::Exit(Exit::Done),
    }
}

/// Why the program ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anew {
    /// To start anew in its own place.
    Process,
    /// To have the control board start anew.
    Board,
}

/// Starts anew in this process's place.
fn again(serving: Serving) -> anyhow::Result<Exit> {
    drop(serving);
    let program = std::env::current_exe().context("find this program to start it anew")?;
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(error).context("start this program anew")
}

/// The settings to run with, and the fault where they are not those of the file.
fn settings(config: &Path) -> Result<(Settings, Option<Fault>), Vec<String>> {
    let problems = match runnable(config) {
        Ok((settings, _)) => return Ok((settings, None)),
        Err(problems) => problems,
    };
    // A file that is not there at all is a mistyped name, not a bad edit.
    if !config.exists() {
        return Err(problems);
    }
    let last = last_good::candidates(config).into_iter().find_map(|path| Some(runnable(&path).ok()?.0));
    let last = last.ok_or_else(|| problems.clone())?;
    let fault = Fault { code: FaultCode::SettingsRefused, place: "settings".to_owned(), detail: problems.join("; ") };
    Ok((last, Some(fault)))
}

fn start_log(mode: Mode) {
    let level = if mode == Mode::Development { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_target(false);
    // It fails only where a log is there already, which then does.
    let _ = log.try_init();
}

struct Serving {
    epoch: Instant,
    /// Where `otedama init` started us and watches.
    heart: Option<Heartbeat>,
    /// Of the hands that hold hash power.
    vitals: Vitals,
    rig: Rig,
    network: Network,
    events: Receiver<Event>,
    shared: Shared,
    /// What stays wrong as long as the program runs.
    standing: Vec<Fault>,
    simulated: bool,
    published: Time,
    /// When the time on the wall is looked at next.
    clock_at: Time,
    /// The folder of what survives a restart.
    state: PathBuf,
    /// What stays as it is until a person says otherwise.
    latches: Latches,
    lights: Option<Lights>,
    faults: BTreeSet<Fault>,
    /// Until when chains are waited for, once the program is to end.
    end: Option<Time>,
    /// When the next look for a board is due; never where there is a machine or none is wanted.
    look_at: Time,
    /// A board was plugged in, or nothing else made chains hash: the program ends, to start anew.
    anew: Option<Anew>,
    /// Dropped last: the page answers until the machine is safe.
    _servers: Vec<Server>,
    _asked: Option<StatusSocket>,
}

impl Serving {
    fn start(settings: &Settings, refused: Option<Fault>, state: &Path, epoch: Instant) -> anyhow::Result<Serving> {
        let heart = Heartbeat::inherited().context("open the heartbeat to the first process")?;
        let socket = socket(state, heart.is_some());
        if StatusSocket::is_taken(&socket) {
            anyhow::bail!("another 'otedama serve' runs with the same state: it answers at {}; end it first", socket.display());
        }
        let (events_in, events) = sync_channel(EVENT_LIMIT);
        let page = listen("api.address", settings.api)?;
        let metrics = listen("monitoring.metrics.address", settings.monitoring.metrics)?;
        let health = listen("monitoring.health.address", settings.monitoring.health)?;
        let own = own_pool::open(settings, state).map_err(|p| anyhow::Error::msg(p.what))?;
        let mut network = Network::start(own, events_in.clone())?;

        let version = env!("CARGO_PKG_VERSION").to_owned();
        let shared = Shared::new(Status { version, ..Status::default() });
        let asked = std::fs::create_dir_all(state).map_err(anyhow::Error::from);
        let asked = asked.and_then(|()| StatusSocket::open(&socket, shared.clone()));
        if let Err(error) = &asked {
            tracing::warn!(error = format!("{error:#}"), "'otedama status' needs --address");
        }
        let (commands_in, commands) = sync_channel::<Command>(COMMAND_LIMIT);
        let to_events = events_in.clone();
        let pass = move || while commands.recv().is_ok_and(|c| to_events.send(Event::Command(c)).is_ok()) {};
        std::thread::Builder::new().name("commands".into()).spawn(pass).context("start the thread of commands")?;
        let mut servers = Vec::new();
        if let Some(listener) = page {
            let server =
                webui::serve_with(listener, shared.clone(), commands_in, Options { names: names(), ..Options::default() });
            servers.push(server.context("serve the page")?);
        }
        let page = servers.last().map(Server::address);
        let metrics = metrics.map(|l| webui::serve_metrics(l, shared.clone())).transpose().context("serve metrics")?;
        let health = health.map(|l| webui::serve_health(l, shared.clone())).transpose().context("serve health")?;
        tracing::info!(
            page = page.map(tracing::field::display),
            metrics = metrics.as_ref().map(|s| tracing::field::display(s.address())),
            health = health.as_ref().map(|s| tracing::field::display(s.address())),
            pool = network.listening.map(tracing::field::display),
            milliseconds = u64::try_from(epoch.elapsed().as_millis()).unwrap_or(u64::MAX),
            "listening"
        );
        servers.extend(metrics.into_iter().chain(health));

        let (urls, upstreams) = upstreams(settings, network.listening)?;
        network.set_upstreams(urls);
        let machine = Machine::of(&settings.mining).map_err(|p| anyhow::Error::msg(p.what))?;
        let (cpus, mut standing) = cpu::measure(&settings.mining);
        standing.extend(refused);
        let cooling = machine.map(|m| settings.cooling.of(m.product.name, &m.product.limits)).transpose();
        let cooling = cooling.map_err(|p| anyhow::Error::msg(p.what))?.unwrap_or_default();
        let boards = machine.map_or(&[][..], |m| m.product.hashboards);
        let latches = Latches::load(state, machine.map_or("", |m| m.product.name), boards.len());
        let plan = Plan { cooling, autostart: !latches.is_stopped(), ..plan(machine, upstreams.len(), cpus) };
        let hands = machine.map(|m| m.open(&events_in, epoch)).transpose().context("open the machine")?;
        let Hands { mut chains, board, vitals } = hands.unwrap_or_default();
        let look_at = if detect::is_wanted(&settings.mining) { now(epoch) } else { Time::NEVER };
        let simulated = machine.is_some_and(|m| m.simulated());
        if simulated {
            tracing::warn!("SIMULATED: the chips of this machine are simulated");
        }
        let first = u8::try_from(chains.len()).context("number the processor's threads behind the chains")?;
        chains.extend(cpus.map(|c| c.start(first, &events_in, epoch)).transpose()?.into_iter().flatten());
        let mut rig = Rig::new(Brain::new(now(epoch), plan), chains, board, upstreams);
        rig.tell(now(epoch), Fact::PowerPlan(settings.power.clone()));
        let restarts = Restarts::load(state, unix());
        // Without somebody who starts the board anew, an end is only an end.
        let board = if heart.is_some() { restarts.of(Rung::Board) } else { u32::MAX };
        for (rung, times) in [(Rung::Process, restarts.of(Rung::Process)), (Rung::Board, board)] {
            rig.tell(now(epoch), Fact::Restarted { rung, times });
        }
        if let Some(kept) = profile::load(state) {
            rig.tell(now(epoch), Fact::Profile(kept));
        }
        let lights = machine.and_then(|m| m.lights());
        let lights = lights.map(|(leds, lines)| Lights::start(leds, Box::new(lines), epoch)).transpose();
        let lights = lights.context("start the thread of the lights")?;
        latches.chains().for_each(|chain| rig.tell(now(epoch), Fact::Latched(chain)));
        if latches.is_paused() {
            rig.tell(now(epoch), Fact::Command(Command::Pause));
        }
        if latches.is_stopped() || latches.is_paused() {
            tracing::info!(
                stopped = latches.is_stopped(),
                paused = latches.is_paused(),
                "as a person left it, until a person starts it"
            );
        }
        let (published, faults, end) = (Time::ZERO, BTreeSet::new(), None);
        let mut serving = Serving {
            epoch,
            heart,
            vitals: Vitals::new(vitals),
            rig,
            network,
            events,
            shared,
            standing,
            simulated,
            published,
            clock_at: Time::ZERO,
            state: state.to_owned(),
            latches,
            lights,
            faults,
            end,
            look_at,
            anew: None,
            _servers: servers,
            _asked: asked.ok(),
        };
        serving.turn();
        serving.publish();
        Ok(serving)
    }

    fn run(&mut self) {
        while !self.ended() {
            let due = self.rig.wake_at().min(self.published + PUBLISH_EVERY);
            match self.events.recv_timeout(due.since(now(self.epoch))) {
                Ok(event) => {
                    self.hear(event);
                    for _ in 1..BATCH {
                        let Ok(event) = self.events.try_recv() else { break };
                        self.hear(event);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The network's thread holds a sender as long as it runs: without it nothing more can be mined.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.turn();
            if now(self.epoch) >= self.published + PUBLISH_EVERY || self.faults != *self.rig.faults() {
                self.publish();
            }
        }
        self.say_last_word();
        tracing::info!("ended");
    }

    /// What the first process may believe of a machine whose program ended on purpose.
    fn say_last_word(&mut self) {
        let now = now(self.epoch);
        let word = LastWord { off: self.is_off(now), warmest: self.rig.brain().rests_at(now) };
        if let Some(heart) = self.heart.take() {
            heart.end(word);
        }
    }

    fn hear(&mut self, event: Event) {
        let now = now(self.epoch);
        match event {
            Event::Facts(facts) => facts.into_iter().for_each(|fact| self.rig.tell(now, fact)),
            Event::Net { upstream, connection, net } => {
                if self.network.hear(upstream, connection, &net) {
                    if let Net::Closed(why) = &net {
                        tracing::info!(upstream = upstream.0, why, "connection ended");
                    }
                    self.rig.tell_net(now, upstream, net);
                }
            }
            Event::Command(command) => {
                tracing::info!(?command, "asked by a user");
                // What ends stays ended: a click does not start chains that are being switched off.
                if self.end.is_none() {
                    self.rig.tell(now, Fact::Command(command));
                }
            }
            Event::Stop if self.end.is_none() => {
                tracing::info!("ending: chains are switched off");
                self.rig.tell(now, Fact::Command(Command::Stop));
                self.end = Some(now + END_LIMIT);
            }
            Event::Stop => self.end = Some(now),
        }
    }

    /// Looks for a board where no machine is named, and ends for it.
    fn look(&mut self) {
        let now = now(self.epoch);
        if now < self.look_at || self.end.is_some() {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        if let (Some(device), _) = detect::choose(&detect::boards(), board::PRODUCTS) {
            tracing::info!(product = device.product, "a board was plugged in: starting anew with it");
            self.anew = Some(Anew::Process);
            self.hear(Event::Stop);
        }
    }

    /// Nothing else made chains hash. It is counted before it is done: what cannot be counted is not done.
    fn start_anew(&mut self, rung: Rung) {
        tracing::error!(what = rung.word(), "chains give nothing: starting anew");
        if let Err(error) = Restarts::load(&self.state, unix()).count(&self.state, rung) {
            tracing::error!(%error, state = %self.state.display(), "count a new start; it is not made");
            return;
        }
        self.anew = Some(if rung == Rung::Board { Anew::Board } else { Anew::Process });
        self.hear(Event::Stop);
    }

    fn turn(&mut self) {
        self.look();
        // The loop turns at least at every publishing, twice a second. That it turns is no proof that its orders are carried out.
        self.vitals.beat(now(self.epoch), self.heart.as_mut());
        if now(self.epoch) >= self.clock_at {
            self.clock_at = now(self.epoch) + CLOCK_EVERY;
            self.rig.tell(now(self.epoch), Fact::WallClock(unix()));
        }
        self.rig.turn(now(self.epoch));
        if let Some(rung) = self.rig.take_restart() {
            self.start_anew(rung);
        }
        if let Some(found) = self.rig.take_profile()
            && let Err(error) = profile::keep(&self.state, &found)
        {
            tracing::warn!(%error, state = %self.state.display(), "keep the tuned profile");
        }
        // An end of the program is a stop for the chains and none by a person.
        if self.end.is_none()
            && let Err(error) = self.latches.follow(now(self.epoch), &self.state, self.rig.brain().held())
        {
            tracing::warn!(%error, state = %self.state.display(), "keep what only a person ends; it is tried again");
        }
        while let Some(order) = self.rig.next_net() {
            self.network.obey(order);
        }
        let count = self.network.take_lost();
        if count > 0 {
            self.rig.tell(now(self.epoch), Fact::OrdersLost { place: "network".to_owned(), count });
        }
    }

    /// Whether the program is to end and the machine is safe, or was waited for long enough.
    fn ended(&self) -> bool {
        let Some(end) = self.end else { return false };
        let now = now(self.epoch);
        if self.is_off(now) && !self.rig.brain().is_finishing(now) {
            return true;
        }
        if now >= end {
            tracing::error!("chains and supply did not say that they are off in time");
        }
        now >= end
    }

    /// Whether nothing has hash power.
    fn is_off(&self, now: Time) -> bool {
        let off = |c: &model::ChainStatus| {
            c.volts == 0.0 && !matches!(c.state, ChainState::Starting | ChainState::Ramping | ChainState::Hashing)
        };
        // The supply's order is only on its way when the last rail says that it is off.
        self.rig.status(now).chains.iter().all(off) && self.rig.brain().supply_is_off()
    }

    fn publish(&mut self) {
        let now = now(self.epoch);
        let mut status = self.rig.status(now);
        status.version = env!("CARGO_PKG_VERSION").to_owned();
        status.simulated = self.simulated;
        status.uptime_seconds = now.micros() / 1_000_000;
        status.faults.extend(self.standing.iter().chain(self.latches.fault()).map(FaultStatus::from));
        if self.network.listening.is_some() {
            let pool = self.network.pool.borrow();
            status.pool = Some(pool.workers.clone());
            let node =
                pool.node_error.clone().map(|detail| Fault { code: FaultCode::NodeDown, place: "pool".to_owned(), detail });
            status.faults.extend(node.as_ref().map(FaultStatus::from));
        }
        self.faults.clone_from(self.rig.faults());
        self.published = now;
        self.lights.iter_mut().for_each(|l| l.show(lights::signal(&status)));
        self.shared.publish(status);
    }
}

/// Seconds of Unix time, as far as the machine knows; 0 before 1970.
fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn plan(machine: Option<Machine<'_>>, upstreams: usize, cpus: Option<Cpus>) -> Plan {
    let first = machine.and_then(|m| m.product.hashboards.first());
    Plan {
        product: machine.map(|m| m.product),
        upstreams: u8::try_from(upstreams).expect("settings allow 16 upstreams"),
        autostart: true,
        small_cores: first.map_or(0, |b| small_cores(b.chain.chip)),
        cpus: cpus.map_or(0, |c| c.threads),
        cpu_hashes_per_second: cpus.map_or(0.0, |c| c.hashes_per_second as f64),
        cooling: Cooling::default(),
    }
}

/// Where the status is answered: beside the state, but on an image, as the first process's child, at one place.
fn socket(state: &Path, kept: bool) -> PathBuf {
    let first = rustix::process::getppid().is_some_and(|p| p.as_raw_nonzero().get() == 1);
    if kept && first { PathBuf::from(asked::OF_IMAGE) } else { asked::beside(state) }
}

fn listen(setting: &str, of: Listen) -> anyhow::Result<Option<TcpListener>> {
    let bind = || {
        TcpListener::bind(of.address).with_context(|| {
            format!(
                "listen on {} (setting '{setting}'): is another program there? Choose another port or end that one",
                of.address
            )
        })
    };
    of.enable.then(bind).transpose()
}

/// The machine's own name, by which a browser may reach it.
fn names() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    vec![format!("{name}.local"), name]
}

/// The pools of the settings; without any, the machine's own.
fn upstreams(settings: &Settings, own: Option<SocketAddr>) -> anyhow::Result<(Vec<Url>, Vec<Upstream>)> {
    let mut wanted: Vec<(String, &str, &str)> = Vec::new();
    for u in &settings.upstreams {
        wanted.push((format!("stratum+tcp://{}", u.url), &u.user, u.password.reveal()));
    }
    if let Some(own) = own.filter(|_| wanted.is_empty()) {
        wanted.push((format!("stratum+tcp://{}", reachable(own)), "otedama", "x"));
    }
    let mut made = (Vec::new(), Vec::new());
    for (id, (text, user, password)) in (0u8..).zip(wanted) {
        let url = Url::parse(&text).with_context(|| format!("read the address of upstream {id}"))?;
        made.0.push(url.clone());
        made.1.push(Upstream { client: Client::new(UpstreamId(id), url, user, password), shown: text });
    }
    Ok(made)
}

/// An address that listens everywhere is reached on this machine itself.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_start_is_the_first_processes_to_make_where_there_is_one() {
        for (anew, kept, wanted) in [
            (Some(Anew::Process), true, End::Exit(Exit::Anew)),
            (Some(Anew::Process), false, End::Again),
            (Some(Anew::Board), true, End::Exit(Exit::Board)),
            (None, true, End::Exit(Exit::Done)),
            (None, false, End::Exit(Exit::Done)),
        ] {
            assert_eq!(end(anew, kept), wanted, "{anew:?}, kept {kept}");
        }
    }
}
