//! `otedama init` before it starts any child, on a simulated machine of every product that was left running: rails on, chips out of
//! reset, fans still. Whatever parts a product has, all is off and its fans are full when it says that hardware is safe.

use hwdrivers::bus::{Gpio, I2c};
use hwdrivers::power::{self, Event, Order, Power};
use model::{ChainLine, FanPart, Hashboard, Percent, Product, RegulatorPart, Time, Volt};
use sim::bench_socket::BenchSocket;
use sim::{Buses, World, buses, lock};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest time that a part may take to be switched on, of its own.
const ON_LIMIT: Duration = Duration::from_secs(20);
/// Most lines that are read in wait of one.
const LINES_LIMIT: usize = 16;

/// Carries out orders in the world's own time.
fn told(world: &Mutex<World>, part: &mut dyn Power, i2c: &mut dyn I2c, gpio: &mut dyn Gpio, orders: &[Order]) {
    let end = lock(world).now() + ON_LIMIT;
    for order in orders {
        part.order(*order);
        loop {
            let now = lock(world).now();
            assert!(now < end, "{order:?} takes for ever");
            part.turn(now, i2c, gpio);
            match part.next_event() {
                Some(Event::Done(done)) if done == *order => break,
                Some(Event::Failed { order, error }) => panic!("{order:?}: {error}"),
                Some(_) => {}
                // A voltage id's pulses are quarters of a millisecond.
                None => lock(world).advance(part.wake_at().max(now + Duration::from_micros(1)).min(end)),
            }
        }
    }
}

/// All rails on, no chip held, no air.
fn start(product: &Product, world: &Mutex<World>, b: &mut Buses) {
    let l = &product.limits;
    told(world, &mut *power::supply(product.supply), &mut *b.i2c, &mut *b.gpio, &[Order::SetVoltage(l.supply), Order::Feed]);
    product.supply_enable.iter().for_each(|line| b.gpio.set(line.number, line.is_high(true)).expect("a line"));
    let on = [Order::SetVoltage(l.rail_nominal), Order::Enable];
    for board in product.hashboards {
        board.enables.iter().for_each(|line| b.gpio.set(line.number, line.is_high(true)).expect("a line"));
        told(world, &mut *power::regulator(board.regulator, l), &mut *b.i2c, &mut *b.gpio, &on);
        b.gpio.set(board.reset.number, board.reset.is_high(false)).expect("a line");
    }
    for fan in (0..product.fans).map(model::FanId) {
        let controller = hwdrivers::fan::driver(product.fan);
        controller.into_iter().for_each(|mut c| c.set_duty(&mut *b.i2c, fan, Percent(0.0)).expect("answers"));
    }
    if let FanPart::Pwm(fans) = product.fan {
        hwdrivers::fan::pwm::BoardFans::new(fans).set_duty(&mut *b.pwm, Percent(0.0)).expect("outputs");
    }
}

/// A device's `i2c` and `gpio` in the settings, `PATH` being the machine's socket, and what `init` is to say of it.
struct Reach(&'static str, &'static str, &'static str);

/// All of it.
const ALL: Reach = Reach("PATH", "PATH", "hardware is safe");

/// Lets `init` come up on such a machine; what it says of it.
fn secured(product: &Product, name: &str, said: &str, reach: &Reach) -> (Arc<Mutex<World>>, Buses) {
    let folder = std::env::temp_dir().join(format!("otedama-safe-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let (socket, config) = (folder.join("bus"), folder.join("config.yaml"));
    let world = Arc::new(Mutex::new(World::new(product, 1, sim::real_time::SCALE)));
    let mut b = buses(&world);
    start(product, &world, &mut b);
    let chains = product.hashboards.len();
    assert!((0..chains).all(|c| lock(&world).rail(c) > Some(Volt(0.0))), "{name} is on");

    let path = socket.display();
    // None is there: what makes safe needs none.
    let line = |(c, b): (usize, &Hashboard)| match b.line {
        ChainLine::Uart => format!("/dev/none{c}"),
        ChainLine::Spi => format!("/dev/spidev99.{c}"),
    };
    let ttys: Vec<String> = product.hashboards.iter().enumerate().map(line).collect();
    let device = format!(
        "{{product: {}, ttys: [{}], i2c: {}, gpio: {}, simulated: true{said}}}",
        product.name,
        ttys.join(", "),
        reach.0,
        reach.1
    );
    let device = device.replace("PATH", &path.to_string());
    std::fs::write(&config, format!("mining: {{asic: {{devices: [{device}]}}}}\n")).expect("written");
    let mut server = BenchSocket::open(&socket).expect("listens");
    let (end, served, began) = (Arc::new(AtomicBool::new(false)), Arc::clone(&world), Instant::now());
    let (from, stop) = (lock(&world).now(), Arc::clone(&end));
    let serving = std::thread::spawn(move || {
        let mut b = buses(&served);
        while !stop.load(Ordering::Relaxed) {
            lock(&served).advance(from + began.elapsed());
            server.turn(&mut *b.i2c, &mut *b.gpio, &mut *b.pwm);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_otedama"));
    command.arg("init").arg("--config").arg(&config).args(["--child", "cat"]);
    // The child ends with its input, when this one is killed.
    let mut init = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(init.stderr.take().expect("piped")).lines().take(LINES_LIMIT).map_while(Result::ok);
    let line = lines.find(|l| l.contains("safe")).unwrap_or_default();
    // What it has done is looked at as it stands then; it is killed so that it does nothing more.
    let _ = init.kill();
    let _ = init.wait();
    end.store(true, Ordering::Relaxed);
    serving.join().expect("served");
    let _ = std::fs::remove_dir_all(&folder);
    assert!(line.contains(reach.2), "{name}: {line}");
    (world, b)
}

fn assert_safe(product: &Product, name: &str, said: &str) {
    let (world, mut b) = secured(product, name, said, &ALL);
    for (chain, board) in product.hashboards.iter().enumerate() {
        assert_eq!(lock(&world).rail(chain), Some(Volt(0.0)), "{name}: rail of chain {chain}");
        let reset = b.gpio.get(board.reset.number).expect("a line");
        assert!(board.reset.is_active(reset), "{name}: chain {chain} is held in reset");
    }
    let full = (product.fan != FanPart::None).then_some(Percent(100.0));
    assert_eq!(lock(&world).duty(), full, "{name}: fans");
    assert!(lock(&world).now() > Time::ZERO);
}

#[test]
fn every_product_that_was_left_running_is_made_safe() {
    for product in board::PRODUCTS {
        assert_safe(product, product.name, "");
    }
}

#[test]
fn fans_on_outputs_of_a_control_board_are_made_full() {
    let wired = board::wiring::on(&board::antminer_s19jpro::PRODUCT, "bcb100").expect("fits");
    assert_safe(wired, "bcb100", ", control_board: bcb100, pwm: PATH");
}

#[test]
fn fans_on_outputs_are_made_full_where_the_bus_is_gone() {
    let wired = board::wiring::on(&board::antminer_s19jpro::PRODUCT, "bcb100").expect("fits");
    let reach = Reach("/nonexistent/i2c", "PATH", "not safe: reach the parts");
    let (world, mut b) = secured(wired, "no-bus", ", control_board: bcb100, pwm: PATH", &reach);
    assert_eq!(lock(&world).duty(), Some(Percent(100.0)));
    let supply = wired.supply_enable.expect("it has a line");
    assert!(!supply.is_active(b.gpio.get(supply.number).expect("a line")), "and its supply off");
}

#[test]
fn rails_with_a_regulator_on_the_bus_are_switched_off_where_a_dead_child_holds_the_lines() {
    for product in board::PRODUCTS {
        let on_bus = product.hashboards.iter().all(|b| {
            matches!(b.regulator, RegulatorPart::Dspic { .. } | RegulatorPart::Pic16 { .. } | RegulatorPart::Tps546 { .. })
        });
        if on_bus {
            let reach = Reach("PATH", "/dev/null", "not safe: hold the lines");
            let (world, _) = secured(product, &format!("{}-no-lines", product.name), "", &reach);
            for chain in 0..product.hashboards.len() {
                assert_eq!(lock(&world).rail(chain), Some(Volt(0.0)), "{}: rail of chain {chain}", product.name);
            }
        }
    }
}
