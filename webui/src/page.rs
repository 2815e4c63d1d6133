//! The page: one file with its style and script in it, and the policy that lets nothing else run.
//!
//! The policy names the hashes of exactly that style and script, so an injected one would not run. Not a template: every value
//! that is shown comes from `/api/status` and is set as text.

use sha2::{Digest, Sha256};

use crate::answer::Answer;

const HTML: &str = include_str!("page.html");

/// The page with its policy, computed once.
pub(crate) struct Page(String);

impl Page {
    pub fn new() -> Page {
        Page(format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest("script"),
            digest("style"),
        ))
    }

    pub fn answer(&self) -> Answer {
        Answer::new(200, "text/html; charset=utf-8", HTML)
            .with("Content-Security-Policy", self.0.as_str())
            .with("X-Frame-Options", "DENY")
    }
}

/// SHA-256 in base64 of what stands in the one element of that name.
fn digest(element: &str) -> String {
    base64(&Sha256::digest(inside(element).expect("the page has one style and one script")))
}

fn inside(element: &str) -> Option<&'static str> {
    let (_, rest) = HTML.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |w, i| w << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_known_words() {
        for (text, code) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }

    #[test]
    fn the_page_stands_alone_and_sets_only_text() {
        for element in ["style", "script"] {
            assert_eq!(HTML.matches(&format!("<{element}")).count(), 1, "{element}");
        }
        for never in
            ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", " style=\"", " src=", "@import", "url("]
        {
            assert!(!HTML.contains(never), "{never}");
        }
        let links = HTML.match_indices("http").filter(|(at, _)| !HTML[*at..].starts_with("http://www.w3.org/")).count();
        assert_eq!(links, 0, "no address outside the machine");
    }
}
