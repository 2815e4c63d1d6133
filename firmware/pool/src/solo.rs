//! The heart of a solo pool: told templates and shares, it gives back jobs, verdicts and found blocks. No I/O and no clock.
//!
//! ```text
//!   template ─▶ told_template ─▶ Offer (same previous block: not clean; another one: clean)
//!   share    ─▶ judge ─────────▶ Verdict, and BlockFound at most once a previous block
//! ```
//! Times are those of the chain: a share's time must lie between the template's earliest time and its `curtime` plus two hours,
//! so a machine whose own clock is wrong still mines. Deliberately not here: a ledger (solo credits nobody), sessions (`server`).

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use model::{CoinbaseJob, Difficulty, Hash, Header, Job, JobBody, JobId, Reject, Target, UpstreamId, Verdict, sha256d};

use crate::{
    block,
    coinbase::{self, Coinbase, EXTRANONCE1_SIZE, EXTRANONCE2_SIZE},
    template::{Template, TemplateError},
};

/// Jobs kept at a time. One comes every 30 s and with a long poll's change, so late shares of some minutes are still known.
const JOBS_LIMIT: usize = 32;
/// Shares remembered on one previous block to tell repeats: 8 bytes each, an hour of 290 a second.
const SEEN_LIMIT: usize = 1 << 20;
/// How far ahead of the node's time a block may be: consensus, two hours.
const AHEAD_LIMIT_SECONDS: u32 = 7200;

/// What a solo pool is set to.
#[derive(Clone, Debug)]
pub struct SoloConfig {
    /// Where blocks pay to.
    pub script_pubkey: Vec<u8>,
    /// A word in the coinbase.
    pub tag: Vec<u8>,
    /// What a share must meet; lowered where the chain itself is easier.
    pub share_difficulty: Difficulty,
    /// Version bits that miners may roll.
    pub version_mask: u32,
    /// Number of the first job. Job names must not come again after a restart: seconds since 1970, shifted left, do.
    pub first_job: u64,
    /// The upstream that jobs are said to come from, for those who mine in the same process.
    pub upstream: UpstreamId,
}

/// A job as it is offered to every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The job. Its `extranonce1` is empty: each session has its own ([`Offer::job_for`]).
    pub job: Job,
    /// The difficulty of its target, exactly.
    pub difficulty: Difficulty,
    /// Height of the block to be.
    pub height: u32,
}

impl Offer {
    /// The job with a session's own extranonce in place.
    #[must_use]
    pub fn job_for(&self, extranonce1: [u8; EXTRANONCE1_SIZE as usize]) -> Job {
        let mut job = self.job.clone();
        let JobBody::Coinbase(body) = &mut job.body;
        body.extranonce1 = extranonce1.to_vec();
        job
    }
}

/// A share as a session hands it in.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The job's name.
    pub job_name: &'a str,
    /// The session's extranonce.
    pub extranonce1: &'a [u8],
    /// The miner's.
    pub extranonce2: &'a [u8],
    /// Header time.
    pub time: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Rolled version bits, where the miner rolls.
    pub version_bits: Option<u32>,
}

/// A block to be sent, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFound {
    /// The whole block.
    pub hex: String,
    /// Its hash.
    pub hash: Hash,
    /// Its height.
    pub height: u32,
}

struct Offered {
    offer: Arc<Offer>,
    template: Arc<Template>,
    block_target: Target,
}

/// A pool whose blocks pay one address.
pub struct SoloPool {
    config: SoloConfig,
    next_job: u64,
    /// Oldest first; the newest is the one that is mined.
    jobs: VecDeque<Offered>,
    seen: HashSet<u64>,
    /// The block found on the present previous block. A second one would only compete with it.
    found: Option<Hash>,
}

impl SoloPool {
    /// A pool that has no template yet.
    #[must_use]
    pub fn new(config: SoloConfig) -> SoloPool {
        let next_job = config.first_job.max(1);
        SoloPool { config, next_job, jobs: VecDeque::new(), seen: HashSet::new(), found: None }
    }

    /// The job to mine; `None` before the first template.
    #[must_use]
    pub fn offer(&self) -> Option<&Arc<Offer>> {
        self.jobs.back().map(|o| &o.offer)
    }

    /// Version bits that miners may roll.
    #[must_use]
    pub fn version_mask(&self) -> u32 {
        self.config.version_mask
    }

    /// The block that is built upon; `None` before the first template.
    #[must_use]
    pub fn previous(&self) -> Option<Hash> {
        self.jobs.back().map(|o| o.template.previous)
    }

    /// Takes a template over and makes the next job of it.
    ///
    /// # Errors
    /// Its bits are no target; the job before stays.
    pub fn told_template(&mut self, template: Template) -> Result<Arc<Offer>, TemplateError> {
        let block_target = Target::from_compact(template.bits).ok_or(TemplateError::Field("bits"))?;
        let clean = self.previous() != Some(template.previous);
        let difficulty = share_difficulty(self.config.share_difficulty, block_target);
        let halves = Coinbase {
            height: template.height,
            value: template.coinbase_value,
            script_pubkey: &self.config.script_pubkey,
            witness_commitment: template.witness_commitment.as_deref(),
            tag: &self.config.tag,
        }
        .halves();
        let txids: Vec<Hash> = template.transactions.iter().map(|t| t.txid).collect();
        let id = self.next_job;
        let body = CoinbaseJob {
            version: template.version & !self.config.version_mask,
            version_mask: self.config.version_mask,
            previous: template.previous,
            coinbase_prefix: halves.prefix,
            coinbase_suffix: halves.suffix,
            extranonce1: Vec::new(),
            extranonce2_size: EXTRANONCE2_SIZE,
            branch: coinbase::merkle_branch(&txids),
            bits: template.bits,
            time: template.time,
        };
        let job = Job {
            id: JobId(id),
            upstream: self.config.upstream,
            name: format!("{id:x}"),
            body: JobBody::Coinbase(body),
            target: difficulty.to_target_bdiff(),
            clean,
        };
        self.next_job += 1;
        if clean {
            self.seen.clear();
            self.found = None;
        }
        if self.jobs.len() == JOBS_LIMIT {
            self.jobs.pop_front();
        }
        let offer = Arc::new(Offer { job, difficulty, height: template.height });
        self.jobs.push_back(Offered { offer: Arc::clone(&offer), template: Arc::new(template), block_target });
        Ok(offer)
    }

    /// The node refused the block found last: another one on the same previous block is worth sending.
    pub fn told_refused(&mut self, hash: Hash) {
        if self.found == Some(hash) {
            self.found = None;
        }
    }

    /// Checks a share.
    pub fn judge(&mut self, claim: &Claim<'_>) -> (Verdict, Option<BlockFound>) {
        let refuse = |reason| (Verdict::Rejected(reason), None);
        let Some(offered) = self.jobs.iter().find(|o| o.offer.job.name == claim.job_name) else {
            // A name of ours that is no longer kept is late; any other one was never given out.
            let number = u64::from_str_radix(claim.job_name, 16).ok().filter(|n| *n < self.next_job);
            return match number {
                Some(_) => (Verdict::Stale, None),
                None => refuse(Reject::Other("job not found".to_owned())),
            };
        };
        let (template, JobBody::Coinbase(body)) = (Arc::clone(&offered.template), &offered.offer.job.body);
        let sizes = (claim.extranonce1.len(), claim.extranonce2.len());
        if sizes != (usize::from(EXTRANONCE1_SIZE), usize::from(EXTRANONCE2_SIZE)) {
            return refuse(Reject::Other(format!("extranonce2 of {} bytes, not {EXTRANONCE2_SIZE}", sizes.1)));
        }
        let latest = template.time.saturating_add(AHEAD_LIMIT_SECONDS);
        if !(template.min_time..=latest).contains(&claim.time) {
            return refuse(Reject::Other(format!("time {} is not within {} to {latest}", claim.time, template.min_time)));
        }
        // The job's version has no bit of the mask set, so who does not roll leaves them all zero.
        let bits = claim.version_bits.unwrap_or(0);
        if bits & !body.version_mask != 0 {
            return refuse(Reject::Other(format!("version bits {bits:08x} beyond the mask {:08x}", body.version_mask)));
        }
        let coinbase = [&body.coinbase_prefix, claim.extranonce1, claim.extranonce2, &body.coinbase_suffix].concat();
        let header = Header {
            version: body.version | bits,
            previous: body.previous,
            merkle_root: body.branch.iter().fold(sha256d(&coinbase), |node, sibling| {
                let mut pair = [0; 64];
                pair[..32].copy_from_slice(&node.0);
                pair[32..].copy_from_slice(&sibling.0);
                sha256d(&pair)
            }),
            time: claim.time,
            bits: body.bits,
            nonce: claim.nonce,
        };
        let hash = header.hash();
        if !offered.offer.job.target.is_met_by(&hash) {
            return refuse(Reject::LowDifficulty);
        }
        // A block upon a superseded one is not worth sending: the node already prefers the one that it saw first.
        if Some(template.previous) != self.previous() {
            return (Verdict::Stale, None);
        }
        let is_block = offered.block_target.is_met_by(&hash);
        // The hash names the whole header, so a repeat under another job's name is seen too. Its high end is zeros: take the low.
        let mut key = [0; 8];
        key.copy_from_slice(&hash.0[..8]);
        let key = u64::from_le_bytes(key);
        if self.seen.contains(&key) {
            return refuse(Reject::Duplicate);
        }
        let block = (is_block && self.found.is_none()).then(|| BlockFound {
            hex: block::assemble(&header, &coinbase, &template),
            hash,
            height: template.height,
        });
        if block.is_some() {
            self.found = Some(hash);
        }
        // A full memory must not cost a block, only the credit of a share that cannot be told from a repeat.
        if self.seen.len() >= SEEN_LIMIT {
            return (Verdict::Rejected(Reject::Other("too many shares on one block: raise the difficulty".to_owned())), block);
        }
        self.seen.insert(key);
        (Verdict::Accepted, block)
    }
}

/// The difficulty asked for, or where the chain is easier than it (regression chains) the hardest power of two that lets every
/// block through: a power of two has an exact decimal, so a miner computes the same target from it.
fn share_difficulty(wanted: Difficulty, block_target: Target) -> Difficulty {
    if wanted.to_target_bdiff() >= block_target {
        return wanted;
    }
    (-40..=63)
        .rev()
        .map(Difficulty::power_of_two)
        .find(|d| d.to_target_bdiff() >= block_target)
        .unwrap_or(Difficulty::power_of_two(-40))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{coin::BIP320_MASK, template::Transaction};

    const ONE: [u8; 4] = [0, 0, 0, 1];
    const TWO: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 9];

    fn pool() -> SoloPool {
        SoloPool::new(SoloConfig {
            script_pubkey: vec![0x51],
            tag: b"test".to_vec(),
            // One hash in 16; a block is one in 256 with these bits.
            share_difficulty: Difficulty::power_of_two(-28),
            version_mask: BIP320_MASK,
            first_job: 0x100,
            upstream: UpstreamId(0),
        })
    }

    fn template(previous: u8) -> Template {
        Template {
            version: 0x2000_0000,
            previous: Hash([previous; 32]),
            height: 500,
            bits: 0x2000_ffff,
            time: 1_700_000_000,
            min_time: 1_699_990_000,
            coinbase_value: 5_000_000_000,
            transactions: vec![Transaction { data: vec![7; 60], txid: Hash([7; 32]) }],
            witness_commitment: None,
            longpoll_id: None,
        }
    }

    fn claim(job_name: &str, nonce: u32) -> Claim<'_> {
        Claim { job_name, extranonce1: &ONE, extranonce2: &TWO, time: 1_700_000_000, nonce, version_bits: Some(0x2000) }
    }

    /// The first nonces that are a share but no block, and a block.
    fn solve(offer: &Offer, bits: u32) -> (u32, u32) {
        let job = offer.job_for(ONE);
        let JobBody::Coinbase(body) = &job.body;
        let mut header = Header { version: body.version | 0x2000, ..body.header(&TWO) };
        let block = Target::from_compact(bits).expect("valid");
        let mut search = |block_wanted: bool| {
            (0..1 << 20).find(|n| {
                header.nonce = *n;
                let hash = header.hash();
                job.target.is_met_by(&hash) && block.is_met_by(&hash) == block_wanted
            })
        };
        (search(false).expect("a share"), search(true).expect("a block"))
    }

    #[test]
    fn a_share_counts_once_and_a_block_comes_out_whole() {
        let mut p = pool();
        let offer = p.told_template(template(1)).expect("good");
        assert!(offer.job.clean);
        let name = offer.job.name.clone();
        let (share, block) = solve(&offer, 0x2000_ffff);
        assert_eq!(p.judge(&claim(&name, share)), (Verdict::Accepted, None));
        assert_eq!(p.judge(&claim(&name, share)), (Verdict::Rejected(Reject::Duplicate), None));
        let JobBody::Coinbase(body) = offer.job_for(ONE).body;
        let plain = (0..).find(|n| offer.job.target.is_met_by(&Header { nonce: *n, ..body.header(&TWO) }.hash())).expect("one");
        assert_eq!(
            p.judge(&Claim { version_bits: None, ..claim(&name, plain) }).0,
            Verdict::Accepted,
            "a miner that does not roll"
        );
        let (verdict, found) = p.judge(&claim(&name, block));
        assert_eq!(verdict, Verdict::Accepted);
        let found = found.expect("a block");
        assert_eq!(found.height, 500);
        let bytes = crate::hex::decode(&found.hex).expect("hex");
        assert_eq!(sha256d(&bytes[..80]), found.hash);
        assert_eq!(bytes[80], 2);
        assert!(bytes.ends_with(&[7; 60]));
        let JobBody::Coinbase(body) = offer.job_for(ONE).body;
        assert_eq!(bytes[36..68], body.merkle_root(&TWO).0);
    }

    #[test]
    fn one_block_upon_a_block_unless_it_was_refused() {
        let mut p = pool();
        let offer = p.told_template(template(1)).expect("good");
        let name = offer.job.name.clone();
        let (_, first) = solve(&offer, 0x2000_ffff);
        let (_, found) = p.judge(&claim(&name, first));
        let hash = found.expect("a block").hash;
        let mut more = || (first + 1..1 << 20).map(|n| p.judge(&claim(&name, n))).find_map(|(_, b)| b);
        assert_eq!(more(), None);
        p.told_refused(hash);
        let again = p.told_template(template(1)).expect("good").job.name.clone();
        let block = (first + 1..1 << 20).find_map(|n| p.judge(&Claim { time: 1_700_000_001, ..claim(&again, n) }).1);
        assert!(block.is_some());
    }

    #[test]
    fn the_same_previous_block_keeps_jobs_and_another_makes_them_stale() {
        let mut p = pool();
        let old = p.told_template(template(1)).expect("good");
        let (share, block) = solve(&old, 0x2000_ffff);
        let refreshed = p.told_template(Template { time: 1_700_000_030, ..template(1) }).expect("good");
        assert!(!refreshed.job.clean);
        assert_ne!(refreshed.job.name, old.job.name);
        assert_eq!(p.judge(&claim(&old.job.name, share)).0, Verdict::Accepted);
        let next = p.told_template(template(2)).expect("good");
        assert!(next.job.clean);
        assert_eq!(p.judge(&claim(&old.job.name, block)), (Verdict::Stale, None));
        for _ in 0..2 * JOBS_LIMIT {
            p.told_template(template(2)).expect("good");
        }
        assert_eq!(p.judge(&claim(&old.job.name, block)), (Verdict::Stale, None), "forgotten");
        assert!(p.jobs.len() <= JOBS_LIMIT);
    }

    #[test]
    fn bad_shares_are_refused_with_the_reason() {
        let mut p = pool();
        assert!(matches!(p.judge(&claim("100", 0)).0, Verdict::Rejected(Reject::Other(_))), "before the first job");
        let offer = p.told_template(template(1)).expect("good");
        let name = offer.job.name.clone();
        let good = claim(&name, solve(&offer, 0x2000_ffff).0);
        let target = offer.job.target;
        let JobBody::Coinbase(body) = offer.job_for(ONE).body;
        let low = (0..).find(|n| {
            let header = Header { nonce: *n, version: body.version | 0x2000, ..body.header(&TWO) };
            !target.is_met_by(&header.hash())
        });
        for (bad, words) in [
            (Claim { job_name: "fff", ..good }, "job not found"),
            (Claim { job_name: "", ..good }, "job not found"),
            (Claim { job_name: "zz", ..good }, "job not found"),
            (Claim { extranonce2: &[1; 7], ..good }, "extranonce2 of 7 bytes"),
            (Claim { extranonce2: &[], ..good }, "extranonce2 of 0 bytes"),
            (Claim { time: 1_699_989_999, ..good }, "time"),
            (Claim { time: 1_700_007_201, ..good }, "time"),
            (Claim { version_bits: Some(1), ..good }, "beyond the mask"),
            (Claim { version_bits: Some(0xffff_ffff), ..good }, "beyond the mask"),
        ] {
            let (verdict, block) = p.judge(&bad);
            let Verdict::Rejected(Reject::Other(why)) = verdict else { panic!("{bad:?}: {verdict:?}") };
            assert!(why.contains(words), "{why}");
            assert_eq!(block, None);
        }
        assert_eq!(p.judge(&Claim { nonce: low.expect("one"), ..good }), (Verdict::Rejected(Reject::LowDifficulty), None));
        assert_eq!(p.judge(&good).0, Verdict::Accepted);
        assert!(p.told_template(Template { bits: 0, ..template(3) }).is_err());
    }

    #[test]
    fn a_chain_easier_than_the_share_difficulty_lowers_it() {
        let regtest = Target::from_compact(0x207f_ffff).expect("valid");
        let d = share_difficulty(Difficulty::ONE, regtest);
        assert_eq!(d, Difficulty::power_of_two(-32));
        assert!(d.to_target_bdiff() >= regtest);
        assert_eq!(share_difficulty(Difficulty::ONE, Target::from_zero_bits(60)), Difficulty::ONE);
    }
}
