//! The address of a pool: scheme, host and port, nothing else. Not here: names are resolved where the connection is made.

/// How a pool is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `stratum+tcp`: Stratum v1 in the clear.
    Tcp,
    /// `stratum+tls`: Stratum v1 within TLS.
    Tls,
    /// `stratum2+tcp`: Stratum v2.
    V2,
}

impl Scheme {
    /// As it is written in front of `://`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Scheme::Tcp => "stratum+tcp",
            Scheme::Tls => "stratum+tls",
            Scheme::V2 => "stratum2+tcp",
        }
    }
}

/// The address of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme that we know.
    #[error("'{0}' does not begin with stratum+tcp://, stratum+tls:// or stratum2+tcp://")]
    Scheme(String),
    /// The host is missing or holds what no host holds.
    #[error("'{0}' is not a host")]
    Host(String),
    /// The port is missing or not a number from 1 to 65535.
    #[error("'{0}' does not end with a port from 1 to 65535")]
    Port(String),
    /// Well formed, but this program does not speak it yet.
    #[error("{} is not supported yet; use stratum+tcp://", .0.word())]
    Unsupported(Scheme),
}

/// Longest host name, by DNS.
const HOST_LIMIT: usize = 253;

impl Url {
    /// Reads `stratum+tcp://host:port`. A trailing `/` is let pass.
    ///
    /// # Errors
    /// Names the part that is wrong. A scheme that is not supported yet parses; see [`Url::supported`].
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let schemes = [Scheme::Tcp, Scheme::Tls, Scheme::V2];
        let (word, rest) = text.split_once("://").ok_or_else(|| UrlError::Scheme(text.to_owned()))?;
        let scheme =
            schemes.into_iter().find(|s| s.word().eq_ignore_ascii_case(word)).ok_or_else(|| UrlError::Scheme(text.to_owned()))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| UrlError::Port(text.to_owned()))?;
        let port = Some(port).filter(|p| p.bytes().all(|b| b.is_ascii_digit())).and_then(|p| p.parse().ok()).filter(|p| *p != 0);
        let port = port.ok_or_else(|| UrlError::Port(text.to_owned()))?;
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let good = match inner {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
                (1..=HOST_LIMIT).contains(&host.len()) && host.bytes().all(good)
            }
        };
        if !good {
            return Err(UrlError::Host(host.to_owned()));
        }
        Ok(Url { scheme, host: inner.unwrap_or(host).to_owned(), port })
    }

    /// Whether this program can speak to it.
    ///
    /// # Errors
    /// [`UrlError::Unsupported`] names the scheme.
    pub fn supported(&self) -> Result<(), UrlError> {
        if self.scheme == Scheme::Tcp { Ok(()) } else { Err(UrlError::Unsupported(self.scheme)) }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme.word(), self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_come_back_as_they_were_written() {
        for text in ["stratum+tcp://pool.example:3333", "stratum+tcp://[::1]:1", "stratum+tls://10.0.0.1:65535"] {
            assert_eq!(Url::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Url::parse("stratum+tcp://a:1/").map(|u| u.port), Ok(1));
    }

    #[test]
    fn what_waits_is_named_unsupported() {
        for text in ["stratum+tls://a:1", "stratum2+tcp://a:1"] {
            let url = Url::parse(text).expect(text);
            assert_eq!(url.supported(), Err(UrlError::Unsupported(url.scheme)));
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        assert!(matches!(Url::parse("http://a:1"), Err(UrlError::Scheme(_))));
        assert!(matches!(Url::parse("a:1"), Err(UrlError::Scheme(_))));
        for text in ["stratum+tcp://a", "stratum+tcp://a:", "stratum+tcp://a:0", "stratum+tcp://a:65536", "stratum+tcp://a:+1"] {
            assert!(matches!(Url::parse(text), Err(UrlError::Port(_))), "{text}");
        }
        for text in
            ["stratum+tcp://:1", "stratum+tcp://u@h:1", "stratum+tcp://h/p:1", "stratum+tcp://[x]:1", "stratum+tcp://::1:1"]
        {
            assert!(matches!(Url::parse(text), Err(UrlError::Host(_))), "{text}");
        }
    }
}
