//! Who may ask: a page of ours, or a program; never a foreign page in a visitor's browser.
//!
//! Two attacks are met. DNS rebinding: a foreign name is made to point here, so `Host` must be an address, `localhost` or a name
//! from the settings. Cross-site requests: a foreign page makes the browser send a POST, so what a browser says of its origin
//! must be us. Not a sign-in: whoever can reach the port with a program of his own is let in.

use std::net::{Ipv4Addr, Ipv6Addr};

use tiny_http::{Header, Request};

use crate::answer::Answer;

/// The header that our page sets on each POST. A foreign page cannot set it without asking us first, which we never grant.
pub(crate) const OURS: &str = "X-Otedama";

/// The one value of a header, if it is there once.
fn header<'a>(headers: &'a [Header], name: &'static str) -> Option<&'a str> {
    headers.iter().find(|h| h.field.equiv(name)).map(|h| h.value.as_str().trim())
}

/// Refuses a `Host` that is not ours.
pub(crate) fn host(request: &Request, names: &[String]) -> Result<(), Answer> {
    if header(request.headers(), "Host").is_some_and(|h| is_ours(h, names)) {
        return Ok(());
    }
    let advice = "Use the machine's IP address, or a name that its settings allow.";
    Err(Answer::refusal(403, "host-refused", "The request is for another host.", advice))
}

/// Refuses a POST that a foreign page may have caused.
pub(crate) fn same_origin(request: &Request) -> Result<(), Answer> {
    if is_same_origin(request.headers()) {
        return Ok(());
    }
    let advice = "Use the machine's own page. A program sends no Origin and no form, or sets the header X-Otedama.";
    Err(Answer::refusal(403, "origin-refused", "The request comes from another page.", advice))
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => match host.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.parse::<Ipv4Addr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|n| n.eq_ignore_ascii_case(name))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_same_origin(headers: &[Header]) -> bool {
    let origin = header(headers, "Origin");
    let site = header(headers, "Sec-Fetch-Site");
    if site.is_some_and(|s| s != "same-origin") {
        return false;
    }
    if let Some(origin) = origin {
        let host = header(headers, "Host").unwrap_or_default();
        let of_origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        return of_origin.is_some_and(|o| !o.is_empty() && o.eq_ignore_ascii_case(host));
    }
    if site.is_some() || header(headers, OURS).is_some() {
        return true;
    }
    // Neither word: a program, or a browser too old to say. All browsers call themselves Mozilla, and a form has a form's type.
    let browser = header(headers, "User-Agent").is_some_and(|a| a.starts_with("Mozilla/"));
    let kind = header(headers, "Content-Type").unwrap_or_default().to_ascii_lowercase();
    let form = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"].iter().any(|f| kind.starts_with(f));
    !browser && !form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let names = ["miner.lan".to_owned()];
        for ours in ["127.0.0.1", "192.168.1.7:8080", "[::1]:8080", "[fe80::1]", "localhost", "LOCALHOST:80", "Miner.lan:8080"] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:x",
            "[::1",
            "[evil]",
            "[::1]x",
            "::1",
            "miner.lan@evil",
            "127.0.0.1:8080:1",
        ] {
            assert!(!is_ours(other, &names), "{other}");
        }
    }

    #[test]
    fn origins() {
        let table: [(&[(&str, &str)], bool); 14] = [
            (&[], true),
            (&[("User-Agent", "curl/8")], true),
            (&[("Origin", "http://10.0.0.1:8080")], true),
            (&[("Origin", "http://10.0.0.1:8080"), ("Sec-Fetch-Site", "same-origin")], true),
            (&[("Origin", "http://10.0.0.1:8080"), ("Sec-Fetch-Site", "cross-site")], false),
            (&[("Origin", "http://10.0.0.1")], false),
            (&[("Origin", "http://evil.example"), ("X-Otedama", "1")], false),
            (&[("Origin", "null")], false),
            (&[("Sec-Fetch-Site", "same-site")], false),
            (&[("Sec-Fetch-Site", "none")], false),
            (&[("User-Agent", "Mozilla/5.0 (old)")], false),
            (&[("User-Agent", "Mozilla/5.0 (old)"), ("X-Otedama", "1")], true),
            (&[("Content-Type", "text/plain;charset=UTF-8")], false),
            (&[("Content-Type", "application/json")], true),
        ];
        for (given, good) in table {
            let mut headers = vec![Header::from_bytes("Host", "10.0.0.1:8080").unwrap()];
            headers.extend(given.iter().map(|(n, v)| Header::from_bytes(*n, *v).unwrap()));
            assert_eq!(is_same_origin(&headers), good, "{given:?}");
        }
    }
}
