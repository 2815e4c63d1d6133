//! The kernel's side of the network, by `rtnetlink`: which interfaces there are, whether a cable is in, addresses and routes.
//! Not here: when to set what (`net`), and what may be set (`lease`).

use super::lease::{Grant, Route};
use anyhow::Context;
use futures_util::StreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::{AddressMessageBuilder, Handle, LinkMessageBuilder, LinkUnspec, MulticastGroup, RouteMessageBuilder};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;

/// Most interfaces that are kept; a control board has one or two.
const LINKS_LIMIT: usize = 16;
/// Added to an interface's number it is the metric of its routes: with two cables in, one always wins.
const METRIC: u32 = 100;

/// An interface with a cable, or room for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Whether it is switched on.
    pub up: bool,
    /// Whether the other end of a cable answers.
    pub carrier: bool,
}

/// The kernel's network.
pub struct Links(Handle);

/// Tells that something about the interfaces changed.
pub struct Changes(Box<dyn futures_util::Stream<Item = ()> + Unpin>);

impl Changes {
    /// Waits for a change; `false` where none will ever be told any more.
    pub async fn next(&mut self) -> bool {
        self.0.next().await.is_some()
    }
}

impl Links {
    /// Connects to the kernel. Runs inside of a tokio runtime.
    ///
    /// # Errors
    /// It has no such interface.
    pub fn open() -> anyhow::Result<(Links, Changes)> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).context("open a socket to the kernel's network")?;
        tokio::spawn(connection);
        Ok((Links(handle), Changes(Box::new(messages.map(|_| ())))))
    }

    /// The interfaces that take a cable.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn wired(&self) -> anyhow::Result<Vec<Link>> {
        let mut found = vec![];
        let mut all = pin!(self.0.link().get().execute());
        while let Some(message) = all.next().await {
            found.extend(wired(&message.context("list the interfaces")?).filter(|l| !is_wireless(&l.name)));
        }
        found.sort_by_key(|l| l.index);
        found.truncate(LINKS_LIMIT);
        Ok(found)
    }

    /// Switches an interface on.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn up(&self, index: u32) -> anyhow::Result<()> {
        self.0.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.context("switch it on")
    }

    /// Loopback on, which gives it its address too.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn loopback_up(&self) -> anyhow::Result<()> {
        let message = LinkMessageBuilder::<LinkUnspec>::default().name("lo".to_owned()).up().build();
        self.0.link().set(message).execute().await.context("switch loopback on")
    }

    /// Gives an interface exactly this address, and these routes in place of the former ones.
    ///
    /// # Errors
    /// The kernel's; what worked stays.
    pub async fn apply(&self, index: u32, grant: &Grant, former: Option<&Grant>) -> anyhow::Result<()> {
        let mut request = self.0.address().add(index, grant.address.into(), grant.prefix).replace();
        // The kernel takes the address back by itself when the lease is over, whatever became of this program.
        let mut life = CacheInfo::default();
        (life.ifa_valid, life.ifa_preferred) = (grant.seconds, grant.seconds);
        request.message_mut().attributes.push(AddressAttribute::CacheInfo(life));
        request.execute().await.with_context(|| format!("set address {}/{}", grant.address, grant.prefix))?;
        for other in self.addresses(index).await?.into_iter().filter(|m| local(m) != Some(grant.address)) {
            // The former address, or one that the kernel or a bench had set.
            self.0.address().del(other).execute().await.context("remove an old address")?;
        }
        for route in former.iter().flat_map(|f| &f.routes).filter(|r| !grant.routes.contains(r)) {
            // Most are gone with the address already.
            let _ = self.0.route().del(message(index, *route, None)).execute().await;
        }
        for route in &grant.routes {
            let add = self.0.route().add(message(index, *route, Some(grant))).replace().execute().await;
            add.with_context(|| format!("set the route to {}/{} by {}", route.destination, route.prefix, route.gateway))?;
        }
        Ok(())
    }

    /// Takes back what a grant gave. What is gone already is no failure.
    pub async fn retract(&self, index: u32, grant: &Grant) {
        for route in &grant.routes {
            let _ = self.0.route().del(message(index, *route, None)).execute().await;
        }
        let address = AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(grant.address, grant.prefix).build();
        let _ = self.0.address().del(address).execute().await;
    }

    async fn addresses(&self, index: u32) -> anyhow::Result<Vec<AddressMessage>> {
        let mut found = vec![];
        let mut all = pin!(self.0.address().get().execute());
        while let Some(address) = all.next().await {
            found.push(address.context("list the addresses")?);
        }
        found.retain(|m| m.header.index == index && m.header.family == AddressFamily::Inet);
        Ok(found)
    }
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })
}

fn message(index: u32, route: Route, grant: Option<&Grant>) -> rtnetlink::packet_route::route::RouteMessage {
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.destination, route.prefix)
        .gateway(route.gateway)
        .output_interface(index)
        .priority(METRIC.saturating_add(index));
    if let Some(grant) = grant {
        // With the own address as its source the route goes when the address goes.
        builder = builder.pref_source(grant.address).protocol(RouteProtocol::Dhcp);
        if grant.prefix == 32 {
            builder = builder.onlink();
        }
    } else {
        // Whoever set it: a route is known by where it leads.
        builder = builder.protocol(RouteProtocol::Unspec);
    }
    builder.build()
}

/// Ethernet of hardware, or of a bench (`veth`, `tap`); not the kernel's own inventions such as bridges, nor a bridge's port.
fn wired(message: &LinkMessage) -> impl Iterator<Item = Link> {
    let (header, mut name, mut mac, mut real) = (&message.header, None, None, true);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(n) => name = Some(n.clone()),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Controller(_) => real = false,
            LinkAttribute::LinkInfo(infos) => {
                real &= infos.iter().all(|i| !matches!(i, LinkInfo::Kind(k) if !matches!(k, InfoKind::Veth | InfoKind::Tun)));
            }
            _ => {}
        }
    }
    let flags = header.flags;
    let ethernet = header.link_layer_type == LinkLayerType::Ether && !flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp);
    let (index, up, carrier) = (header.index, flags.contains(LinkFlags::Up), flags.contains(LinkFlags::LowerUp));
    let link = name.zip(mac).filter(|_| real && ethernet);
    link.map(|(name, mac)| Link { index, name, mac, up, carrier }).into_iter()
}

fn is_wireless(name: &str) -> bool {
    let folder = Path::new("/sys/class/net").join(name);
    folder.join("wireless").exists() || folder.join("phy80211").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Option<InfoKind>, flags: LinkFlags) -> LinkMessage {
        let mut m = LinkMessage::default();
        (m.header.index, m.header.link_layer_type, m.header.flags) = (7, LinkLayerType::Ether, flags);
        m.attributes = vec![LinkAttribute::IfName("eth0".into()), LinkAttribute::Address(vec![2, 0, 0, 1, 2, 3])];
        m.attributes.extend(kind.map(|k| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(k)])));
        m
    }

    #[test]
    fn cables_are_told_from_what_only_looks_like_one() {
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        let found: Vec<Link> = wired(&message(None, up)).collect();
        assert_eq!(found, [Link { index: 7, name: "eth0".into(), mac: [2, 0, 0, 1, 2, 3], up: true, carrier: true }]);
        assert!(wired(&message(None, LinkFlags::Up)).all(|l| l.up && !l.carrier));
        assert_eq!(wired(&message(Some(InfoKind::Veth), up)).count(), 1);
        assert_eq!(wired(&message(Some(InfoKind::Bridge), up)).count(), 0);
        assert_eq!(wired(&message(None, up | LinkFlags::Noarp)).count(), 0);
        assert_eq!(wired(&message(None, up | LinkFlags::Loopback)).count(), 0);
        let mut port = message(None, up);
        port.attributes.push(LinkAttribute::Controller(3));
        assert_eq!(wired(&port).count(), 0, "a bridge's port");
        let mut short = message(None, up);
        short.attributes[1] = LinkAttribute::Address(vec![1, 2]);
        assert_eq!(wired(&short).count(), 0, "no hardware address");
    }
}
