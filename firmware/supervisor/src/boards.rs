//! `otedama boards`: what is known, from the constants of `board`. The JSON is the interface of scripts; the table is for people.

use crate::exit::Exit;
use model::{ChipModel, Product};
use serde::Serialize;
use std::io::Write;

#[derive(clap::Args)]
#[command(after_help = "Example: otedama boards --json")]
pub struct Args {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Known {
    products: Vec<ProductRow>,
    control_boards: Vec<ControlBoardRow>,
}

#[derive(Serialize)]
struct ProductRow {
    name: &'static str,
    tier: &'static str,
    algorithm: &'static str,
    chains: usize,
    chips: u32,
    control_boards: &'static [&'static str],
}

#[derive(Serialize)]
struct ControlBoardRow {
    name: &'static str,
    tier: &'static str,
    architecture: &'static str,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let known = known();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&known)?)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{:<24} {:<18} {:<10} {:>6} {:>6}  control boards", "product", "tier", "algorithm", "chains", "chips")?;
    for p in &known.products {
        let boards = p.control_boards.join(", ");
        writeln!(out, "{:<24} {:<18} {:<10} {:>6} {:>6}  {boards}", p.name, p.tier, p.algorithm, p.chains, p.chips)?;
    }
    writeln!(out, "\n{:<24} {:<18} architecture", "control board", "tier")?;
    for b in &known.control_boards {
        writeln!(out, "{:<24} {:<18} {}", b.name, b.tier, b.architecture)?;
    }
    Ok(Exit::Done)
}

fn known() -> Known {
    let control_board =
        |b: &model::ControlBoard| ControlBoardRow { name: b.name, tier: b.tier.word(), architecture: b.architecture };
    Known {
        products: board::PRODUCTS.iter().map(product).collect(),
        control_boards: board::CONTROL_BOARDS.iter().map(control_board).collect(),
    }
}

fn product(p: &Product) -> ProductRow {
    ProductRow {
        name: p.name,
        tier: p.tier.word(),
        algorithm: p.hashboards.first().map_or("none", |h| algorithm_of(h.chain.chip)),
        chains: p.hashboards.len(),
        chips: p.hashboards.iter().map(|h| u32::from(h.chain.chips)).sum(),
        control_boards: p.control_boards,
    }
}

/// Every chip that is driven hashes the same.
fn algorithm_of(_: ChipModel) -> &'static str {
    model::settings::Algorithm::Sha256d.word()
}
