//! One interface's lease: asks for it, keeps it, and tells what became of it. The protocol is `mozim`'s; what it leaves open is
//! closed here: a server that offers and never grants, leases that no host can use, and silence that a person should know of.
//!
//! A refusal of a renewal (DHCPNAK) is not seen by `mozim`; the lease then ends at its time, and is asked for anew.

use super::lease::{self, Grant};
use super::link::Link;
use mozim::{DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

/// Silence after which a person is told, once. A server answers within milliseconds, a switch wakes up within some seconds.
const QUIET: Duration = Duration::from_secs(10);
/// How long a server may take to grant what it offered.
const GRANT_LIMIT: Duration = Duration::from_secs(15);
/// Wait after a lease that cannot be used; it doubles.
const BACK_OFF_MIN: Duration = Duration::from_secs(2);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// What is asked for: mask, routers, DNS, host name, domain, lease time, server, times of renewal, search list, routes.
const OPTIONS: &[u8] = &[1, 3, 6, 12, 15, 51, 54, 58, 59, 119, 121];

/// What became of a lease.
#[derive(Debug)]
pub enum News {
    /// It was granted or renewed.
    Granted(Box<DhcpV4Lease>, Grant),
    /// It ended, or the server takes it back.
    Ended,
    /// A line for a person.
    Say(String),
}

/// News of one interface's client.
pub struct Told {
    /// Which interface.
    pub index: u32,
    /// Which of its clients: news of an earlier one may still be on its way.
    pub number: u64,
    /// What.
    pub news: News,
}

/// Asks for a lease and keeps it until it is dropped or nobody listens. `last` is one that may still be good, after a cable was
/// out for a while.
pub async fn keep(link: Link, last: Option<DhcpV4Lease>, number: u64, news: Sender<Told>) {
    let mut talk = Talk { index: link.index, number, news, held: false, told: None };
    let (host_name, mut last, mut back_off) = (lease::default_host_name(link.mac), last, BACK_OFF_MIN);
    loop {
        let had = last.is_some();
        let Err(why) = attempt(&link, &host_name, last.take(), &mut talk, &mut back_off).await else { return };
        if had || talk.held {
            talk.tell(News::Ended).await;
        }
        talk.once(why).await;
        sleep(back_off).await;
        back_off = (back_off * 2).min(BACK_OFF_MAX);
        if talk.news.is_closed() {
            return;
        }
    }
}

struct Talk {
    index: u32,
    number: u64,
    news: Sender<Told>,
    /// Whether a lease was granted and did not end.
    held: bool,
    /// What was said last: trouble that goes on is not said again.
    told: Option<String>,
}

impl Talk {
    async fn tell(&mut self, news: News) {
        self.held = matches!(news, News::Granted(..));
        self.send(news).await;
    }

    async fn send(&self, news: News) {
        // A closed channel is noticed at the next turn.
        let _ = self.news.send(Told { index: self.index, number: self.number, news }).await;
    }

    async fn once(&mut self, line: String) {
        if self.told.as_ref() != Some(&line) {
            self.send(News::Say(line.clone())).await;
            self.told = Some(line);
        }
    }
}

/// One client's life; it ends with the reason why it must be begun anew.
async fn attempt(
    link: &Link,
    host_name: &str,
    last: Option<DhcpV4Lease>,
    talk: &mut Talk,
    back_off: &mut Duration,
) -> Result<(), String> {
    let verifies = last.is_some();
    let mut client = DhcpV4Client::init(config(link, host_name)?, last).await.map_err(|e| e.to_string())?;
    let mut state = DhcpV4State::InitReboot;
    talk.held |= verifies;
    loop {
        state = turn(&mut client, &state, talk).await?;
        match &state {
            DhcpV4State::Done(lease) => {
                let grant = Grant::of(lease).map_err(|e| format!("a DHCP server's lease is refused: {e}"))?;
                let mut lease = lease.clone();
                if let Some((t1, t2)) = lease::renewal(&lease) {
                    (lease.t1_sec, lease.t2_sec) = (t1, t2);
                    client.done((*lease).clone()).map_err(|e| e.to_string())?;
                }
                (talk.told, *back_off) = (None, BACK_OFF_MIN);
                talk.tell(News::Granted(lease, grant)).await;
            }
            DhcpV4State::Rebinding => {
                talk.once("the DHCP server does not answer any more; every other one is asked".to_owned()).await;
            }
            // The lease is over, or was not confirmed: from the beginning.
            DhcpV4State::InitReboot if talk.held => talk.tell(News::Ended).await,
            _ => {}
        }
    }
}

/// Goes on to the client's next state.
async fn turn(client: &mut DhcpV4Client, state: &DhcpV4State, talk: &mut Talk) -> Result<DhcpV4State, String> {
    if *state == DhcpV4State::Selecting {
        let granted = timeout(GRANT_LIMIT, client.run()).await;
        return granted
            .map_err(|_| "a DHCP server offers an address and does not grant it".to_owned())?
            .map_err(|e| e.to_string());
    }
    let asks = *state == DhcpV4State::InitReboot;
    let mut next = std::pin::pin!(client.run());
    loop {
        tokio::select! {
            state = &mut next => return state.map_err(|e| e.to_string()),
            () = sleep(QUIET), if asks => talk.once("no DHCP server answers; it is asked again for as long as it takes".to_owned()).await,
        }
    }
}

fn config(link: &Link, host_name: &str) -> Result<DhcpV4Config, String> {
    let mut config = DhcpV4Config::new(&link.name);
    config.set_iface_index(link.index).set_iface_mac_raw(&link.mac).map_err(|e| e.to_string())?;
    config.use_mac_as_client_id().set_host_name(host_name).override_request_dhcp_opts(OPTIONS);
    Ok(config)
}
