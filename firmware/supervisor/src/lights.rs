//! The green and the red light of a control board, on a thread of their own: they blink ten times a second, and the deciding loop must
//! not wake for that. What they say is what people know from Braiins OS (`hwdrivers::light::pattern`). Once the program has ended it is
//! the first process that shows the red one. Not here: a light's lines (board data), and the light of a USB board; nothing asks yet which machine is which.

use crate::event;
use hwdrivers::bus::Gpio;
use hwdrivers::light::led::Led;
use hwdrivers::light::pattern::Signal;
use model::{ChainState, Leds, Status, Time};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Signals that wait for the thread; a newer one says all that an older one did.
const SIGNALS_LIMIT: usize = 4;
/// Longest wait where nothing blinks.
const IDLE: Duration = Duration::from_secs(60);
/// Less than this part of what is expected is trouble.
const TROUBLE_PART: f64 = 0.8;

/// The near end of the thread.
pub struct Lights {
    signals: SyncSender<Signal>,
    shown: Option<Signal>,
}

impl Lights {
    /// Starts the thread for the lights of a control board.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(leds: Leds, mut lines: Box<dyn Gpio>, epoch: Instant) -> std::io::Result<Lights> {
        let (signals, inbox) = sync_channel(SIGNALS_LIMIT);
        std::thread::Builder::new().name("lights".into()).spawn(move || run(leds, &mut *lines, epoch, &inbox))?;
        Ok(Lights { signals, shown: None })
    }

    /// Shows this from now on.
    pub fn show(&mut self, signal: Signal) {
        // A thread that hangs on its lines takes nothing; it is told again with the next status.
        if self.shown != Some(signal) && self.signals.try_send(signal).is_ok() {
            self.shown = Some(signal);
        }
    }
}

/// What a machine in this state shows.
pub fn signal(status: &Status) -> Signal {
    let hashing = status.chains.iter().any(|c| c.state == ChainState::Hashing);
    let weak = status.hashes_per_second < status.expected_hashes_per_second * TROUBLE_PART;
    let pools_dead = !status.upstreams.iter().any(|u| u.active);
    let wanted = status.mining && !status.paused;
    if wanted && (!hashing || weak || pools_dead) { Signal::Trouble } else { Signal::Good }
}

fn run(leds: Leds, lines: &mut dyn Gpio, epoch: Instant, inbox: &Receiver<Signal>) {
    let (mut green, mut red) = (leds.green.map(Led::new), leds.red.map(Led::new));
    let mut failed = false;
    loop {
        let (now, mut wake) = (event::now(epoch), Time::NEVER);
        for led in green.iter_mut().chain(&mut red) {
            if let Err(error) = led.turn(now, lines) {
                // Once: a light is no reason to fill a log.
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(%error, "drive the lights of the control board");
                }
            }
            wake = wake.min(led.wake_at(now));
        }
        let signal = match inbox.recv_timeout(wake.since(now).min(IDLE)) {
            Ok(signal) => signal,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (of_green, of_red) = signal.lights();
        green.iter_mut().for_each(|led| led.show(of_green));
        red.iter_mut().for_each(|led| led.show(of_red));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwdrivers::bus::BusError;
    use model::{ChainStatus, GpioLine, UpstreamStatus};
    use std::sync::mpsc::{Sender, channel};

    /// Lines that tell what they are driven to.
    struct Lines(Sender<(u32, bool)>);

    impl Gpio for Lines {
        fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
            self.0.send((line, high)).map_err(|_| BusError::Gone)
        }
        fn get(&mut self, _: u32) -> Result<bool, BusError> {
            Err(BusError::Gone)
        }
    }

    #[test]
    fn lights_follow_the_signal_and_blink_by_themselves() {
        let (told, seen) = channel();
        let leds = Leds { green: Some(GpioLine::high(1)), red: Some(GpioLine::low(2)) };
        let mut lights = Lights::start(leds, Box::new(Lines(told)), Instant::now()).expect("a thread");
        let next = || seen.recv_timeout(Duration::from_secs(30)).expect("a line is driven");
        assert_eq!([next(), next()], [(1, false), (2, true)], "dark at first");
        lights.show(Signal::NotRunning);
        assert_eq!(next(), (2, false));
        lights.show(Signal::FindMe);
        lights.show(Signal::FindMe);
        assert!([next(), next(), next()].iter().all(|(line, _)| *line == 2), "red blinks");
    }

    #[test]
    fn trouble_is_too_little_or_no_pool() {
        let chain = |state| ChainStatus { state, ..ChainStatus::default() };
        let status = |mining, state, rate, active| Status {
            mining,
            chains: vec![chain(state)],
            hashes_per_second: rate,
            expected_hashes_per_second: 100.0,
            upstreams: vec![UpstreamStatus { active, ..UpstreamStatus::default() }],
            ..Status::default()
        };
        for (status, expected) in [
            (status(true, ChainState::Hashing, 81.0, true), Signal::Good),
            (status(true, ChainState::Hashing, 79.0, true), Signal::Trouble),
            (status(true, ChainState::Hashing, 99.0, false), Signal::Trouble),
            (status(true, ChainState::Failed, 99.0, true), Signal::Trouble),
            (status(false, ChainState::Off, 0.0, false), Signal::Good),
        ] {
            assert_eq!(signal(&status), expected, "{status:?}");
        }
    }
}
