//! The host tool `cargo image`: reads the command line and calls the library.

use clap::{Parser, Subcommand};
use image::place::Place;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo image",
    bin_name = "cargo image",
    about = "Makes what a control board boots.",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Make everything that a control board boots, and print where the disk is.
    Build {
        /// A control board of `otedama boards`.
        #[arg(default_value = "pc")]
        board: String,
    },
    /// Build the kernel alone, or take it from the cache, and print where it is.
    Kernel {
        /// A control board of `otedama boards`.
        #[arg(default_value = "pc")]
        board: String,
    },
    /// Build the static program alone and print where it is.
    Program {
        /// A control board of `otedama boards`.
        #[arg(default_value = "pc")]
        board: String,
    },
    /// Boot the image in QEMU with a simulated machine that mines, and show its page.
    Run(image::run::Args),
    /// Put every fault that a simulated machine can have into one that mines in QEMU, one after the other, and say how it came back.
    /// It takes about half an hour, so no test does it.
    Faults(image::faults::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // One line with its causes, whatever the environment says of backtraces: it is read by people.
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Cmd) -> anyhow::Result<()> {
    match command {
        Cmd::Build { board } => println!("{}", image::build(&Place::of(&board)?)?.display()),
        Cmd::Kernel { board } => println!("{}", image::kernel::build(&Place::of(&board)?)?.display()),
        Cmd::Program { board } => println!("{}", image::program::build(&Place::of(&board)?)?.display()),
        Cmd::Run(args) => image::run::run(&args)?,
        Cmd::Faults(args) => image::faults::run(&args)?,
    }
    Ok(())
}
