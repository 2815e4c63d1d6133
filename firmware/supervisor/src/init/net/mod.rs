//! The network of a machine: every cable is brought up, asks for a lease, and keeps it. It runs as a process of its own beside
//! `otedama serve`: what comes off the wire is read there, and whatever it does to it, the first process goes on.
//!
//! This file joins the parts: `link` (the kernel), `client` (the protocol), `lease` (what is sound), `files` (what others read).

mod client;
mod files;
mod lease;
mod link;

use super::say::say;
use super::settings;
use crate::exit::Exit;
use anyhow::Context;
use client::{News, Told};
use lease::Grant;
use link::{Link, Links};
use model::settings::Settings;
use mozim::DhcpV4Lease;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a cable may be out before its address is given up: a switch that starts anew, a plug that is moved.
const LOST_LIMIT: Duration = Duration::from_secs(5);
/// The interfaces are looked at again this often even where the kernel told nothing: its news may be lost in a flood.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the kernel may take to switch loopback on, which it does in microseconds.
const LOOPBACK_LIMIT: Duration = Duration::from_secs(2);
/// News that wait to be taken.
const NEWS_LIMIT: usize = 64;

/// Keeps the network until the process is ended.
///
/// # Errors
/// The kernel's network cannot be reached.
pub fn run(config: &Path, run: &Path) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the network's runtime")?;
    runtime.block_on(async {
        loopback_up().await;
        let (links, changes) = Links::open()?;
        let (tell, news) = mpsc::channel(NEWS_LIMIT);
        let resolv_conf = run.join("resolv.conf");
        let (config, cables) = (config.to_owned(), BTreeMap::new());
        let net = Net { links, config, resolv_conf, cables, tell, last: 0, named: false, page: None, trouble: None };
        net.keep(changes, news).await
    })?;
    Ok(Exit::Done)
}

/// Switches loopback on. The first process does this by itself, and not through the network's process: without it no program
/// can listen.
pub async fn loopback_up() {
    let up = async { Links::open()?.0.loopback_up().await };
    let done = tokio::time::timeout(LOOPBACK_LIMIT, up).await;
    if let Err(e) = done.unwrap_or_else(|_| Err(anyhow::anyhow!("the kernel does not answer"))) {
        say(&format!("loopback: {e:#}"));
    }
}

/// An interface and its lease.
struct Cable {
    link: Link,
    /// Who asks for the lease while the cable is in; its number tells its news from those of the one before.
    client: Option<(u64, AbortHandle)>,
    granted: Option<(DhcpV4Lease, Grant)>,
    lost_at: Option<Instant>,
    /// Since when a cable is waited for; `None` once one was in, or its absence was said.
    awaited: Option<Instant>,
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Cable {
    /// The begin of a wait that leads to something when it is over.
    fn waits_since(&self) -> Option<Instant> {
        self.lost_at.filter(|_| self.granted.is_some()).or(self.awaited)
    }

    fn stop(&mut self) {
        if let Some((_, client)) = self.client.take() {
            client.abort();
        }
    }
}

struct Net {
    links: Links,
    config: PathBuf,
    resolv_conf: PathBuf,
    cables: BTreeMap<u32, Cable>,
    tell: mpsc::Sender<Told>,
    last: u64,
    /// Whether the machine has a name.
    named: bool,
    /// The address that the page's line was said for.
    page: Option<Ipv4Addr>,
    /// What failed last: said once.
    trouble: Option<String>,
}

impl Net {
    async fn keep(mut self, mut changes: link::Changes, mut news: mpsc::Receiver<Told>) -> anyhow::Result<()> {
        loop {
            self.look().await?;
            let rest = self.cables.values().filter_map(Cable::waits_since).map(|at| at + LOST_LIMIT).min();
            let rest = rest.unwrap_or_else(|| Instant::now() + LOOK_EVERY).min(Instant::now() + LOOK_EVERY);
            tokio::select! {
                more = changes.next() => anyhow::ensure!(more, "the kernel's network tells nothing any more"),
                Some(told) = news.recv() => self.hear(told).await,
                () = tokio::time::sleep_until(rest) => {}
            }
        }
    }

    /// Compares the interfaces with what is known of them.
    async fn look(&mut self) -> anyhow::Result<()> {
        let links = self.links.wired().await?;
        let gone = |index: &u32| !links.iter().any(|l| l.index == *index);
        let before = self.cables.len();
        self.cables.retain(|index, cable| {
            if gone(index) {
                say(&format!("{}: the interface is gone", cable.link.name));
            }
            !gone(index)
        });
        let mut changed = self.cables.len() != before;
        for link in links {
            changed |= self.see(link).await;
        }
        if changed || (!self.named && !self.cables.is_empty()) {
            self.publish();
        }
        Ok(())
    }

    /// Takes in one interface as it is now; whether a grant was given up.
    async fn see(&mut self, link: Link) -> bool {
        if !link.up {
            let done = self.links.up(link.index).await;
            self.trouble(&link.name, done);
        }
        let awaited = Some(Instant::now());
        let fresh = || Cable { link: link.clone(), client: None, granted: None, lost_at: None, awaited };
        let cable = self.cables.entry(link.index).or_insert_with(fresh);
        let renamed = cable.link.mac != link.mac || cable.link.name != link.name;
        cable.link = link;
        // Switched on just now, an interface takes some seconds to find the other end.
        if !cable.link.carrier && cable.awaited.take_if(|at| *at + LOST_LIMIT <= Instant::now()).is_some() {
            say(&format!("{}: no cable", cable.link.name));
        }
        if renamed {
            // Who asks with the old name or hardware address is not heard any more.
            cable.stop();
        }
        if cable.link.carrier {
            cable.awaited = None;
            if cable.lost_at.take().is_some() {
                say(&format!("{}: the cable is back", cable.link.name));
            }
            if cable.client.is_none() {
                self.last += 1;
                let last = cable.granted.as_ref().map(|(lease, _)| lease.clone());
                let task = tokio::spawn(client::keep(cable.link.clone(), last, self.last, self.tell.clone()));
                cable.client = Some((self.last, task.abort_handle()));
            }
        } else if cable.client.is_some() {
            cable.stop();
            cable.lost_at = Some(Instant::now());
            say(&format!("{}: the cable is out", cable.link.name));
        }
        let late = cable.lost_at.is_some_and(|at| at + LOST_LIMIT <= Instant::now());
        let Some((_, grant)) = cable.granted.take_if(|_| late) else { return false };
        say(&format!("{}: address {} is given up", cable.link.name, grant.address));
        self.links.retract(cable.link.index, &grant).await;
        true
    }

    async fn hear(&mut self, Told { index, number, news }: Told) {
        let Some(cable) = self.cables.get_mut(&index) else { return };
        if cable.client.as_ref().is_none_or(|(current, _)| *current != number) {
            return;
        }
        let name = cable.link.name.clone();
        match news {
            News::Say(line) => say(&format!("{name}: {line}")),
            News::Ended => {
                let Some((_, grant)) = cable.granted.take() else { return };
                say(&format!("{name}: the lease of {} is over", grant.address));
                self.links.retract(index, &grant).await;
                self.publish();
            }
            News::Granted(lease, grant) => {
                let former = cable.granted.replace((*lease, grant.clone())).map(|(_, grant)| grant);
                if former.as_ref() != Some(&grant) {
                    say(&format!("{name}: {}", grant.shown()));
                }
                // A renewal is applied too: it makes the address last longer.
                let done = self.links.apply(index, &grant, former.as_ref()).await;
                self.trouble(&name, done);
                self.publish();
            }
        }
    }

    fn trouble(&mut self, name: &str, done: anyhow::Result<()>) {
        let line = done.err().map(|e| format!("{name}: {e:#}"));
        if let Some(line) = line.as_ref().filter(|l| self.trouble.as_ref() != Some(l)) {
            say(line);
        }
        self.trouble = line;
    }

    /// Writes down what others read of the grants, and says where the page is.
    fn publish(&mut self) {
        let grants = || self.cables.values().filter_map(|c| c.granted.as_ref().map(|(_, g)| g));
        if let Err(e) = files::write_whole(&self.resolv_conf, &files::resolv_conf(grants())) {
            say(&format!("write {}: {e}", self.resolv_conf.display()));
        }
        let given = grants().find_map(|g| g.host_name.clone());
        let own = || self.cables.values().next().map(|c| lease::default_host_name(c.link.mac));
        // A name stays until a network has another one for this machine: others know it by it.
        let name = given.or_else(|| own().filter(|_| !self.named));
        self.named |= name.is_some();
        match name.as_deref().map(files::set_host_name) {
            Some(Ok(true)) => say(&format!("host name {}", name.unwrap_or_default())),
            Some(Err(e)) => say(&format!("set the host name: {e}")),
            _ => {}
        }
        let address = grants().next().map(|g| g.address);
        if let Some(address) = address.filter(|a| self.page != Some(*a)) {
            say(&page(&settings::read(&self.config), address));
        }
        self.page = address;
    }
}

/// Where a person finds the page, or what to do so that there is one.
fn page(settings: &Result<Settings, Vec<String>>, address: Ipv4Addr) -> String {
    let Ok(settings) = settings else { return "page: none while the settings are broken".to_owned() };
    let (listens, port) = (settings.api.address.ip(), settings.api.address.port());
    let own = SocketAddr::from((address, port));
    match listens {
        _ if !settings.api.enable => "page: switched off ('api.enable' in the settings)".to_owned(),
        IpAddr::V4(ip) if ip.is_unspecified() || ip == address => format!("page: http://{own}"),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("page: http://{own}"),
        _ => format!(
            "page: http://{}, on this machine only; with 'api.address: 0.0.0.0:{port}' in the settings it is http://{own}",
            settings.api.address
        ),
    }
}
