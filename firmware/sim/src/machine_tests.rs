//! The world from outside: what buses and lines do to it, and what it does to them.

use super::*;
use crate::fault::feigned::Felt;
use model::{Rpm, Watt};
use std::sync::Arc;

const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 36, stretch_bits: 0 };

struct Bench {
    world: Arc<Mutex<World>>,
    buses: Buses,
}

impl Bench {
    fn new() -> Bench {
        let world = Arc::new(Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, SCALE)));
        let buses = buses(&world);
        Bench { world, buses }
    }

    fn advance(&self, millis: u64) {
        let mut w = lock(&self.world);
        let to = w.now() + std::time::Duration::from_millis(millis);
        w.advance(to);
    }

    fn write(&mut self, address: u8, bytes: &[u8]) {
        self.buses.i2c.transfer(address, &mut [Message::Write(bytes)]).expect("answers");
    }

    /// Supply at 13.2 V, rail of chain 0 on, its reset released.
    fn power_on(&mut self) {
        self.buses.gpio.set(65, true).expect("a line");
        for b in [0x55, 0xaa, 6, 0x83, 152, 0, 0x21, 1] {
            self.write(0x10, &[0x11, b]);
        }
        for b in [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b] {
            self.write(0x20, &[b]);
        }
        self.buses.gpio.set(5, true).expect("a line");
    }

    fn count_chips(&mut self) -> usize {
        self.buses.uarts[0].write(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a]).expect("a line");
        self.advance(200);
        self.buses.uarts[0].read(&mut [0; 4096]).expect("a line") / 9
    }
}

#[test]
fn chips_answer_only_with_supply_rail_and_reset() {
    let mut b = Bench::new();
    assert_eq!(b.count_chips(), 0);
    b.power_on();
    assert!((lock(&b.world).rail(0).expect("a chain").0 - 13.19).abs() < 0.01);
    assert_eq!(lock(&b.world).rail(1), Some(Volt(0.0)));
    assert_eq!(b.count_chips(), 126);
    lock(&b.world).cut_chain(0, 40);
    assert_eq!(b.count_chips(), 40);
    b.buses.gpio.set(65, false).expect("a line");
    assert_eq!(b.count_chips(), 0);
    assert_eq!(lock(&b.world).power(), Watt(0.0));
}

#[test]
fn a_host_that_falls_silent_loses_the_rail() {
    let mut b = Bench::new();
    b.power_on();
    b.advance(9_900);
    assert!(lock(&b.world).rail(0) > Some(Volt(13.0)));
    b.advance(300);
    assert_eq!(lock(&b.world).rail(0), Some(Volt(0.0)));
}

#[test]
fn fans_obey_and_are_seen_and_a_silent_part_is_a_nack() {
    let mut b = Bench::new();
    for fan in 0..4 {
        b.write(0x2d, &[0x30 + 16 * fan, 0xff]);
    }
    b.advance(15_000);
    assert!(lock(&b.world).fan_speeds().iter().all(|s| *s > Rpm(5900.0)));
    lock(&b.world).silence(0x2d, true);
    let nack = b.buses.i2c.transfer(0x2d, &mut [Message::Write(&[0x30, 0])]);
    assert!(matches!(nack, Err(BusError::Nack(0x2d))));
    assert!(matches!(b.buses.i2c.transfer(0x33, &mut []), Err(BusError::Nack(0x33))));
}

#[test]
fn an_unplugged_board_is_gone_from_line_and_bus() {
    let mut b = Bench::new();
    assert!(b.buses.gpio.get(48).expect("a line"));
    lock(&b.world).unplug(1);
    assert!(!b.buses.gpio.get(48).expect("a line"));
    assert!(matches!(b.buses.i2c.transfer(0x21, &mut []), Err(BusError::Nack(0x21))));
    assert!(matches!(b.buses.i2c.transfer(0x49, &mut []), Err(BusError::Nack(0x49))));
    assert!(b.buses.i2c.transfer(0x48, &mut []).is_ok());
}

#[test]
fn chips_that_were_far_too_hot_never_answer_again() {
    let mut b = Bench::new();
    b.power_on();
    for fan in 0..4 {
        b.write(0x2d, &[0x30 + 16 * fan, 0xff]);
    }
    assert_eq!(b.count_chips(), 126);
    lock(&b.world).set_ambient(Celsius(140.0));
    b.advance(600_000);
    assert!(lock(&b.world).chip_temperature(0) > Some(Celsius(135.0)));
    b.power_on();
    assert_eq!(b.count_chips(), 126);
    lock(&b.world).set_ambient(Celsius(170.0));
    b.advance(600_000);
    lock(&b.world).set_ambient(Celsius(25.0));
    b.advance(600_000);
    assert!(lock(&b.world).chip_temperature(0) < Some(Celsius(40.0)));
    lock(&b.world).cut_chain(0, 126);
    b.power_on();
    assert_eq!(b.count_chips(), 0);
}

#[test]
fn sensors_read_the_room_at_first() {
    let mut b = Bench::new();
    let mut t = [0; 2];
    b.buses.i2c.transfer(0x4c, &mut [Message::Write(&[0]), Message::Read(&mut t)]).expect("answers");
    assert_eq!(t, [25, 0]);
}

#[test]
fn only_a_temperature_that_may_be_true_counts_as_read() {
    let world = Arc::new(Mutex::new(World::new(&board::bitaxe_max::PRODUCT, 1, SCALE)));
    let mut buses = buses(&world);
    let mut unread = |second: u64, register: u8| {
        lock(&world).advance(Time::from_secs(second));
        buses.i2c.transfer(0x4c, &mut [Message::Write(&[register]), Message::Read(&mut [0])]).expect("answers");
        lock(&world).unread_since(0).expect("a chain")
    };
    assert_eq!(unread(10, 0x46), Time::ZERO, "a tach is no temperature");
    assert_eq!(unread(11, 0x01), Time::from_secs(11));
    lock(&world).feign().sensor(Probe::Bus(0x4c), Some(Felt::Fixed(Celsius(-64.0))));
    assert_eq!(unread(12, 0x01), Time::from_secs(11), "no board has this");
    lock(&world).feign().sensor(Probe::Bus(0x4c), None);
    lock(&world).open_diodes(Probe::Bus(0x4c), true);
    assert_eq!(unread(13, 0x01), Time::from_secs(11), "a code is no temperature");
    lock(&world).open_diodes(Probe::Bus(0x4c), false);
    assert_eq!(unread(14, 0x01), Time::from_secs(14));
}
