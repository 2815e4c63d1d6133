//! What goes back to a client: a code, a type and bytes; and the one shape of every refusal.
//!
//! Not a framework: a route is a function from a [`Request`](tiny_http::Request) to an [`Answer`].

use serde::Serialize;
use std::io::Cursor;

/// An answer not yet written.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub code: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    message: &'a str,
    advice: &'a str,
}

impl Answer {
    /// A body of some type.
    pub fn new(code: u16, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { code, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    /// A JSON body.
    pub fn json<T: Serialize>(code: u16, value: &T) -> Answer {
        let body = serde_json::to_vec(value).expect("plain structs with string keys always have a JSON form");
        Answer::new(code, "application/json", body)
    }

    /// `{"error":{"code","message","advice"}}`.
    pub fn refusal(status: u16, code: &str, message: &str, advice: &str) -> Answer {
        Answer::json(status, &Refusal { error: Reason { code, message, advice } })
    }

    /// With one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// 404.
    pub fn not_found() -> Answer {
        Answer::refusal(404, "not-found", "There is nothing at this address.", "Start at / or at /api/status.")
    }

    /// 405, naming the methods that would do.
    pub fn method(allowed: &'static str) -> Answer {
        let message = "This address does not answer that method.";
        Answer::refusal(405, "method-not-allowed", message, &format!("Use {allowed}.")).with("Allow", allowed)
    }

    /// For tiny_http. The length is always sent, so that no client needs to understand chunks.
    pub fn into_response(self) -> tiny_http::Response<Cursor<Vec<u8>>> {
        let mut response =
            tiny_http::Response::from_data(self.body).with_status_code(self.code).with_chunked_threshold(usize::MAX);
        for (name, value) in COMMON.iter().map(|&(n, v)| (n, v)).chain(self.headers.iter().map(|(n, v)| (*n, v.as_str()))) {
            let header = tiny_http::Header::from_bytes(name, value).expect("our own header names and values are ASCII");
            response.add_header(header);
        }
        response
    }

    /// As bytes, for a client that never got as far as tiny_http.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Refused\r\nContent-Length: {}\r\nConnection: close\r\n", self.code, self.body.len());
        for (name, value) in COMMON.iter().map(|&(n, v)| (n, v)).chain(self.headers.iter().map(|(n, v)| (*n, v.as_str()))) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}

/// On every answer: live values are never kept, and nothing of ours is another page's to embed or to guess the type of.
const COMMON: [(&str, &str); 4] = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
];
