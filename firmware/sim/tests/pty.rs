//! The real drivers on a simulated machine in real time, over ptys and the bus socket, as another process has them.

use hwdrivers::bus::socket::{SocketGpio, SocketI2c};
use hwdrivers::bus::tty::LinuxTty;
use hwdrivers::bus::{BusError, Gpio, I2c, Message};
use hwdrivers::chip::bm13xx::chain::Chain;
use hwdrivers::chip::{ChainDriver, ChainEvent};
use hwdrivers::fan::{Fans, emc2305::Emc2305};
use hwdrivers::power::{self, Event, Order, dspic};
use hwdrivers::sensor::{Sensor, SensorError, tmp75::Tmp75};
use model::{Baud, Celsius, FanId, Percent, Rpm, Time, Volt};
use sim::{RealTime, World, lock, real_time::SCALE};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Turns before something that must come counts as missing; a guard alone, a hundred times what is needed.
const TURNS_LIMIT: usize = 300_000;

/// A machine on a thread of its own, ended with the test.
struct Served {
    world: Arc<Mutex<World>>,
    ttys: Vec<PathBuf>,
    socket: PathBuf,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn new(name: &str) -> Served {
        let socket = std::env::temp_dir().join(format!("otedama-test-{name}-{}.sock", std::process::id()));
        let mut machine = RealTime::open(&board::antminer_s19jpro::PRODUCT, 1, &socket).expect("ptys and a socket");
        let (world, ttys) = (Arc::clone(machine.world()), machine.ttys().map(PathBuf::from).collect());
        let (stop, stopped) = UnixStream::pair().expect("a pair");
        let thread = std::thread::spawn(move || machine.run(&stopped).expect("serves"));
        Served { world, ttys, socket, stop: Some(stop), thread: Some(thread) }
    }

    fn i2c(&self) -> SocketI2c {
        SocketI2c::open(&self.socket).expect("listens")
    }

    fn gpio(&self) -> SocketGpio {
        SocketGpio::open(&self.socket).expect("listens")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|e| e.is_ok()), "it serves to its end");
    }
}

fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..TURNS_LIMIT {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came");
}

#[test]
fn sensors_fans_and_lines_answer_over_the_socket_and_silence_is_a_nack() {
    let served = Served::new("bus");
    let (mut i2c, mut gpio) = (served.i2c(), served.gpio());
    assert_eq!(Tmp75::new(0x49).read(&mut i2c).expect("answers"), Celsius(25.0));
    let mut fans = Emc2305::new(0x2d);
    fans.set_duty(&mut i2c, FanId(2), Percent(80.0)).expect("answers");
    until(|| fans.rpm(&mut i2c, FanId(2)).expect("answers").is_some_and(|rpm| rpm > Rpm(3000.0)));
    assert_eq!(fans.rpm(&mut i2c, FanId(1)).expect("answers"), Some(Rpm(0.0)));

    assert!(matches!(i2c.transfer(0x33, &mut [Message::Write(&[0])]), Err(BusError::Nack(0x33))));
    lock(&served.world).silence(0x49, true);
    assert!(matches!(Tmp75::new(0x49).read(&mut i2c), Err(SensorError::Bus(BusError::Nack(0x49)))));
    lock(&served.world).silence(0x49, false);
    assert!(Tmp75::new(0x49).read(&mut i2c).is_ok());

    assert!(gpio.get(48).expect("a line"));
    lock(&served.world).unplug(1);
    assert!(!gpio.get(48).expect("a line"));
    gpio.set(5, true).expect("a line");
    assert!(gpio.get(5).expect("a line"));
    let error = gpio.set(u32::MAX, true).expect_err("no such line");
    assert!(error.to_string().contains("4294967295"), "{error}");
}

#[test]
fn a_client_that_talks_nonsense_is_let_go_alone() {
    let served = Served::new("nonsense");
    let mut good = served.i2c();
    for garbage in [&[0, 0][..], &[0xff, 0xff], &[1, 0, 99], &[3, 0, 1, 0xff, 0], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = UnixStream::connect(&served.socket).expect("listens");
        client.write_all(garbage).expect("taken");
        // The end or a reset, and not a byte of answer.
        assert_eq!(client.read(&mut [0; 8]).unwrap_or(0), 0, "{garbage:?}");
        assert!(Tmp75::new(0x48).read(&mut good).is_ok(), "{garbage:?}");
    }
    // Half a frame is waited for, and one client too many is let go.
    let mut half = UnixStream::connect(&served.socket).expect("listens");
    half.write_all(&[5]).expect("taken");
    let crowd: Vec<_> = (0..20).map(|_| UnixStream::connect(&served.socket).expect("listens")).collect();
    assert!(Tmp75::new(0x48).read(&mut good).is_ok());
    assert_eq!(crowd.last().expect("a client").read(&mut [0; 8]).unwrap_or(0), 0);
    half.write_all(&[0, 3, 48, 0, 0, 0]).expect("taken");
    let mut answer = [0; 4];
    half.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [2, 0, 0, 1]);
}

#[test]
fn with_supply_rail_and_reset_the_real_driver_counts_126_chips() {
    let served = Served::new("count");
    let (mut i2c, mut gpio) = (served.i2c(), served.gpio());
    let began = Instant::now();
    let now = || Time::ZERO + began.elapsed();
    gpio.set(65, true).expect("a line");
    let product = &board::antminer_s19jpro::PRODUCT;
    let mut supply = power::supply(product.supply);
    let mut rail = power::regulator(product.hashboards[0].regulator, &product.limits);
    for order in [Order::Identify, Order::SetVoltage(Volt(13.2))] {
        supply.order(order);
    }
    rail.order(Order::Enable);
    let (mut set, mut enabled) = (false, false);
    until(|| {
        supply.turn(now(), &mut i2c, &mut gpio);
        rail.turn(now(), &mut i2c, &mut gpio);
        while let Some(e) = supply.next_event() {
            assert!(!matches!(e, Event::Failed { .. }), "{e:?}");
            set |= matches!(e, Event::Done(Order::SetVoltage(_)));
        }
        while let Some(e) = rail.next_event() {
            assert!(!matches!(e, Event::Failed { .. }), "{e:?}");
            enabled |= matches!(e, Event::Done(Order::Enable));
        }
        set && enabled
    });
    gpio.set(5, true).expect("a line");

    let tty = LinuxTty::open(&served.ttys[0], Baud(115_200)).expect("a serial line");
    let mut chain = Chain::new(tty, &board::antminer_s19jpro::PRODUCT.hashboards[0].chain, SCALE);
    chain.start(now());
    let (mut counted, mut beat_at) = (None, now());
    until(|| {
        if now() >= beat_at {
            rail.order(Order::Feed);
            beat_at = now() + dspic::HEARTBEAT_PERIOD;
        }
        rail.turn(now(), &mut i2c, &mut gpio);
        chain.turn(now()).expect("a line");
        while let Some(e) = chain.next_event() {
            if let ChainEvent::Counted { chips } = e {
                counted = Some(chips);
            }
        }
        counted.is_some()
    });
    assert_eq!(counted, Some(126));
}

#[test]
fn its_socket_goes_with_it_and_one_that_is_there_is_not_taken() {
    let served = Served::new("path");
    let path = served.socket.clone();
    assert!(RealTime::open(&board::antminer_s19jpro::PRODUCT, 1, &path).is_err());
    let mut client = served.i2c();
    drop(served);
    assert!(!Path::exists(&path));
    assert!(matches!(client.transfer(0x48, &mut []), Err(BusError::Gone)));
    assert!(matches!(client.transfer(0x48, &mut []), Err(BusError::Os { .. })), "nobody listens any more");
}
