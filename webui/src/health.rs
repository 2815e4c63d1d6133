//! Health for a machine's keeper: 200 while it does what it was asked, 503 with the reasons while it does not.
//!
//! A miner that was told to stop or to pause is well. One that is asked to mine and finds nothing is not, bring-up included, because a
//! keeper waits for hash power and not for a process. Not a list of everything: a fault that mining survives leaves it well.

use std::net::TcpListener;

use model::{FaultStatus, Status};
use serde::Serialize;

use crate::Shared;
use crate::answer::Answer;
use crate::route::{Options, is_read, path};
use crate::server::{Error, Server};

/// Serves health on `listener`, at `/`, `/health` and `/healthz`.
pub fn serve_health(listener: TcpListener, view: Shared) -> Result<Server, Error> {
    let Options { limits, directory, .. } = Options::default();
    Server::start(listener, limits, &directory, move |request| match path(request) {
        "/" | "/health" | "/healthz" if is_read(request) => health(&view.latest()),
        "/" | "/health" | "/healthz" => Answer::method("GET, HEAD"),
        _ => Answer::refusal(404, "not-found", "There is nothing at this address.", "Ask for /health."),
    })
}

#[derive(Serialize)]
struct Well {
    status: &'static str,
}

#[derive(Serialize)]
struct Unwell<'a> {
    status: &'static str,
    mining_asked: bool,
    hashes_per_second: f64,
    faults: &'a [FaultStatus],
}

fn health(s: &Status) -> Answer {
    let idle = s.mining && !s.paused && s.hashes_per_second <= 0.0;
    let critical = s.faults.iter().any(|f| f.severity == "critical");
    if !idle && !critical {
        return Answer::json(200, &Well { status: "ok" });
    }
    let status = if critical { "critical" } else { "not-mining" };
    let answer = Unwell { status, mining_asked: s.mining, hashes_per_second: s.hashes_per_second, faults: &s.faults };
    Answer::json(503, &answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Fault, FaultCode};

    fn status(mining: bool, rate: f64, fault: Option<FaultCode>) -> Status {
        let faults = fault.map(|code| FaultStatus::from(&Fault { code, place: "chain 1".into(), detail: String::new() }));
        Status { mining, hashes_per_second: rate, faults: faults.into_iter().collect(), ..Status::default() }
    }

    #[test]
    fn a_pause_is_well_and_what_is_critical_is_not() {
        let paused = |fault| Status { paused: true, ..status(true, 0.0, fault) };
        assert_eq!(health(&paused(None)).code, 200);
        assert_eq!(health(&paused(Some(FaultCode::TooFewFans))).code, 503);
    }

    #[test]
    fn well_or_not() {
        for (mining, rate, fault, code, word) in [
            (true, 1e12, None, 200, "ok"),
            (false, 0.0, None, 200, "ok"),
            (true, 1e12, Some(FaultCode::ChainShort), 200, "ok"),
            (true, 0.0, None, 503, "not-mining"),
            (true, 0.0, Some(FaultCode::NoUpstream), 503, "no-upstream"),
            (true, 1e12, Some(FaultCode::TooFewFans), 503, "too-few-fans"),
            (false, 0.0, Some(FaultCode::TooFewFans), 503, "critical"),
        ] {
            let answer = health(&status(mining, rate, fault));
            assert_eq!(answer.code, code, "{mining} {rate} {fault:?}");
            assert!(String::from_utf8(answer.body).unwrap().contains(word), "{word}");
        }
    }
}
