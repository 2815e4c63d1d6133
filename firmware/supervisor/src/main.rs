//! The program `otedama`: reads the command line and hands over to the file of the subcommand.
//!
//! One `match` holds them all. Each gives back an [`Exit`]: 0 done, 1 failed, 2 wrong input (clap's own number too).

mod asked;
mod bench;
mod boards;
mod check;
mod commands;
mod cpu;
mod dag;
mod detect;
mod event;
mod exit;
mod hash;
mod heartbeat;
mod init;
mod last_good;
mod latches;
mod lights;
mod machine_open;
mod memory;
mod network;
mod own_pool;
mod profile;
mod pty;
mod remote;
mod reopen;
mod restarts;
mod serve;
mod simulate;
mod simulated;
mod status;
mod vital;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "otedama", version, about = "An operating system for miners, in one program.", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Run the machine of a settings file: mine, serve the page, be a pool.
    Serve(serve::Args),
    /// Show what a running machine says of itself.
    Status(status::Args),
    /// Be a machine's first process: keep `otedama serve` running, and hardware safe when it is not.
    Init(init::Args),
    /// Check a settings file: 0 when it is good, 2 with FILE:LINE:COLUMN of each mistake when it is not.
    Check(check::Args),
    /// Compute a proof of work's hash; the digest's bytes in the order they are computed.
    Hash(hash::Args),
    /// Measure how fast this processor hashes.
    Bench(bench::Args),
    /// List the products and control boards that are known, and how far each was shown to work.
    Boards(boards::Args),
    /// Run a product that is not there under its real firmware, in virtual time.
    Simulate(simulate::Simulate),
}

fn main() -> ExitCode {
    exit::code(match Cli::parse().command {
        Cmd::Serve(args) => serve::run(&args),
        Cmd::Status(args) => status::run(&args),
        Cmd::Init(args) => init::run(&args),
        Cmd::Check(args) => check::run(&args),
        Cmd::Hash(args) => hash::run(&args),
        Cmd::Bench(args) => bench::run(&args),
        Cmd::Boards(args) => boards::run(&args),
        Cmd::Simulate(args) => simulate::run(&args),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_subcommand_shows_an_example() {
        super::Cli::command().debug_assert();
        for c in super::Cli::command().get_subcommands() {
            let shown = c.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(shown.contains(&format!("otedama {}", c.get_name())), "{} has no example", c.get_name());
        }
    }
}
