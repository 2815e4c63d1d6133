//! What other programs learn of the network by files and names: `resolv.conf`, and the machine's host name.

use super::lease::{DNS_LIMIT, Grant, SEARCH_LIMIT};
use std::fs;
use std::io;
use std::path::Path;

/// The text of `resolv.conf` for all grants, the first one's servers first.
pub fn resolv_conf<'a>(grants: impl Iterator<Item = &'a Grant> + Clone) -> String {
    let mut text = "# Written by otedama init.\n".to_owned();
    let mut search: Vec<&str> = vec![];
    for name in grants.clone().flat_map(|g| &g.search) {
        if search.len() < SEARCH_LIMIT && !search.contains(&name.as_str()) {
            search.push(name);
        }
    }
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    let mut servers = vec![];
    for ip in grants.flat_map(|g| &g.dns) {
        if servers.len() < DNS_LIMIT && !servers.contains(ip) {
            servers.push(*ip);
            text += &format!("nameserver {ip}\n");
        }
    }
    text
}

/// Writes a file whole or not at all: a resolver that reads meanwhile sees the old one or the new one.
///
/// # Errors
/// The folder cannot be written.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

/// Sets the host name; `false` where it was that already.
///
/// # Errors
/// Only root may.
pub fn set_host_name(name: &str) -> io::Result<bool> {
    if rustix::system::uname().nodename().to_bytes() == name.as_bytes() {
        return Ok(false);
    }
    rustix::system::sethostname(name.as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(dns: &[u8], search: &[&str]) -> Grant {
        Grant {
            address: [10, 0, 0, 9].into(),
            prefix: 24,
            seconds: 60,
            server: [10, 0, 0, 1].into(),
            routes: vec![],
            dns: dns.iter().map(|n| [10, 0, 0, *n].into()).collect(),
            search: search.iter().map(|s| (*s).to_owned()).collect(),
            host_name: None,
        }
    }

    #[test]
    fn two_networks_share_one_file_within_the_resolvers_limits() {
        let two = [grant(&[1, 2], &["a.example"]), grant(&[2, 3, 4], &["a.example", "b.example"])];
        let text = resolv_conf(two.iter());
        let wanted = "search a.example b.example\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        assert_eq!(text.split_once('\n').map(|(_, rest)| rest), Some(wanted));
        assert_eq!(resolv_conf([].iter()).lines().count(), 1);
    }

    #[test]
    fn a_file_is_written_whole() {
        let path = std::env::temp_dir().join(format!("otedama-resolv-{}.conf", std::process::id()));
        for text in ["a\n", "b\n", "b\n"] {
            write_whole(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        fs::remove_file(&path).expect("removed");
        assert!(write_whole(Path::new("/nonexistent/resolv.conf"), "").is_err());
    }
}
