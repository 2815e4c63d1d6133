//! The real client of USB boards on the simulated board's controller, over a pty, with the machine's parts behind it.

use hwdrivers::bus::usb_control::{ANSWER_LIMIT, Analog, Handle, UsbControl};
use hwdrivers::bus::{BusError, Message, open};
use hwdrivers::fan::Fans;
use hwdrivers::fan::emc2305::Emc2305;
use hwdrivers::sensor::Sensor;
use hwdrivers::sensor::tmp75::Tmp75;
use model::{Celsius, FanId, Percent, Time};
use sim::pty::Pty;
use sim::usb_board::{Firmware, Trouble, UsbBoard};
use sim::{World, buses};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A machine whose bus and lines sit behind a USB board, on a thread of its own, until it is dropped.
struct Plugged {
    board: Arc<Mutex<Option<(UsbBoard, Pty)>>>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Plugged {
    fn new(firmware: Firmware) -> Plugged {
        let world = Arc::new(Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, sim::real_time::SCALE)));
        let mut buses = buses(&world);
        let line = Pty::open("the controller").expect("a pty");
        let path = PathBuf::from(line.path());
        let board = Arc::new(Mutex::new(Some((UsbBoard::new(firmware), line))));
        let (served, began) = (Arc::clone(&board), Instant::now());
        let thread = std::thread::spawn(move || {
            while let Some((usb, line)) = &mut *served.lock().unwrap_or_else(PoisonError::into_inner) {
                usb.turn(line, Time::ZERO + began.elapsed(), &mut *buses.i2c, &mut *buses.gpio).expect("a pty");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Plugged { board, path, thread: Some(thread) }
    }

    fn with<R>(&self, f: impl FnOnce(&mut UsbBoard) -> R) -> R {
        f(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner).as_mut().expect("it is plugged").0)
    }

    fn pull(&mut self) {
        drop(self.board.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it serves to its end");
        }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.pull();
    }
}

#[test]
fn the_machines_parts_answer_through_the_boards_controller() {
    for firmware in [Firmware::Old, Firmware::New] {
        let plugged = Plugged::new(firmware);
        // As the settings name it: one path for both, and each owner opens it by itself.
        let (mut i2c, mut gpio) = (open::i2c(&plugged.path).expect("opens"), open::gpio(&plugged.path).expect("opens"));
        assert_eq!(Tmp75::new(0x48).read(&mut *i2c).expect("answers"), Celsius(25.0), "{firmware:?}");
        let mut fans = Emc2305::new(0x2d);
        fans.set_duty(&mut *i2c, FanId(1), Percent(80.0)).expect("answers");
        assert!(fans.rpm(&mut *i2c, FanId(1)).expect("answers").is_some());
        gpio.set(1, true).expect("a line");
        assert!(gpio.get(1).expect("a line"));
        gpio.set(1, false).expect("a line");
        assert!(!gpio.get(1).expect("a line"));

        let absent = i2c.transfer(0x33, &mut [Message::Write(&[0]), Message::Read(&mut [0; 2])]);
        assert!(matches!(absent, Err(BusError::Nack(0x33))), "{absent:?}");
        let input = gpio.set(3, true).expect_err("an input");
        assert!(matches!(input, BusError::Os { .. }), "{input:?}");
        assert!(gpio.get(3).is_ok());

        plugged.with(|b| b.analog = [0x123, 0x456]);
        let control = Handle::open(&plugged.path).expect("the same port");
        assert_eq!(control.with(|c| c.analog(Analog::Vdd)).expect("an input"), 0x123);
        assert_eq!(control.with(|c| c.analog(Analog::Vin)).expect("an input"), 0x456);
        control.with(|c| c.light([0, 0x80, 0xff])).expect("a light");
        assert_eq!(plugged.with(|b| b.light), [0, 0x80, 0xff]);
    }
}

#[test]
fn what_the_controller_refuses_is_told_and_over_with_the_trouble() {
    for firmware in [Firmware::Old, Firmware::New] {
        let plugged = Plugged::new(firmware);
        let mut i2c = open::i2c(&plugged.path).expect("opens");
        for (trouble, told) in
            [(Trouble::Timeout, "timed out"), (Trouble::Invalid, "does not know"), (Trouble::Overflow, "no room")]
        {
            plugged.with(|b| b.trouble = Some(trouble));
            let error = Tmp75::new(0x48).read(&mut *i2c).expect_err("refused");
            let mut text = String::new();
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(e) = cause {
                text += &format!("{e}: ");
                cause = e.source();
            }
            assert!(text.contains(told), "{firmware:?} {trouble:?}: {text}");
            plugged.with(|b| b.trouble = None);
            assert!(Tmp75::new(0x48).read(&mut *i2c).is_ok(), "{firmware:?} {trouble:?}");
        }
        plugged.with(|b| b.trouble = Some(Trouble::Mute));
        let began = Instant::now();
        assert!(Tmp75::new(0x48).read(&mut *i2c).is_err());
        // A guard alone: a busy machine may let a thread wait.
        assert!(began.elapsed() < ANSWER_LIMIT * 50, "{:?}", began.elapsed());
        plugged.with(|b| b.trouble = None);
        assert!(Tmp75::new(0x48).read(&mut *i2c).is_ok());
    }
}

#[test]
fn a_pulled_board_is_gone_for_both_owners_and_the_next_is_opened_anew() {
    let mut plugged = Plugged::new(Firmware::New);
    let (mut i2c, mut gpio) = (open::i2c(&plugged.path).expect("opens"), open::gpio(&plugged.path).expect("opens"));
    plugged.pull();
    assert!(matches!(Tmp75::new(0x48).read(&mut *i2c).map_err(|e| format!("{e:?}")), Err(e) if e.contains("Gone")));
    assert!(matches!(gpio.get(0), Err(BusError::Gone)));
    // The next pty may well have the same name, while an owner still holds the old line.
    let next = Plugged::new(Firmware::Old);
    let mut again = open::i2c(&next.path).expect("opens");
    assert!(Tmp75::new(0x48).read(&mut *again).is_ok());
}

#[test]
fn a_line_on_which_nobody_answers_is_no_controller() {
    let plugged = Plugged::new(Firmware::New);
    plugged.with(|b| b.trouble = Some(Trouble::Mute));
    let error = UsbControl::open(&plugged.path).err().expect("nobody answers");
    assert!(error.to_string().contains(&*plugged.path.to_string_lossy()), "{error}");
    assert!(UsbControl::open(Path::new("/dev/null")).is_err());
}
