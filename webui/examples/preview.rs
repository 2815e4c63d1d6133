//! Serves the page with a made-up status, for looking at it: `cargo run -p webui --example preview [ADDRESS [STATE]]`.
//! STATE is `well`, `paused`, `troubled`, `nowhere` or `pool`.
//!
//! Not a simulation: only start and stop have an effect.

#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8088".to_owned());
    let state = words.next().unwrap_or_default();
    let status = |second, mining| match (mining, state.as_str()) {
        (false, _) => made_up::stopped(second),
        (true, "paused") => made_up::paused(second, model::PausedBy::Person),
        (true, "troubled") => made_up::troubled(second),
        (true, "nowhere") => made_up::nowhere(second),
        (true, "pool") => made_up::pool(second, 70),
        _ => made_up::well(second),
    };
    let view = webui::Shared::new(status(0, true));
    let (sender, commands) = sync_channel(4);
    let server = webui::serve(TcpListener::bind(address)?, view.clone(), sender)?;
    println!("http://{}", server.address());
    let mut mining = true;
    for second in 1.. {
        match commands.recv_timeout(Duration::from_secs(1)) {
            Ok(command) => mining = command == model::Command::Start,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        view.publish(status(second, mining));
    }
    Ok(())
}
