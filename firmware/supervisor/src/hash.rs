//! `otedama hash`: one digest of what is given as hex, printed in the order it is computed (a block explorer shows it reversed).

use crate::exit::Exit;
use crate::{dag, memory};
use algorithm::ethash::{self, Rules};
use algorithm::kawpow::{self, Program};
use algorithm::{Line, scrypt};
use model::{Hash, Header};
use std::io::Write;

/// Longest input, in hex digits: a block of Bitcoin, far beyond what a command line carries (128 KiB an argument on Linux).
const MAX_DIGITS: usize = 8_000_000;
/// Most hex digits of a nonce: 64 bits.
const NONCE_DIGITS: usize = 16;
/// Why a name is refused that other programs know already.
pub const RANDOMX_V2: &str =
    "randomx-v2 is reserved for the second version of RandomX, which this program cannot compute yet; update it once it can";

#[derive(clap::Args)]
#[command(
    after_help = "Example: otedama hash sha256d 00ff\n  (a block's hash is the hash of its 80-byte header, 160 hex digits)\n\
    Example: otedama hash ethash --height 5000000 --nonce 4617a20003ba3f25 \\\n           \
    --header bc544c2baba832600013bd5d1983f592e9557d04b0fb5ef7a100434a5fc8d52a"
)]
pub struct Args {
    #[command(subcommand)]
    algorithm: Algorithm,
}

/// The proofs of work that can be computed.
#[derive(clap::Subcommand)]
enum Algorithm {
    /// SHA-256 twice, as Bitcoin does.
    Sha256d(Bytes),
    /// Scrypt with N = 1024, as Litecoin does, of a header.
    Scrypt(Bytes),
    /// Ethereum's before it went to stake.
    Ethash(Attempt),
    /// Ethereum Classic's: Ethash with epochs of 60,000 blocks.
    Etchash(Attempt),
    /// Ravencoin's.
    Kawpow(Attempt),
    /// A name that waits.
    #[command(hide = true, disable_help_flag = true)]
    RandomxV2 {
        #[arg(num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
        ignored: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Bytes {
    /// The bytes, as hex digits.
    hex: String,
}

#[derive(clap::Args)]
struct Attempt {
    /// The height of the block, which tells the epoch.
    #[arg(long)]
    height: u64,
    /// The header's hash, 64 hex digits.
    #[arg(long)]
    header: String,
    /// The nonce as a number, up to 16 hex digits.
    #[arg(long)]
    nonce: String,
    /// Print the mix behind the digest.
    #[arg(long)]
    mix: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let digest = match &args.algorithm {
        Algorithm::Sha256d(Bytes { hex }) => bytes(hex).map(|bytes| model::sha256d(&bytes).to_hex()),
        Algorithm::Scrypt(Bytes { hex }) => scrypt(hex),
        Algorithm::Ethash(asked) => asked.digest(Rules::ETHASH, Meant::ethash)?,
        Algorithm::Etchash(asked) => asked.digest(Rules::ETCHASH, Meant::ethash)?,
        Algorithm::Kawpow(asked) => asked.digest(Rules::KAWPOW, Meant::kawpow)?,
        Algorithm::RandomxV2 { .. } => Err(RANDOMX_V2.to_owned()),
    };
    match digest {
        Ok(digest) => writeln!(std::io::stdout(), "{digest}")?,
        Err(what) => {
            eprintln!("otedama hash: {what}");
            return Ok(Exit::WrongInput);
        }
    }
    Ok(Exit::Done)
}

fn scrypt(hex: &str) -> Result<String, String> {
    let bytes = bytes(hex)?;
    let Ok(header) = <&[u8; 80]>::try_from(&bytes[..]) else {
        return Err(format!("scrypt hashes a header of 80 bytes, 160 hex digits; here are {} bytes", bytes.len()));
    };
    Ok(scrypt::hash(&Header::from_bytes(header), &mut vec![Line::ZERO; scrypt::LINES]).to_hex())
}

/// An attempt that makes sense.
struct Meant {
    height: u64,
    epoch: ethash::Epoch,
    attempt: ethash::Attempt,
}

impl Attempt {
    fn meant(&self, rules: Rules) -> Result<Meant, String> {
        let epoch = rules.epoch_at(self.height).map_err(|e| e.to_string())?;
        let header = bytes(&self.header).map_err(|what| format!("--header: {what}"))?;
        let header = <[u8; 32]>::try_from(header)
            .map_err(|bytes| format!("--header: a header's hash has 32 bytes, 64 hex digits; here are {} bytes", bytes.len()))?;
        digits(&self.nonce).map_err(|what| format!("--nonce: {what}"))?;
        let nonce = u64::from_str_radix(&self.nonce, 16).ok().filter(|_| self.nonce.len() <= NONCE_DIGITS);
        let count = self.nonce.len();
        let nonce = nonce.ok_or_else(|| format!("--nonce: a nonce has 1 to {NONCE_DIGITS} hex digits; here are {count}"))?;
        Ok(Meant { height: self.height, epoch, attempt: ethash::Attempt { header, nonce } })
    }

    /// The line to print, or what is wrong with the attempt.
    fn digest(
        &self,
        rules: Rules,
        hash: impl FnOnce(&Meant) -> anyhow::Result<ethash::Proof>,
    ) -> anyhow::Result<Result<String, String>> {
        let meant = match self.meant(rules) {
            Ok(meant) => meant,
            Err(what) => return Ok(Err(what)),
        };
        let proof = hash(&meant)?;
        // Both are printed in the order they are computed, as `Hash` prints.
        let [digest, mix] = [proof.digest, proof.mix].map(|bytes| Hash(bytes).to_hex());
        Ok(Ok(if self.mix { format!("{digest} {mix}") } else { digest }))
    }
}

impl Meant {
    fn cache(&self) -> anyhow::Result<ethash::Cache<Vec<Line>>> {
        let memory = memory::lines(self.epoch.cache_bytes, &dag::Named(dag::Part::Cache, self.epoch).to_string())?;
        dag::cache(self.epoch, memory)
    }

    fn ethash(&self) -> anyhow::Result<ethash::Proof> {
        Ok(ethash::Light::new(self.cache()?).hash(&self.attempt))
    }

    fn kawpow(&self) -> anyhow::Result<ethash::Proof> {
        Ok(kawpow::Light::new(self.cache()?)?.hash(&Program::at(self.height), &self.attempt))
    }
}

/// That there are hex digits, and not too many.
fn digits(hex: &str) -> Result<(), String> {
    if hex.len() > MAX_DIGITS {
        return Err(format!("{} hex digits; at most {MAX_DIGITS} are taken", hex.len()));
    }
    if let Some((at, c)) = hex.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
        let advice = if hex.starts_with("0x") { "; leave the 0x out" } else { "" };
        return Err(format!("character {} is {c:?}, not a hex digit{advice}", at + 1));
    }
    Ok(())
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    digits(hex)?;
    if !hex.len().is_multiple_of(2) {
        return Err(format!(
            "{} hex digits make no whole number of bytes: the last stands alone at character {}",
            hex.len(),
            hex.len()
        ));
    }
    let digit = |b: u8| char::from(b).to_digit(16).map_or(0, |d| d as u8);
    Ok(hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
}
