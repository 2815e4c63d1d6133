//! Serves the page with a made-up status, for looking at it: `cargo run -p webui --example preview [ADDRESS]`.
//!
//! Not a simulation: the numbers are drawn here, and only start and stop have an effect.

use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use model::*;

fn status(second: u64, mining: bool) -> Status {
    let wobble = |phase: f64| 1.0 + 0.03 * (second as f64 / 7.0 + phase).sin();
    let chains: Vec<ChainStatus> = (0..3u8)
        .map(|id| {
            let state = match (mining, id) {
                (false, _) => ChainState::Off,
                (true, 2) => ChainState::Ramping,
                (true, _) => ChainState::Hashing,
            };
            let expected = if mining { 34.6e12 } else { 0.0 };
            ChainStatus {
                id,
                state,
                chips: if id == 1 { 124 } else { 126 },
                chips_expected: 126,
                megahertz: if mining { 525.0 } else { 0.0 },
                volts: if mining { 13.8 } else { 0.0 },
                hashes_per_second: expected * wobble(f64::from(id)),
                expected_hashes_per_second: expected,
                chip_celsius: [Some(67.4), Some(78.2), None][usize::from(id)],
                ..ChainStatus::default()
            }
        })
        .collect();
    let fault = |code, place: &str, detail: &str| FaultStatus::from(&Fault { code, place: place.into(), detail: detail.into() });
    let shares = ShareCounts { accepted: 18_234 + second, rejected: 3, stale: 12 };
    let upstream = |url: &str, active, state: &str| UpstreamStatus {
        url: url.into(),
        active,
        state: state.into(),
        difficulty: "65536".into(),
        shares: if active { shares } else { ShareCounts::default() },
    };
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        product: "antminer-s19jpro".into(),
        simulated: true,
        mining,
        uptime_seconds: 93_784 + second,
        hashes_per_second: chains.iter().map(|c| c.hashes_per_second).sum(),
        expected_hashes_per_second: chains.iter().map(|c| c.expected_hashes_per_second).sum(),
        shares,
        best_difficulty: "48211934.25".into(),
        upstream: Some("stratum+tcp://pool.example.com:3333".into()),
        upstreams: vec![
            upstream("stratum+tcp://pool.example.com:3333", true, "connected"),
            upstream("stratum+tcp://spare.example.net:3333", false, "connecting"),
        ],
        chains,
        fans: (0..4).map(|id| FanStatus { id, duty_percent: 62.0, rpm: (id != 3).then_some(4_380.0) }).collect(),
        faults: vec![
            fault(FaultCode::SensorLost, "chain 2", "read TMP75 at 0x4a: no acknowledge"),
            fault(FaultCode::ChainShort, "chain 1", "124 of 126 chips"),
        ],
        pool: None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8088".to_owned());
    let view = webui::Shared::new(status(0, true));
    let (sender, commands) = sync_channel(4);
    let server = webui::serve(TcpListener::bind(address)?, view.clone(), sender)?;
    println!("http://{}", server.address());
    let mut mining = true;
    for second in 1.. {
        match commands.recv_timeout(Duration::from_secs(1)) {
            Ok(command) => mining = command == Command::Start,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        view.publish(status(second, mining));
    }
    Ok(())
}
