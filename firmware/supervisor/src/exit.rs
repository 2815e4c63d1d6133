//! How the program ends: 0 done, 1 failed, 2 wrong input. Scripts rely on the difference.

use std::process::ExitCode;

/// The exit status that asks the first process for a new start of the board.
pub const BOARD: u8 = 76;
/// The exit status that asks the first process to make hardware safe and start this program anew.
pub const ANEW: u8 = 77;

/// What a subcommand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done,
    /// It asks for the board to be started anew; the first process does it, everybody else sees the number.
    Board,
    /// It asks to be started anew; only said to the first process.
    Anew,
    /// The input was wrong; what and where is on stderr already.
    WrongInput,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::WrongInput => ExitCode::from(2),
            Exit::Board => ExitCode::from(BOARD),
            Exit::Anew => ExitCode::from(ANEW),
        }
    }
}

/// Turns what a subcommand gave back into an exit code; an error is told on stderr with its causes and is a 1.
pub fn code(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        // A reader that closed the pipe (`otedama boards | head -1`) has what it wanted.
        Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("otedama: {e:#}");
            ExitCode::FAILURE
        }
    }
}
