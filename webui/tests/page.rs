//! The page in a real browser: what a person reads, clicks and hears read out, for machines that are made up.
//!
//! A real machine behind the page is `firmware/supervisor/tests/page.rs`. Pictures are kept in `target/screenshots`.

mod chromium;
mod made_up;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use chromium::{Browser, PATIENCE};
use model::{Command, PausedBy, Status};
use serde_json::{Value, json};
use webui::{Server, Shared, serve};

/// How much of the window may move by itself; Chromium calls up to 0.1 good.
const SHIFT_LIMIT: f64 = 0.05;
/// Texts whose contrast to what is behind them is below 4.5, what WCAG 2 calls AA.
const FAINT: &str = "(() => {
    const light = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    const luma = c => { const [r, g, b] = light(c); return .2126 * r + .7152 * g + .0722 * b; };
    const parts = c => c.match(/[\\d.]+/g).map(Number);
    const faint = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
        if (!own || !e.checkVisibility() || e.closest('script, style, noscript')) continue;
        let behind = e, back;
        do { back = parts(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; } while (behind && back[3] === 0);
        const [a, b] = [parts(getComputedStyle(e).color), back].map(luma).sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${own}`);
    }
    return faint;
})()";

fn start(name: &str, status: Status) -> (Browser, Server, Shared, Receiver<Command>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let kept = listener.try_clone().expect("the port once more");
    let view = Shared::new(status);
    let (sender, commands) = sync_channel(4);
    let server = serve(listener, view.clone(), sender).expect("it serves");
    let mut browser = Browser::start(name);
    browser.open(&format!("http://{}/", server.address()));
    (browser, server, view, commands, kept)
}

/// What must hold of the page whatever it shows.
fn sound(browser: &mut Browser, server: &Server) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let base = format!("http://{}/", server.address());
    let foreign: Vec<_> = browser.requests().iter().filter(|u| !u.starts_with(&base) && !u.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "asked elsewhere: {foreign:?}");
}

/// Nothing is wider than the window or sticks out of its card.
fn fits(browser: &mut Browser, width: u32) {
    let wide = browser.value("document.documentElement.scrollWidth").as_u64().expect("a number");
    let widest = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => \
                  `${e.tagName} ${e.id} ${e.className} ${e.textContent.slice(0, 30)}`).slice(-3)";
    assert!(wide <= u64::from(width), "{wide} pixels of {width}, the innermost: {}", browser.value(widest));
    let out = "[...document.querySelectorAll('.card')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)";
    assert_eq!(browser.value(out), Value::Array(Vec::new()), "sticks out at {width}");
}

/// While only numbers change nothing moves.
fn still(browser: &mut Browser) {
    let shifts = browser.value("window.shifts").as_f64().expect("a number");
    assert!(shifts < SHIFT_LIMIT, "the page jumped by {shifts}");
}

#[test]
fn a_running_machine_is_read_and_stopped_and_started_by_mouse() {
    let (mut browser, server, view, commands, _) = start("page-well", made_up::well(0));
    browser.reads(&["103.8 TH/s", "18,234", "pool.example.com:3333", "antminer-s19jpro", "1 d 2 h"]);
    browser.reads(&[
        "34.60 TH/s",
        "126 / 126",
        "66.4 °C",
        "4,380 rpm",
        "525 MHz",
        "13.80 V",
        "48.21 M",
        "6,078",
        "2 threads, 17.00 MH/s, < 0.01 % of the whole",
        "CPU 1",
    ]);
    view.publish(made_up::well(60));
    browser.reads(&["18,294"]);
    browser.click("#button");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Stop));
    browser.reads(&["Stopping"]);
    view.publish(made_up::stopped(61));
    browser.reads(&["Stopped", "Start mining"]);
    browser.click("#button");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Start));
    view.publish(made_up::well(62));
    browser.reads(&["Mining", "Stop mining"]);
    sound(&mut browser, &server);
    still(&mut browser);
    browser.keep("well");
}

#[test]
fn a_pause_is_read_with_who_wants_it_and_resumed_or_stopped() {
    let (mut browser, server, view, commands, _) = start("page-paused", made_up::paused(0, PausedBy::Person));
    browser.reads(&["Paused by a person.", "Resume mining", "Stop mining"]);
    for (name, width) in [("paused", 1100), ("paused-phone", 390)] {
        browser.look_like(width, "light");
        fits(&mut browser, width);
        assert_eq!(browser.value(FAINT), Value::Array(Vec::new()), "{width}");
        browser.keep(name);
    }
    browser.value("document.getElementById('resume').focus()");
    browser.press("Enter", 13, "\r");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Resume));
    browser.reads(&["Resuming"]);
    view.publish(made_up::well(1));
    browser.reads(&["All is well.", "Mining"]);
    assert_eq!(browser.value("document.getElementById('resume').checkVisibility()"), false);
    assert_eq!(browser.value("document.activeElement.id"), "button", "the focus is not lost with what had it");

    view.publish(made_up::paused(2, PausedBy::Hours));
    browser.reads(&["Paused by the hours of the settings.", "Resume mining"]);
    browser.click("#button");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Stop));
    view.publish(made_up::stopped(3));
    browser.reads(&["Stopped", "Start mining"]);
    assert_eq!(browser.value("document.getElementById('resume').checkVisibility()"), false);
    sound(&mut browser, &server);
}

#[test]
fn trouble_is_read_with_its_place_and_advice_in_every_look() {
    let status = made_up::troubled(0);
    let faults = status.faults.clone();
    let (mut browser, server, _view, _commands, _) = start("page-troubled", status);
    browser.reads(&["SIMULATED", "unknown", "no speed", "93.0 °C"]);
    for f in &faults {
        browser.reads(&[&f.title, &f.advice, &f.place, &f.detail]);
    }
    for (name, width, scheme) in [("light", 1100, "light"), ("dark", 1100, "dark"), ("phone", 390, "light")] {
        browser.look_like(width, scheme);
        fits(&mut browser, width);
        assert_eq!(browser.value(FAINT), Value::Array(Vec::new()), "{scheme}");
        browser.keep(&format!("troubled-{name}"));
    }
    sound(&mut browser, &server);
}

#[test]
fn the_keyboard_and_a_screen_reader_get_everywhere() {
    let (mut browser, server, view, commands, _) = start("page-reader", made_up::well(0));
    browser.reads(&["All is well.", "Stop mining"]);
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes: Vec<_> = tree["nodes"].as_array().expect("nodes").iter().filter(|n| n["ignored"] == false).collect();
    let has = |role: &str, name: &str| nodes.iter().any(|n| n["role"]["value"] == role && n["name"]["value"] == name);
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("contentinfo", ""),
        ("heading", "Otedama"),
        ("button", "Stop mining"),
        ("region", "Hash rate"),
        ("region", "Hashboards"),
        ("columnheader", "Voltage"),
        ("rowheader", "Chain 2"),
    ] {
        assert!(has(role, name), "no {role} '{name}'");
    }

    // What is read out is read once, not with every number that changes.
    browser.value(
        "window.said = 0; for (const e of document.querySelectorAll('[role=status], [role=alert]')) new MutationObserver(all => \
         window.said += all.length).observe(e, { characterData: true, childList: true, subtree: true })",
    );
    view.publish(made_up::well(33));
    browser.reads(&["18,267"]);
    assert_eq!(browser.value("window.said"), 0);

    still(&mut browser);

    browser.press("Tab", 9, "");
    assert_eq!(browser.value("document.activeElement.id"), "button");
    browser.press("Enter", 13, "\r");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Stop));
    view.publish(made_up::stopped(34));
    browser.reads(&["Start mining", "Hash power is off"]);
    assert_eq!(browser.value("document.activeElement.id"), "button", "the focus stays where it was");
    browser.press(" ", 32, " ");
    assert_eq!(commands.recv_timeout(PATIENCE), Ok(Command::Start));
    view.publish(made_up::well(35));
    browser.reads(&["Stop mining"]);
    sound(&mut browser, &server);
}

#[test]
fn a_machine_without_work_and_one_that_is_a_pool_say_so() {
    let (mut browser, server, view, _commands, _) = start("page-pool", made_up::nowhere(0));
    browser.reads(&["No pool is set", "Add a pool under 'upstreams'", "no pool", "none is expected now"]);
    view.publish(made_up::pool(1, 70));
    let text = browser.reads(&["own pool: 70", "rig0.worker", made_up::HOSTILE, "0.0000305", "and 20 more"]);
    assert!(!text.contains("No pool is set"), "{text}");
    browser.look_like(390, "dark");
    fits(&mut browser, 390);
    browser.keep("pool-phone-dark");
    view.publish(made_up::pool(2, 0));
    browser.reads(&["own pool: 0", "Nobody is connected"]);
    sound(&mut browser, &server);
}

#[test]
fn a_foreign_page_can_neither_command_nor_read_nor_embed() {
    let (mut browser, server, _view, commands, _) = start("page-foreign", made_up::well(0));
    browser.reads(&["Stop mining"]);
    // Another origin on the same host is the hardest case: a browser calls it the same site.
    let page = format!("http://{}", server.address());
    let foreign = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = foreign.local_addr().expect("its address");
    let body = format!(
        "<!doctype html><title>foreign</title><iframe src='{page}/'></iframe><form method=post action='{page}/api/mining/stop'></form>"
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for stream in foreign.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
            });
        }
    });
    browser.open(&format!("http://{address}/"));
    let deadline = Instant::now() + PATIENCE;
    while browser.value("document.title") != "foreign" {
        assert!(Instant::now() < deadline, "the foreign page never came");
    }
    for mode in ["no-cors", "cors"] {
        let post = format!("fetch('{page}/api/mining/stop', {{ method: 'POST', mode: '{mode}' }})");
        assert_eq!(browser.value(&format!("{post}.then(a => 'read', e => 'refused')")), "refused", "{mode}");
    }
    let sent = browser.requests().iter().filter(|u| u.ends_with("/api/mining/stop")).count();
    assert_eq!(sent, 2, "the browser did send them");
    assert_eq!(browser.value(&format!("fetch('{page}/api/status').then(a => 'read', e => 'refused')")), "refused");
    assert_eq!(browser.value("document.querySelector('iframe').contentDocument"), Value::Null);
    browser.value("document.forms[0].submit()");
    browser.reads(&["origin-refused"]);
    assert!(commands.try_recv().is_err(), "a foreign page stopped the miner");
    drop(server);
}

#[test]
fn a_name_that_looks_like_script_is_text() {
    let mut status = made_up::troubled(0);
    let hostile = made_up::HOSTILE;
    let (pool, fault) = (&mut status.upstreams[0], &mut status.faults[0]);
    let sensor = &mut status.chains[0].sensors[0].place;
    let texts = [&mut pool.url, &mut pool.state, &mut fault.detail, &mut fault.place, sensor];
    for text in texts.into_iter().chain([&mut status.product, &mut status.version]) {
        *text = hostile.to_owned();
    }
    status.upstream = Some(hostile.to_owned());
    let mut long = made_up::pool(1, 2);
    let word = "W".repeat(3_000);
    for text in [&mut long.upstreams[0].url, &mut long.chains[0].sensors[0].place, &mut long.product, &mut long.version] {
        text.clone_from(&word);
    }
    (long.upstream, long.best_difficulty) = (Some(word.clone()), word.clone());
    long.faults.push(model::FaultStatus { title: word.clone(), place: word.clone(), detail: word.clone(), ..Default::default() });
    long.pool.iter_mut().flatten().for_each(|w| w.name.clone_from(&word));
    let (mut browser, server, view, _commands, _) = start("page-hostile", status);
    browser.reads(&[hostile]);
    assert!(browser.value("typeof window.hacked") == "undefined");
    assert_eq!(browser.value("document.querySelectorAll('main img, main script').length"), 0);
    browser.look_like(390, "light");
    fits(&mut browser, 390);
    view.publish(long);
    browser.reads(&["WWWWW"]);
    fits(&mut browser, 390);
    sound(&mut browser, &server);
}

#[test]
fn a_lost_connection_is_said_and_found_again() {
    let (mut browser, server, view, _commands, kept) = start("page-lost", made_up::well(0));
    browser.reads(&["18,234"]);
    server.stop();
    browser.reads(&["Connection lost"]);
    assert!(browser.value("document.title").as_str().expect("text").contains("connection lost"));
    browser.keep("lost");
    view.publish(made_up::well(5));
    let (sender, _commands) = sync_channel(1);
    let server = serve(kept, view, sender).expect("it serves");
    browser.until("that it is back", |t| t.contains("18,239") && !t.contains("Connection lost"));
    // A browser notes a request that nobody answered; nothing else is amiss.
    let others: Vec<_> = browser.complaints().into_iter().filter(|c| !c.contains("/api/status")).collect();
    assert_eq!(others, Vec::<String>::new());
    drop(server);
}
