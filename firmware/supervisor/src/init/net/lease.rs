//! What a lease of a DHCP server is worth: everything in it came off the wire, so each value is checked or left out here, before
//! anything is set by it. Pure; not here: the protocol (`mozim`), and what carries a grant out (`link`, `files`).

use mozim::DhcpV4Lease;
use std::net::Ipv4Addr;

/// Shortest lease that is taken, seconds. Below it a machine would do little else than renew.
pub const LEASE_MIN: u32 = 10;
/// Renewals come no closer together than this, seconds, and no further apart than that: a network that was rebuilt is noticed
/// within half a day even where the lease is for ever.
const RENEW_MIN: u32 = 4;
const RENEW_MAX: u32 = 12 * 3600;
/// A subnet wider than this is a mistake: no network has more neighbours.
const PREFIX_MIN: u8 = 8;
/// Servers of names; the resolver of the C library asks no more than this.
pub const DNS_LIMIT: usize = 3;
/// Domains that are searched, as in the C library.
pub const SEARCH_LIMIT: usize = 6;
/// Routes beside the default.
const ROUTES_LIMIT: usize = 16;
/// Longest name in DNS, and longest part between its dots.
const NAME_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// Why a lease is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is none that a host can have.
    #[error("it offers {0}, which is no address of a host")]
    Address(Ipv4Addr),
    /// The address is that of the network itself or of all its hosts.
    #[error("it offers {0}/{1}, which is the first or last of its network and no host's")]
    Edge(Ipv4Addr, u8),
    /// The mask is none.
    #[error("its network mask {0} is none")]
    Mask(Ipv4Addr),
    /// Too short.
    #[error("its lease of {0} s is shorter than {LEASE_MIN} s")]
    Short(u32),
}

/// A way out of the own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; all of it where the prefix is 0.
    pub destination: Ipv4Addr,
    /// Bits of the destination that count.
    pub prefix: u8,
    /// Through whom.
    pub gateway: Ipv4Addr,
}

/// What is used of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The own address.
    pub address: Ipv4Addr,
    /// Bits of it that are the network's.
    pub prefix: u8,
    /// How long, seconds; `u32::MAX` for ever.
    pub seconds: u32,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// Ways out.
    pub routes: Vec<Route>,
    /// Who knows names.
    pub dns: Vec<Ipv4Addr>,
    /// Where to look for a name without a dot.
    pub search: Vec<String>,
    /// The name that the network has for this machine.
    pub host_name: Option<String>,
}

impl Grant {
    /// Takes what is sound of a lease.
    ///
    /// # Errors
    /// Its address, mask or time cannot be used at all.
    pub fn of(lease: &DhcpV4Lease) -> Result<Grant, Refused> {
        let address = lease.yiaddr;
        if !is_host(address) {
            return Err(Refused::Address(address));
        }
        let prefix = prefix(address, lease.subnet_mask)?;
        let edge = |ip: Ipv4Addr| u32::from(ip) & host_bits(prefix) == 0 || u32::from(ip) | !host_bits(prefix) == u32::MAX;
        if prefix < 31 && edge(address) {
            return Err(Refused::Edge(address, prefix));
        }
        if lease.lease_time_sec < LEASE_MIN {
            return Err(Refused::Short(lease.lease_time_sec));
        }
        // A network of one address reaches its gateway straight away; in any other one it is a neighbour.
        let near = |ip: Ipv4Addr| prefix == 32 || (u32::from(ip) ^ u32::from(address)) & !host_bits(prefix) == 0;
        let gateway = |ip: Ipv4Addr| is_host(ip) && ip != address && near(ip) && (prefix >= 31 || !edge(ip));
        let mut dns: Vec<Ipv4Addr> = Vec::new();
        for ip in lease.dns_srvs.iter().flatten().copied().filter(|ip| is_host(*ip)) {
            if dns.len() < DNS_LIMIT && !dns.contains(&ip) {
                dns.push(ip);
            }
        }
        let said = lease.domain_search.iter().flatten().chain(&lease.domain_name);
        let mut search: Vec<String> = Vec::new();
        for name in said.filter_map(|n| domain(n)) {
            if search.len() < SEARCH_LIMIT && !search.contains(&name) {
                search.push(name);
            }
        }
        Ok(Grant {
            address,
            prefix,
            seconds: lease.lease_time_sec,
            server: if is_host(lease.srv_id) { lease.srv_id } else { lease.siaddr },
            routes: routes(lease, gateway),
            dns,
            search,
            host_name: lease.host_name.as_deref().and_then(host_label),
        })
    }

    /// The gateway of everything that has no route of its own.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.routes.iter().find(|r| r.prefix == 0).map(|r| r.gateway)
    }

    /// One line for the console.
    pub fn shown(&self) -> String {
        let gateway = self.gateway().map_or_else(|| "no gateway".to_owned(), |g| format!("gateway {g}"));
        format!("address {}/{}, {gateway}, from {} for {}", self.address, self.prefix, self.server, span(self.seconds))
    }
}

/// When to renew and when to ask everybody, where the lease's own times would have it be too soon or too late.
pub fn renewal(lease: &DhcpV4Lease) -> Option<(u32, u32)> {
    let (t1, t2, end) = (lease.t1_sec, lease.t2_sec, lease.lease_time_sec);
    let soon = t1 < RENEW_MIN || t2 < t1.saturating_add(2);
    let t1 = if soon { end / 2 } else { t1 }.min(RENEW_MAX);
    let t2 = if soon { end / 8 * 7 } else { t2 };
    ((t1, t2) != (lease.t1_sec, lease.t2_sec) && 0 < t1 && t1 < t2 && t2 < end).then_some((t1, t2))
}

/// The name of a machine that was given none: the end of its hardware address tells it from its neighbours.
pub fn default_host_name(mac: [u8; 6]) -> String {
    format!("otedama-{:02x}{:02x}{:02x}", mac[3], mac[4], mac[5])
}

fn host_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

/// Whether a host can have it: not this network (0), loopback, multicast, reserved or everybody.
fn is_host(ip: Ipv4Addr) -> bool {
    !matches!(ip.octets()[0], 0 | 127 | 224..)
}

fn prefix(address: Ipv4Addr, mask: Ipv4Addr) -> Result<u8, Refused> {
    let bits = u32::from(mask);
    // A server that names no mask means the one that the address had before masks were invented.
    if bits == 0 {
        return Ok(match address.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            _ => 24,
        });
    }
    let prefix = u8::try_from(bits.leading_ones()).unwrap_or(0);
    if bits.count_ones() != bits.leading_ones() || prefix < PREFIX_MIN {
        return Err(Refused::Mask(mask));
    }
    Ok(prefix)
}

/// Where a server gives routes with their destinations, its plain list of routers does not count (RFC 3442).
fn routes(lease: &DhcpV4Lease, sound: impl Fn(Ipv4Addr) -> bool) -> Vec<Route> {
    if let Some(given) = &lease.classless_routes {
        let sound = given.iter().filter(|r| r.prefix_length <= 32 && sound(r.router));
        let route = |r: &mozim::DhcpV4ClasslessRoute| Route {
            // Bits behind the prefix would be refused by the kernel.
            destination: Ipv4Addr::from(u32::from(r.destination) & !host_bits(r.prefix_length)),
            prefix: r.prefix_length,
            gateway: r.router,
        };
        return sound.map(route).take(ROUTES_LIMIT).collect();
    }
    let first = lease.gateways.iter().flatten().copied().find(|ip| sound(*ip));
    first.map(|gateway| Route { destination: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway }).into_iter().collect()
}

/// A name as DNS has it, in small letters; `None` for anything else, such as one that would begin a line of its own.
fn domain(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (name.len() <= NAME_LIMIT && name.split('.').all(is_label)).then_some(name)
}

/// The first part of a name, which is the machine's own.
fn host_label(name: &str) -> Option<String> {
    let name = domain(name)?;
    let first = name.split('.').next().unwrap_or_default();
    (first != "localhost").then(|| first.to_owned())
}

fn is_label(label: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=LABEL_LIMIT).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(sound)
}

fn span(seconds: u32) -> String {
    match seconds {
        u32::MAX => "ever".to_owned(),
        s if s >= 7200 => format!("{} h", s / 3600),
        s if s >= 120 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lease(address: [u8; 4], mask: [u8; 4]) -> DhcpV4Lease {
        let mut lease = DhcpV4Lease::default();
        (lease.yiaddr, lease.subnet_mask) = (address.into(), mask.into());
        (lease.t1_sec, lease.t2_sec, lease.lease_time_sec) = (1800, 3150, 3600);
        lease.srv_id = [192, 168, 1, 1].into();
        lease
    }

    const MASK: [u8; 4] = [255, 255, 255, 0];

    #[test]
    fn a_sound_lease_is_taken_whole() {
        let mut l = lease([192, 168, 1, 23], MASK);
        l.gateways = Some(vec![[192, 168, 1, 1].into()]);
        l.dns_srvs = Some(vec![[192, 168, 1, 1].into(), [9, 9, 9, 9].into()]);
        l.domain_name = Some("Farm.example.".to_owned());
        l.host_name = Some("rig-7.farm.example".to_owned());
        let g = Grant::of(&l).expect("sound");
        assert_eq!(g.shown(), "address 192.168.1.23/24, gateway 192.168.1.1, from 192.168.1.1 for 60 min");
        assert_eq!((g.dns.len(), g.search, g.host_name), (2, vec!["farm.example".to_owned()], Some("rig-7".to_owned())));
    }

    #[test]
    fn addresses_and_masks_that_no_host_has_are_refused() {
        for ip in [[0, 0, 0, 0], [0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255, 255, 255, 255]] {
            assert_eq!(Grant::of(&lease(ip, MASK)), Err(Refused::Address(ip.into())));
        }
        for last in [0, 255] {
            assert!(matches!(Grant::of(&lease([10, 0, 0, last], MASK)), Err(Refused::Edge(..))), "{last}");
        }
        for mask in [[255, 0, 255, 0], [0, 0, 0, 255], [128, 0, 0, 0], [254, 0, 0, 0]] {
            assert_eq!(Grant::of(&lease([10, 0, 0, 9], mask)), Err(Refused::Mask(mask.into())));
        }
        for (ip, prefix) in [([10, 0, 0, 9], 8), ([172, 16, 0, 9], 16), ([192, 168, 0, 9], 24)] {
            assert_eq!(Grant::of(&lease(ip, [0; 4])).expect("a mask of old").prefix, prefix);
        }
    }

    #[test]
    fn absurd_times_are_refused_or_set_right() {
        let mut l = lease([10, 0, 0, 9], MASK);
        assert_eq!(renewal(&l), None, "its own times are sound");
        l.lease_time_sec = 9;
        assert_eq!(Grant::of(&l), Err(Refused::Short(9)));
        (l.t1_sec, l.t2_sec, l.lease_time_sec) = (1, 2, 100);
        assert_eq!(renewal(&l), Some((50, 84)));
        (l.t1_sec, l.t2_sec, l.lease_time_sec) = (u32::MAX / 2, u32::MAX / 8 * 7, u32::MAX);
        assert_eq!(renewal(&l), Some((RENEW_MAX, u32::MAX / 8 * 7)));
        assert!(Grant::of(&l).expect("for ever").shown().ends_with("for ever"));
    }

    #[test]
    fn a_gateway_is_a_neighbour_and_lists_are_short() {
        let mut l = lease([10, 0, 0, 9], MASK);
        let bad = [[10, 0, 0, 9], [10, 0, 1, 1], [0, 0, 0, 0], [10, 0, 0, 255], [127, 0, 0, 1]];
        l.gateways = Some(bad.into_iter().map(Ipv4Addr::from).collect());
        l.dns_srvs = Some((0..200).map(|n| Ipv4Addr::from([10, 0, 0, n])).collect());
        l.domain_search = Some((0..200).map(|n| format!("d{n}.example")).collect());
        let g = Grant::of(&l).expect("the rest is sound");
        assert_eq!((g.gateway(), g.dns.len(), g.search.len()), (None, DNS_LIMIT, SEARCH_LIMIT));
        l.gateways = Some(vec![[10, 0, 1, 1].into(), [10, 0, 0, 1].into()]);
        assert_eq!(Grant::of(&l).expect("sound").gateway(), Some([10, 0, 0, 1].into()));
        let mut one = lease([10, 0, 0, 9], [255; 4]);
        one.gateways = Some(vec![[172, 16, 0, 1].into()]);
        assert_eq!(Grant::of(&one).expect("as clouds do it").gateway(), Some([172, 16, 0, 1].into()));
    }

    #[test]
    fn names_that_are_none_are_left_out() {
        let long = "a".repeat(64);
        for bad in ["", ".", "a b", "a\nnameserver 6.6.6.6", "-a", "a-", "ä", "a..b", "a;reboot", "$(x)", long.as_str()] {
            assert_eq!((domain(bad), host_label(bad)), (None, None), "{bad:?}");
        }
        assert_eq!(host_label("localhost.localdomain"), None);
        assert_eq!(default_host_name([2, 0, 0, 0xab, 0, 0x1f]), "otedama-ab001f");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_sound(ip: [u8; 4], mask in 0u32..=32, t: u32, name in "\\PC{0,80}", hops: Vec<[u8; 4]>) {
            let mut l = lease(ip, Ipv4Addr::from(!host_bits(mask as u8)).octets());
            (l.lease_time_sec, l.host_name) = (t, Some(name.clone()));
            l.domain_name = Some(name);
            l.gateways = Some(hops.iter().copied().map(Ipv4Addr::from).collect());
            if let Ok(g) = Grant::of(&l) {
                prop_assert!(is_host(g.address) && (8..=32).contains(&g.prefix) && g.seconds >= LEASE_MIN);
                prop_assert!(g.gateway() != Some(g.address));
                prop_assert!(g.search.iter().chain(&g.host_name).all(|n| n.bytes().all(|b| b.is_ascii_graphic())));
            }
            if let Some((t1, t2)) = renewal(&l) {
                prop_assert!(0 < t1 && t1 < t2 && t2 < l.lease_time_sec);
            }
        }
    }
}
