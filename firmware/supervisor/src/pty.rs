//! `otedama simulate PRODUCT --pty`: a simulated machine in real time, for a firmware in another process or in QEMU, until SIGTERM or
//! SIGINT. Its first line says where it is, in the words of the settings, and which faults can be put into it. Not here: the machine, and what a person does to it.

use crate::commands;
use crate::simulated::RealTime;
use anyhow::Context;
use model::Product;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// Serves it until it is told to stop.
///
/// # Errors
/// No pty, socket or signal can be had.
pub fn run(product: &Product, seed: u64, vhost_user: Option<&Path>) -> anyhow::Result<()> {
    let socket = std::env::temp_dir().join(format!("otedama-{}-{}.sock", product.name, std::process::id()));
    // Signals are caught before anything is made that they would leave behind.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("start the wait for signals")?;
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        let caught = |kind| signal(kind).context("catch signals");
        (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?)
    };
    let mut machine = RealTime::open(product, seed, &socket)?;
    let mut described = devices(product, &machine);
    if let Some(folder) = vhost_user
        && let Some(sockets) = machine.open_vhost_user(folder)?
    {
        described["vhost_user"] = serde_json::json!({ "i2c": sockets.i2c(), "gpio": sockets.gpio() });
    }
    if let Some(folder) = vhost_user {
        machine.open_usb(product, seed, folder, |why| eprintln!("otedama: {why}"))?;
        described["usb"] = machine.usb().map(|path| path.display().to_string()).collect();
    }
    let by_hand = machine.by_hand(product, seed);
    described["faults"] = serde_json::json!(by_hand.told());
    let mut out = std::io::stdout();
    writeln!(out, "{described}")?;
    out.flush()?;
    commands::listen(machine.world(), by_hand, product.hashboards.len()).context("start the wait for commands")?;
    let (stop, stopped) = UnixStream::pair().context("open the way to stop")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            });
            // Its end is the word to stop.
            drop(stop);
        })
        .context("start the wait for signals")?;
    machine.run(&stopped).context("serve the simulated machine")
}

/// `mining.asic.devices` of the settings, as JSON, which is YAML as well.
fn devices(product: &Product, machine: &RealTime) -> serde_json::Value {
    let device = serde_json::json!({
        "product": product.name,
        "ttys": machine.ttys().collect::<Vec<_>>(),
        "i2c": machine.control(),
        "gpio": machine.control(),
        "simulated": true,
    });
    serde_json::json!({ "devices": [device] })
}
