//! Compares light hashing with the PyPI packages `ethash` and `kawpow`: equal results, and how much faster.
//!
//!     python3 -m venv VENV && VENV/bin/pip install ethash kawpow     (kawpow is built from source and wants cmake)
//!     cargo run --release -p algorithm --example light_peers -- VENV/bin/python [NONCES]
//!
//! Prints a JSON object for each package and epoch: seconds of thread CPU time a hash, best of five rounds that alternate with
//! the peer's, one attempt alone and many side by side. The package `kawpow` has no `ProgPoW` in its interface: its `hash` is
//! Ethash's loop over KawPow's dataset, and its `light_verify` the digest that a mix gives. Both are compared; the loop of the
//! program itself is held by Ravencoin's vectors. Not here: a verdict, which is the reader's.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;

use algorithm::Line;
use algorithm::ethash::{Attempt, Cache, Claim, Light, Proof, Rules};
use algorithm::kawpow::{self, Program};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The epochs compared: the first, two between, and about where Ethereum Classic is.
const EPOCHS: [u64; 4] = [0, 64, 200, 400];
/// Rounds of a measurement.
const ROUNDS: usize = 5;
/// Nonces of a round.
const ROUND_NONCES: usize = 48;
/// Nonces that are asked of the peer at once.
const ASKED: usize = 256;

/// The peer's process.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(python: &str) -> Peer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/light_peers.py");
        let mut command = Command::new(python);
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start python");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Peer { child, stdin, answers: BufReader::new(stdout).lines() }
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.stdin, "{request}").expect("write to the peer");
        let answer = self.answers.next().expect("the peer answers each line").expect("read from the peer");
        let answer: Value = serde_json::from_str(&answer).expect("the peer answers in JSON");
        answer["error"].as_str().map_or(Ok(answer.clone()), |error| Err(error.to_owned()))
    }

    /// Seconds, and digest and mix of each nonce.
    fn hash(&mut self, package: &str, epoch: u64, header: &[u8; 32], nonces: &[u64]) -> Result<(f64, Vec<[String; 2]>), String> {
        let answer = self.ask(&json!({"package": package, "epoch": epoch, "header": hex(header), "nonces": nonces}))?;
        let hashes = answer["hashes"].as_array().expect("hashes");
        let text = |value: &Value| value.as_str().expect("hex").to_owned();
        Ok((answer["seconds"].as_f64().expect("seconds"), hashes.iter().map(|h| [text(&h[0]), text(&h[1])]).collect()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Seconds of this thread's CPU time.
fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let begin = now();
    work();
    now() - begin
}

/// Nonces that look random and are the same each time: Weyl's sequence, multiplied.
fn nonces(epoch: u64, count: usize) -> Vec<u64> {
    let start = (epoch + 1).wrapping_mul(0xd134_2543_de82_ef95);
    (1..=count as u64).map(|i| (start + i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)).collect()
}

fn compare(peer: &mut Peer, rules: &Rules, number: u64, count: usize) -> Result<Value, String> {
    let epoch = (0..).map(|i| i * 500).find_map(|height| rules.epoch_at(height).ok().filter(|e| u64::from(e.number) == number));
    let epoch = epoch.ok_or("no such epoch")?;
    let memory = vec![Line::default(); usize::try_from(epoch.cache_bytes / Line::BYTES).map_err(|e| e.to_string())?];
    let light = Light::new(Cache::build(epoch, memory, &AtomicBool::new(false), &mut |_, _| {}).map_err(|e| e.to_string())?);
    let header: [u8; 32] = std::array::from_fn(|i| (number as u8).wrapping_mul(3).wrapping_add(i as u8));
    let nonces = nonces(number, count);
    let attempts: Vec<Attempt> = nonces.iter().map(|nonce| Attempt { header, nonce: *nonce }).collect();

    let mut different = 0;
    for (nonces, attempts) in nonces.chunks(ASKED).zip(attempts.chunks(ASKED)) {
        let (_, theirs) = peer.hash(rules.name, number, &header, nonces)?;
        light.hash_all(attempts, &mut |at, proof| {
            different += u64::from([hex(&proof.digest), hex(&proof.mix)] != theirs[at]);
        });
    }

    let round = attempts.len().min(ROUND_NONCES);
    let [mut theirs, mut one, mut many] = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        theirs = theirs.min(peer.hash(rules.name, number, &header, &nonces[..round])?.0 / round as f64);
        let alone = || attempts[..round].iter().for_each(|attempt| _ = std::hint::black_box(light.hash(attempt)));
        one = one.min(cpu_seconds(alone) / round as f64);
        let together = || light.hash_all(&attempts[..round], &mut |_, proof| _ = std::hint::black_box(proof));
        many = many.min(cpu_seconds(together) / round as f64);
    }
    let mut line = json!({
        "package": rules.name, "epoch": number, "nonces": nonces.len(), "different": different,
        "peer_seconds": theirs, "one_seconds": one, "many_seconds": many, "ratio_one": theirs / one, "ratio_many": theirs / many,
    });
    if rules.name == Rules::KAWPOW.name {
        let (hashed, digests) = programs(peer, light.cache().clone(), &attempts)?;
        line["program_seconds"] = json!(hashed);
        line["different_digests"] = json!(digests);
    }
    Ok(line)
}

/// Hashes by `KawPow` itself: seconds a hash, and how many digests are not what the peer makes of the same mixes.
fn programs(peer: &mut Peer, cache: Cache<Vec<Line>>, attempts: &[Attempt]) -> Result<(f64, usize), String> {
    let light = kawpow::Light::new(cache).map_err(|e| e.to_string())?;
    let program = Program::at(u64::from(light.cache().epoch().number) * 7500);
    let mut proofs = vec![Proof::default(); attempts.len()];
    let seconds = cpu_seconds(|| light.hash_all(&program, attempts, &mut |at, proof| proofs[at] = proof));
    let claims: Vec<_> = attempts.iter().zip(&proofs).map(|(attempt, proof)| json!([attempt.nonce, hex(&proof.mix)])).collect();
    let header = attempts.first().map_or([0; 32], |attempt| attempt.header);
    let answer = peer.ask(&json!({"package": "kawpow", "header": hex(&header), "claims": claims}))?;
    let digests = answer["digests"].as_array().expect("digests");
    let same = |(attempt, (proof, digest)): (&Attempt, (&Proof, &Value))| {
        let ours = kawpow::digest(&Claim { attempt: *attempt, mix: proof.mix });
        ours == proof.digest && digest.as_str() == Some(&hex(&ours))
    };
    let different = attempts.iter().zip(proofs.iter().zip(digests)).filter(|one| !same(*one)).count();
    Ok((seconds / attempts.len() as f64, different))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let python = arguments.next().unwrap_or_else(|| "python3".to_owned());
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let mut peer = Peer::start(&python);
    for rules in [Rules::ETHASH, Rules::KAWPOW] {
        for epoch in EPOCHS {
            match compare(&mut peer, &rules, epoch, count.div_ceil(EPOCHS.len())) {
                Ok(line) => println!("{line}"),
                Err(error) => println!("{}", json!({"package": rules.name, "epoch": epoch, "skipped": error})),
            }
        }
    }
    drop(peer.stdin);
    peer.child.wait().expect("the peer ends with its input");
}
