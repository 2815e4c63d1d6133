//! Client and server, back to back in memory, and each against what a bad peer sends.

use model::{Difficulty, Hash, Job, JobBody, JobError, JobId, Reject, Share, ShareId, Target, Time, UpstreamId, Verdict};
use std::time::Duration;
use stratum::Url;
use stratum::v1::{
    AUTHORIZE_LIMIT, Client, ClientError, ClientEvent, CloseReason, HANDSHAKE_LIMIT, NO_ANSWER, SILENCE_LIMIT, SUBSCRIBE_LIMIT,
    Session, SessionEvent, UNANSWERED_LIMIT, VERDICT_LIMIT,
};

const NOW: Time = Time::from_secs(1);
const SUBSCRIBED: &str = r#"{"id":2,"result":[[["mining.notify","ae68"]],"f8002c90",4],"error":null}"#;
const AUTHORIZED: &str = r#"{"id":3,"result":true,"error":null}"#;
/// A job as the first Stratum pool sent them: keys in another order than ours, no branch.
const NOTIFY: &str = r#"{"params":["bf","4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000","01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008","072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000",[],"00000002","1c2ac4af","504e86b9",false],"id":null,"method":"mining.notify"}"#;

fn client() -> Client {
    let mut c = Client::new(UpstreamId(2), Url::parse("stratum+tcp://pool.example:3333").expect("good"), "worker", "x");
    c.open(NOW);
    c
}

fn told(lines: &[&str]) -> (Client, Vec<ClientEvent>) {
    let mut c = client();
    lines.iter().for_each(|l| c.tell_line(NOW, l.as_bytes()));
    let events = events(&mut c);
    (c, events)
}

fn ready() -> (Client, Job) {
    let (c, events) = told(&[SUBSCRIBED, AUTHORIZED, NOTIFY]);
    let [ClientEvent::Ready, ClientEvent::Job(job)] = &events[..] else { panic!("{events:?}") };
    (c, job.clone())
}

fn events(c: &mut Client) -> Vec<ClientEvent> {
    std::iter::from_fn(|| c.next_event()).collect()
}

fn lines(c: &mut Client) -> Vec<String> {
    std::iter::from_fn(|| c.next_line()).map(|l| String::from_utf8(l).expect("text")).collect()
}

fn said(s: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| s.next_line()).map(|l| String::from_utf8(l).expect("text")).collect()
}

fn failure(line: &str) -> ClientError {
    let (mut c, _) = ready();
    c.tell_line(NOW, line.as_bytes());
    match c.next_event() {
        Some(ClientEvent::Failed(e)) => e,
        other => panic!("{line}: {other:?}"),
    }
}

fn share(job: &Job, id: u64) -> Share {
    Share {
        id: ShareId(id),
        upstream: job.upstream,
        job: job.id,
        job_name: job.name.clone(),
        extranonce2: vec![0, 0, 0, 1],
        time: 0x504e_86ed,
        nonce: 0xb295_7c02,
        version_bits: None,
        hash: Hash::default(),
        reached: Difficulty::ONE,
    }
}

/// Carries lines both ways until neither side has one.
fn carry(c: &mut Client, s: &mut Session) {
    loop {
        let (up, down) = (c.next_line(), s.next_line());
        if up.is_none() && down.is_none() {
            return;
        }
        up.iter().for_each(|l| s.tell_line(NOW, l));
        down.iter().for_each(|l| c.tell_line(NOW, l));
    }
}

fn pair() -> (Client, Session, Job) {
    let (mut c, mut s) = (client(), Session::new(NOW, vec![1, 2, 3, 4], 4, 0x1fff_e000));
    carry(&mut c, &mut s);
    assert_eq!(s.next_event(), Some(SessionEvent::Authorized { worker: "worker".into(), password: "x".into() }));
    let (_, mut offered) = ready();
    let JobBody::Coinbase(body) = &mut offered.body;
    (body.extranonce1, body.version_mask) = (vec![1, 2, 3, 4], 0x1fff_e000);
    body.branch = vec![Hash([7; 32]), Hash([9; 32])];
    offered.clean = true;
    offered.target = Difficulty::power_of_two(-18).to_target_bdiff();
    s.offer(&offered, Difficulty::power_of_two(-18));
    carry(&mut c, &mut s);
    let got = events(&mut c);
    let [ClientEvent::Ready, ClientEvent::Difficulty(d), ClientEvent::Job(job)] = &got[..] else { panic!("{got:?}") };
    assert_eq!(*d, Difficulty::power_of_two(-18));
    assert_eq!(job, &Job { id: job.id, ..offered });
    (c, s, job.clone())
}

#[test]
fn a_share_goes_there_and_its_verdict_comes_back() {
    let reasons = [
        Verdict::Accepted,
        Verdict::Stale,
        Verdict::Rejected(Reject::Duplicate),
        Verdict::Rejected(Reject::LowDifficulty),
        Verdict::Rejected(Reject::Unauthorized),
        Verdict::Rejected(Reject::Other("a \"quoted\" reason".into())),
    ];
    let (mut c, mut s, job) = pair();
    for (n, verdict) in reasons.into_iter().enumerate() {
        let share = Share { version_bits: Some(0x0000_2000), ..share(&job, n as u64) };
        c.submit(NOW, &share);
        carry(&mut c, &mut s);
        let Some(SessionEvent::Submit(got)) = s.next_event() else { panic!("no submission") };
        assert_eq!((got.nonce, got.time, got.version_bits), (share.nonce, share.time, share.version_bits));
        assert_eq!((&got.extranonce2, &got.job_name), (&share.extranonce2, &share.job_name));
        s.answer(got.token, &verdict);
        s.answer(got.token, &verdict);
        carry(&mut c, &mut s);
        assert_eq!(events(&mut c), [ClientEvent::Verdict { share: share.id, verdict }]);
    }
}

#[test]
fn the_pool_moves_a_miner_to_another_extranonce_and_mask() {
    let (mut c, mut s, job) = pair();
    assert!(s.set_extranonce(vec![5, 6], 8));
    assert!(s.set_version_mask(0x0000_6000));
    s.offer(&job, Difficulty::power_of_two(-18));
    carry(&mut c, &mut s);
    let got = events(&mut c);
    let [ClientEvent::Job(moved)] = &got[..] else { panic!("{got:?}") };
    let JobBody::Coinbase(body) = &moved.body;
    assert_eq!((&body.extranonce1[..], body.extranonce2_size, body.version_mask), (&[5, 6][..], 8, 0x0000_6000));
    assert_eq!(s.extranonce1(), [5, 6]);
    // A share within the new mask is taken, one outside of it is refused.
    for (n, bits, submissions) in [(1, 0x0000_4000, 1), (2, 0x0000_8000, 0)] {
        c.submit(NOW, &Share { extranonce2: vec![0; 8], version_bits: Some(bits), ..share(moved, n) });
        carry(&mut c, &mut s);
        assert_eq!(std::iter::from_fn(|| s.next_event()).count(), submissions, "{bits:08x}");
    }
    let refused = Verdict::Rejected(Reject::Other("Version bits outside the agreed mask".into()));
    assert_eq!(events(&mut c), [ClientEvent::Verdict { share: ShareId(2), verdict: refused }]);

    // A miner that asked for neither is left where it is.
    let mut s = Session::new(NOW, vec![1], 4, 0x1fff_e000);
    s.tell_line(NOW, br#"{"id":1,"method":"mining.subscribe"}"#);
    said(&mut s);
    assert!(!s.set_extranonce(vec![2], 4) && !s.set_version_mask(0));
    assert_eq!(said(&mut s), Vec::<String>::new());
    assert_eq!(s.extranonce1(), [1]);
}

#[test]
fn a_pool_that_closes_for_a_restart_is_found_again() {
    let (mut c, mut s, _) = pair();
    s.reconnect();
    carry(&mut c, &mut s);
    let url = Url::parse("stratum+tcp://pool.example:3333").expect("good");
    assert_eq!(events(&mut c), [ClientEvent::Reconnect { url, wait: Duration::ZERO }]);
}

#[test]
fn a_miner_says_which_difficulty_it_would_like() {
    let d = Difficulty::power_of_two(-3);
    let (mut c, mut s) = (client(), Session::new(NOW, vec![1, 2, 3, 4], 4, 0));
    c.suggest(d);
    c.open(NOW);
    carry(&mut c, &mut s);
    let mut got: Vec<_> = std::iter::from_fn(|| s.next_event()).collect();
    got.retain(|e| !matches!(e, SessionEvent::Authorized { .. }));
    assert_eq!(got, [SessionEvent::MinimumDifficulty(d), SessionEvent::SuggestDifficulty(d)]);
    assert_eq!(events(&mut c), [ClientEvent::Ready]);

    // The same by a target, as older miners write it, and one that is no target.
    let target = Target::from_be_bytes(d.to_target_bdiff().to_be_bytes());
    let hex: String = target.to_be_bytes().iter().map(|b| format!("{b:02x}")).collect();
    for (hex, answer) in [(hex.as_str(), "\"result\":true"), ("00", "Not a difficulty"), (&"0".repeat(64), "Not a difficulty")] {
        s.tell_line(NOW, format!(r#"{{"id":9,"method":"mining.suggest_target","params":["{hex}"]}}"#).as_bytes());
        let said = said(&mut s).pop().expect("an answer");
        assert!(said.contains(answer), "{hex}: {said}");
    }
    assert_eq!(s.next_event(), Some(SessionEvent::SuggestDifficulty(Difficulty::from_target_bdiff(target))));
    assert_eq!(s.next_event(), None);
}

#[test]
fn the_greeting_and_a_real_job_are_read_as_they_stand() {
    let mut c = client();
    let greeting = lines(&mut c);
    assert!(greeting[0].contains(r#""version-rolling.mask":"1fffe000""#), "{greeting:?}");
    assert!(greeting[1].contains("mining.subscribe"), "{greeting:?}");
    // A pool that is older than BIP 310, and one job before the authorisation.
    c.tell_line(NOW, br#"{"id":1,"result":null,"error":[20,"Method not found",null]}"#);
    c.tell_line(NOW, SUBSCRIBED.as_bytes());
    c.tell_line(NOW, br#"{"id":null,"method":"mining.set_difficulty","params":[2]}"#);
    c.tell_line(NOW, NOTIFY.as_bytes());
    assert_eq!(events(&mut c), [ClientEvent::Difficulty(Difficulty::power_of_two(1))]);
    c.tell_line(NOW, AUTHORIZED.as_bytes());
    let got = events(&mut c);
    let [ClientEvent::Ready, ClientEvent::Job(job)] = &got[..] else { panic!("{got:?}") };
    let JobBody::Coinbase(body) = &job.body;
    assert_eq!(body.previous.to_explorer_hex(), "00000000440b921e1b77c6c0487ae5616de67f788f44ae2a5af6e2194d16b6f8");
    assert_eq!((body.version, body.bits, body.time, body.version_mask), (2, 0x1c2a_c4af, 0x504e_86b9, 0));
    assert!(job.clean);
    assert_eq!((job.id, job.upstream), (JobId(2 << 56 | 1), UpstreamId(2)));
    lines(&mut c);
    c.submit(NOW, &share(job, 1));
    assert_eq!(
        lines(&mut c),
        ["{\"id\":16,\"method\":\"mining.submit\",\"params\":[\"worker\",\"bf\",\"00000001\",\"504e86ed\",\"b2957c02\"]}\n"]
    );
}

#[test]
fn difficulty_extranonce_and_mask_act_on_the_next_job() {
    let (mut c, old) = ready();
    for line in [
        r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["aabb",8]}"#,
        r#"{"id":null,"method":"mining.set_version_mask","params":["ffffffff"]}"#,
        NOTIFY,
    ] {
        c.tell_line(NOW, line.as_bytes());
    }
    let got = events(&mut c);
    let [ClientEvent::Difficulty(_), ClientEvent::Job(job)] = &got[..] else { panic!("{got:?}") };
    let JobBody::Coinbase(body) = &job.body;
    assert_eq!((&body.extranonce1[..], body.extranonce2_size, body.version_mask), (&[0xaa, 0xbb][..], 8, 0x1fff_e000));
    assert!(job.target > old.target);
    assert!(!job.clean);
}

#[test]
fn what_a_bad_pool_sends_is_named() {
    let notify = |from: &str, to: &str| failure(&NOTIFY.replace(from, to));
    let field = |e: ClientError| if let ClientError::Malformed { field, .. } = e { field } else { panic!("{e}") };
    assert_eq!(field(notify("[],", "[\"00\"],")), "merkle branch");
    assert_eq!(field(notify("[],", "7,")), "merkle branch");
    assert_eq!(field(notify("4d16", "4x16")), "previous block");
    assert_eq!(field(notify("072f", "07zz")), "coinbase");
    assert_eq!(field(notify("504e86b9", "-1")), "time");
    assert_eq!(notify("1c2ac4af", "00000000"), ClientError::Job(JobError::Bits(0)));
    let deep = format!("[{}],", vec![format!("\"{}\"", "00".repeat(32)); 33].join(","));
    assert_eq!(notify("[],", &deep), ClientError::Job(JobError::Branch(33)));
    for d in ["0", "-1", "0.0", "1e400", "\"x\"", "null", ""] {
        let e = failure(&format!(r#"{{"id":null,"method":"mining.set_difficulty","params":[{d}]}}"#));
        assert!(matches!(e, ClientError::Difficulty(_)), "{d}: {e}");
    }
    assert!(matches!(failure(r#"{"method":"mining.set_extranonce","params":["00",200]}"#), ClientError::Job(_)));
    for line in ["HTTP/1.1 400 Bad Request", &"[".repeat(60_000), &"x".repeat(70_000), "{}", "\u{fffd}"] {
        assert!(matches!(failure(line), ClientError::Wire(_)));
    }
    let (_, got) = told(&[r#"{"id":2,"result":[[],"zz",4],"error":null}"#]);
    assert!(matches!(got[..], [ClientEvent::Failed(ClientError::Malformed { .. })]), "{got:?}");
    let (_, got) = told(&[SUBSCRIBED, r#"{"id":3,"result":null,"error":[24,"who?",null]}"#]);
    assert_eq!(got, [ClientEvent::Failed(ClientError::Refused { what: "the worker", text: "who?".into() })]);
}

#[test]
fn waiting_ends_by_name() {
    let mut c = client();
    assert_eq!(c.wake_at(), NOW + HANDSHAKE_LIMIT);
    c.tick(NOW + HANDSHAKE_LIMIT);
    assert_eq!(events(&mut c), [ClientEvent::Failed(ClientError::Handshake)]);
    assert_eq!(c.wake_at(), Time::NEVER);

    let (mut c, _) = ready();
    c.tick(NOW + SILENCE_LIMIT);
    assert_eq!(events(&mut c), [ClientEvent::Failed(ClientError::Silent)]);

    let (mut c, job) = ready();
    c.submit(NOW, &share(&job, 7));
    c.tick(NOW + VERDICT_LIMIT);
    let lost = ClientEvent::Verdict { share: ShareId(7), verdict: Verdict::Rejected(Reject::Other(NO_ANSWER.into())) };
    assert_eq!(events(&mut c), [lost, ClientEvent::Failed(ClientError::Unanswered)]);
}

#[test]
fn a_share_of_a_dead_session_is_never_sent() {
    let (mut c, job) = ready();
    c.tell_closed();
    c.open(NOW);
    c.tell_line(NOW, SUBSCRIBED.as_bytes());
    c.tell_line(NOW, AUTHORIZED.as_bytes());
    c.tell_line(NOW, NOTIFY.as_bytes());
    assert!(events(&mut c).iter().any(|e| matches!(e, ClientEvent::Job(new) if new.id > job.id)));
    lines(&mut c);
    c.submit(NOW, &share(&job, 3));
    assert_eq!(lines(&mut c), Vec::<String>::new());
    assert_eq!(events(&mut c), [ClientEvent::Verdict { share: ShareId(3), verdict: Verdict::Stale }]);
}

#[test]
fn a_pool_that_hangs_up_at_configure_is_greeted_without() {
    let mut c = client();
    assert_eq!(lines(&mut c).len(), 2);
    c.tell_closed();
    c.open(NOW);
    assert_eq!(lines(&mut c).len(), 1);
}

#[test]
fn reconnect_stays_with_its_host() {
    let ask = |params: &str| {
        let (mut c, _) = ready();
        c.tell_line(NOW, format!(r#"{{"id":null,"method":"client.reconnect","params":{params}}}"#).as_bytes());
        c.next_event().expect("an event")
    };
    for (params, port, wait) in [("[]", 3333, 0), (r#"["",0,9999]"#, 3333, 60), (r#"["Pool.Example","4444",5]"#, 4444, 5)] {
        let url = Url::parse(&format!("stratum+tcp://pool.example:{port}")).expect("good");
        assert_eq!(ask(params), ClientEvent::Reconnect { url, wait: Duration::from_secs(wait) });
    }
    for params in [r#"["evil.example",3333,0]"#, r#"["pool.example.evil",3333]"#, r#"["example",3333]"#] {
        assert!(matches!(ask(params), ClientEvent::Notice(_)), "{params}");
    }
}

#[test]
fn the_pool_is_answered_with_its_own_id() {
    let (mut c, _) = ready();
    lines(&mut c);
    c.tell_line(NOW, br#"{"id":"v 1","method":"client.get_version","params":[]}"#);
    c.tell_line(NOW, br#"{"id":12345678901234567890123,"method":"mining.ping"}"#);
    c.tell_line(NOW, br#"{"id":9,"method":"mining.dance","params":{}}"#);
    let said = lines(&mut c);
    assert!(said[0].starts_with(r#"{"id":"v 1","result":"otedama/"#), "{said:?}");
    assert_eq!(said[1], "{\"id\":12345678901234567890123,\"result\":\"pong\",\"error\":null}\n");
    assert!(said[2].starts_with(r#"{"id":9,"result":null,"error":[20,"#), "{said:?}");
    assert_eq!(events(&mut c), []);
}

/// minerd's greeting, and its id 4 in every submit.
#[test]
fn a_miner_that_repeats_its_ids_gets_each_answer() {
    let mut s = Session::new(NOW, vec![0xab, 0xcd], 4, 0x1fff_e000);
    s.tell_line(NOW, br#"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}"#);
    s.tell_line(NOW, br#"{"id": 2, "method": "mining.authorize", "params": ["u", "p"]}"#);
    let submit = br#"{"method": "mining.submit", "params": ["u", "j", "00000000", "504e86ed", "b2957c02"], "id":4}"#;
    for _ in 0..=UNANSWERED_LIMIT {
        s.tell_line(NOW, submit);
    }
    let got = said(&mut s);
    assert!(got[0].contains("\"abcd\",4]"), "{got:?}");
    assert!(got[2].contains("[20,\"Too many unanswered"), "{:?}", got[2]);
    let tokens: Vec<_> = std::iter::from_fn(|| s.next_event())
        .filter_map(|e| if let SessionEvent::Submit(s) = e { Some(s.token) } else { None })
        .collect();
    assert_eq!(tokens.len(), UNANSWERED_LIMIT);
    tokens.iter().for_each(|t| s.answer(*t, &Verdict::Accepted));
    assert_eq!(said(&mut s), vec!["{\"id\":4,\"result\":true,\"error\":null}\n"; UNANSWERED_LIMIT]);
}

#[test]
fn a_bad_miner_gets_errors_and_a_worse_one_is_closed() {
    let ask = |line: &str| {
        let mut s = Session::new(NOW, vec![1], 4, 0x1fff_e000);
        for l in [r#"{"id":1,"method":"mining.subscribe"}"#, r#"{"id":2,"method":"mining.authorize","params":["u"]}"#, line] {
            s.tell_line(NOW, l.as_bytes());
        }
        assert_eq!(s.wake_at(), Time::NEVER);
        assert_eq!(std::iter::from_fn(|| s.next_event()).count(), 1, "{line}");
        said(&mut s).pop().expect("an answer")
    };
    let submit = |params: &str| ask(&format!(r#"{{"id":7,"method":"mining.submit","params":[{params}]}}"#));
    assert!(submit(r#""v","j","00000000","00000000","00000000""#).contains("[24,"));
    for params in [
        r#""u","j","0000","00000000","00000000""#,
        r#""u","j","00000000","x","00000000""#,
        r#""u","j","00000000","00000000","00000000","00002000""#,
        r#""u",5"#,
    ] {
        assert!(submit(params).starts_with(r#"{"id":7,"result":null,"error":[20,"#), "{params}");
    }
    for line in [
        "eth_submitLogin",
        r#"{"id":7,"method":"login","params":{"a":1}}"#,
        &"[".repeat(50),
        r#"{"id":7,"method":"mining.suggest_difficulty","params":[0]}"#,
    ] {
        assert!(ask(line).contains("\"error\":[20,"), "{line}");
    }

    let mut s = Session::new(NOW, vec![1], 4, 0);
    s.tell_line(NOW, &[b'x'; 9000]);
    assert!(matches!(s.next_event(), Some(SessionEvent::Closed(CloseReason::Line(_)))));
    let mut s = Session::new(NOW, vec![1], 4, 0);
    (0..20).for_each(|_| s.tell_line(NOW, b"GET / HTTP/1.1"));
    assert_eq!(s.next_event(), Some(SessionEvent::Closed(CloseReason::Garbage)));
    let mut s = Session::new(NOW, vec![1], 4, 0);
    s.tick(NOW + SUBSCRIBE_LIMIT);
    assert_eq!(s.next_event(), Some(SessionEvent::Closed(CloseReason::NotSubscribed)));
    let mut s = Session::new(NOW, vec![1], 4, 0);
    s.tell_line(NOW, br#"{"id":1,"method":"mining.subscribe"}"#);
    s.tick(NOW + SUBSCRIBE_LIMIT);
    assert_eq!(s.next_event(), None);
    s.tick(NOW + AUTHORIZE_LIMIT);
    assert_eq!(s.next_event(), Some(SessionEvent::Closed(CloseReason::NotAuthorized)));
    let mut s = Session::new(NOW, vec![1], 4, 0);
    (0..10_000).for_each(|_| s.tell_line(NOW, br#"{"id":1,"method":"mining.subscribe"}"#));
    assert_eq!(s.next_event(), Some(SessionEvent::Closed(CloseReason::Slow)));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_either_half(line in proptest::collection::vec(0u8.., 0..300)) {
        let (mut c, _) = ready();
        c.tell_line(NOW, &line);
        Session::new(NOW, vec![1], 4, 0).tell_line(NOW, &line);
    }
    #[test]
    fn a_changed_byte_never_panics_either_half(at in 0usize..600, byte in 0u8..) {
        let mut line = NOTIFY.as_bytes().to_vec();
        let at = at % line.len();
        line[at] = byte;
        let (mut c, _) = ready();
        c.tell_line(NOW, &line);
        let (_, mut s, _) = pair();
        let mut submit = br#"{"id":4,"method":"mining.submit","params":["worker","bf","00000001","504e86ed","b2957c02","00002000"]}"#.to_vec();
        let at = at % submit.len();
        submit[at] = byte;
        s.tell_line(NOW, &submit);
    }
}
