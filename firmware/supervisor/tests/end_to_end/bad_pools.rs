//! Pools that send what they must not, or nothing: each is named with its error, the next one is mined for, and the first again
//! once it is well.
//!
//! Time goes into failover's own waits: 30 s until a pool that is back counts as lasting, 15 s for a greeting that never comes,
//! 20 shares of one thread. The way back from 20 refused shares and from missing jobs takes two minutes more; `sim` has it in
//! virtual time (`safety.rs`).

use crate::bench::{self, CPU, IDLE, Serve, accepted, faults};
use crate::peer::{Peer, Way, difficulty, job};
use serde_json::Value;
use std::fmt::Write;

/// An honest pool: a second `otedama` that has the practice coin and no hash power.
fn honest(name: &str) -> Serve {
    Serve::start(&bench::folder(name), &format!("{IDLE}pool: {{enable: true, address: '127.0.0.1:0', coins: [practice]}}\n"))
}

/// A miner of these pools, in this order.
fn miner(name: &str, urls: &[String]) -> Serve {
    let mut settings = format!("{CPU}pool: {{enable: false, coins: []}}\nupstreams:\n");
    for (i, url) in urls.iter().enumerate() {
        writeln!(settings, "  - {{url: '{url}', user: 'rig.{i}'}}").expect("text");
    }
    Serve::start(&bench::folder(name), &settings)
}

fn mines_for(status: &Value, upstream: usize) -> bool {
    status["upstreams"][upstream]["active"] == true
}

/// Whether the fault of this upstream is there, with advice and these words.
fn named(status: &Value, upstream: usize, code: &str, words: &str) -> bool {
    faults(status, &format!("upstream {upstream}")).iter().any(|f| {
        let advised = f["advice"].as_str().is_some_and(|a| !a.is_empty());
        f["code"] == code && advised && f["detail"].as_str().is_some_and(|d| d.contains(words))
    })
}

fn words(lines: &str) -> Way {
    Way::Say(lines.as_bytes().to_vec())
}

/// Pools that are seen to be bad at once, with the fault's code and words of its detail.
fn bad_at_once() -> Vec<(&'static str, Way, &'static str, &'static str)> {
    let offer = |lines: String| Way::Offer(lines);
    let hash = "ab".repeat(32);
    let branch = |hashes: Vec<&str>| offer(difficulty("1") + &job(&format!("{hashes:?}")));
    vec![
        ("garbage", Way::Say(b"\xff\xfe\x00{]\n\n\n".to_vec()), "upstream-protocol", "not a Stratum message"),
        ("a web server", words("HTTP/1.1 400 Bad Request\r\n\r\n"), "upstream-protocol", "not a Stratum message"),
        ("an endless line", Way::Say(vec![b'x'; 200_000]), "upstream-protocol", "(limit 65536)"),
        ("deep JSON", words(&("[".repeat(1000) + "\n")), "upstream-protocol", "nested"),
        ("difficulty 0", offer(difficulty("0")), "upstream-protocol", "above zero"),
        ("difficulty -1", offer(difficulty("-1")), "upstream-protocol", "difficulty"),
        ("difficulty NaN", offer(difficulty("NaN")), "upstream-protocol", "not a Stratum message"),
        ("difficulty 'nan'", offer(difficulty("\"nan\"")), "upstream-protocol", "'nan'"),
        ("an odd branch", branch(vec![&hash, &hash[1..]]), "upstream-protocol", "merkle branch"),
        ("a short branch", branch(vec![&hash[2..]]), "upstream-protocol", "merkle branch"),
        ("no hex in a branch", branch(vec![&hash.replace('a', "g")]), "upstream-protocol", "merkle branch"),
        ("a branch of 300", branch(vec![&hash; 300]), "upstream-protocol", "merkle branch of 300 hashes"),
        ("hangs up", Way::HangUp, "upstream-down", "closed the connection"),
    ]
}

#[test]
fn pools_that_send_what_they_must_not_are_named_passed_over_and_returned_to() {
    let honest = honest("bad-honest");
    let rows = bad_at_once();
    let mut peers: Vec<Peer> = rows.iter().map(|(_, way, ..)| Peer::new(way.clone())).collect();
    peers.push(Peer::absent());
    let absent = rows.len();
    let last = peers.len();
    let good = format!("stratum+tcp://{}", honest.address("pool"));
    let urls: Vec<String> = peers.iter().map(Peer::url).chain([good]).collect();
    assert!(urls.len() <= 16, "as many as the settings allow");
    let miner = miner("bad-miner", &urls);

    for (i, (name, _, code, words)) in rows.iter().enumerate() {
        let status = miner.until(&format!("{name} is named"), |s| named(s, i, code, words));
        assert_eq!(status["upstreams"][i]["url"], urls[i].as_str());
    }
    miner.until("a refused connection is named", |s| named(s, absent, "upstream-down", "refused"));
    miner.until("the good pool is mined for", |s| mines_for(s, last));

    let way = || Way::Honest(honest.address("pool"));
    peers[..absent].iter().for_each(|p| p.be(way()));
    peers[absent].listen(way());
    // All within the 30 s that none of them lasts yet, so that none is left before it was seen to be well.
    miner.until("each is well again", |s| s["faults"].as_array().is_some_and(Vec::is_empty));
    miner.until("the first is mined for again", |s| mines_for(s, 0));
    let status = miner.until("it takes our shares", |s| accepted(s, 0) > 0);
    assert!(accepted(&status, last) > 0, "the good pool took shares while there was no other: {status:#}");
    assert_eq!((&status["shares"]["rejected"], faults(&status, "upstream 0").len()), (&0.into(), 0), "{status:#}");
    let workers = honest.status()["pool"].to_string();
    assert!(workers.contains("rig.0") && workers.contains(&format!("rig.{last}")), "{workers}");
    miner.end();
    honest.end();
}

#[test]
fn a_pool_that_says_nothing_is_named_passed_over_and_returned_to() {
    let honest = honest("mute-honest");
    let mute = Peer::new(Way::Mute);
    let miner = miner("mute-miner", &[mute.url(), format!("stratum+tcp://{}", honest.address("pool"))]);
    miner.until("it is named", |s| named(s, 0, "upstream-down", "greeting within 15 s"));
    miner.until("the second takes our shares", |s| mines_for(s, 1) && accepted(s, 1) > 0);
    mute.be(Way::Honest(honest.address("pool")));
    miner.until("the first takes our shares again", |s| mines_for(s, 0) && accepted(s, 0) > 0);
    assert_eq!(faults(&miner.status(), "upstream 0"), Vec::<&Value>::new());
    miner.end();
    honest.end();
}

#[test]
fn a_pool_that_refuses_20_shares_in_a_row_is_named_and_passed_over() {
    let honest = honest("refuse-honest");
    let lines = difficulty("0.000000001") + &job("[]");
    let refusing = Peer::new(Way::Refuse(lines, "[20,\"worker is banned\",null]"));
    let miner = miner("refuse-miner", &[refusing.url(), format!("stratum+tcp://{}", honest.address("pool"))]);
    let status = miner.until("it is named", |s| named(s, 0, "upstream-rejects", "worker is banned"));
    assert_eq!(status["upstreams"][0]["shares"]["accepted"], 0);
    assert!(status["upstreams"][0]["shares"]["rejected"].as_u64() >= Some(20), "{status:#}");
    miner.until("the second takes our shares", |s| mines_for(s, 1) && accepted(s, 1) > 0);
    miner.end();
    honest.end();
}

#[test]
fn a_pool_without_jobs_is_named_and_passed_over() {
    let honest = honest("jobless-honest");
    let jobless = Peer::new(Way::Offer(difficulty("1")));
    let miner = miner("jobless-miner", &[jobless.url(), format!("stratum+tcp://{}", honest.address("pool"))]);
    miner.until("it is named", |s| named(s, 0, "upstream-silent", "no job within 30 s"));
    miner.until("the second takes our shares", |s| mines_for(s, 1) && accepted(s, 1) > 0);
    miner.end();
    honest.end();
}
