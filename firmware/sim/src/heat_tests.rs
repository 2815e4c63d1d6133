//! Boards of every product under load, without air, and without power.

use super::*;
use model::Percent;

fn full_load(p: &Product) -> Load {
    let chips = p.hashboards[0].chain.chips;
    Load { chips, clock: p.limits.clock_nominal, rail: p.limits.rail_nominal, hashing: true }
}

fn run(p: &Product, board: &mut BoardHeat, air: &mut Air, duty: f64, seconds: u64) {
    let (physics, load) = (Physics::of(p), full_load(p));
    for _ in 0..seconds * 10 {
        air.step(|_| Percent(duty));
        board.step(&physics, &load, air);
    }
}

fn cold(p: &Product) -> (BoardHeat, Air) {
    let air = Air::new(usize::from(p.fans), p.limits.fan_full);
    (BoardHeat::new(&p.hashboards[0], 1, air.ambient), air)
}

fn settled(p: &Product, duty: f64) -> BoardHeat {
    let (mut board, mut air) = cold(p);
    run(p, &mut board, &mut air, duty, 1800);
    board
}

#[test]
fn full_load_settles_at_work_temperature_and_power() {
    for p in board::PRODUCTS {
        let power = p.power.0 / p.hashboards.len() as f64;
        // Heat transfer follows the speed of the fans, which at 60 and 80 % is six sevenths and nine eighths of that at 70.
        for (duty, least, most) in [(60.0, 0.0, 13.0), (70.0, -5.0, 5.0), (80.0, -11.0, 2.0)] {
            let (least, most) = if p.fans == 0 { (-5.0, 5.0) } else { (least, most) };
            let b = settled(p, duty);
            let (chip, over) = (b.warmest().0, b.warmest().0 - b.outlet().0);
            assert!((least..most).contains(&(chip - p.limits.target.0)), "{} {duty}: {chip}", p.name);
            assert!((5.0..20.0).contains(&over), "{} {duty}: {over}", p.name);
            assert!((b.power().0 / power - 1.0).abs() < 0.05, "{} {duty}: {}", p.name, b.power());
        }
        assert!(p.fans == 0 || settled(p, 100.0).warmest() < settled(p, 60.0).warmest(), "{}", p.name);
    }
}

#[test]
fn without_fans_it_passes_danger_within_two_minutes() {
    for p in board::PRODUCTS.iter().filter(|p| p.fans > 0) {
        let (mut board, mut air) = cold(p);
        run(p, &mut board, &mut air, 70.0, 1800);
        run(p, &mut board, &mut air, 0.0, 25);
        assert!(board.warmest() < p.limits.danger, "{} {}", p.name, board.warmest());
        run(p, &mut board, &mut air, 0.0, 95);
        assert!(board.warmest() > p.limits.danger, "{} {}", p.name, board.warmest());
    }
}

#[test]
fn the_air_warms_one_group_behind_the_other() {
    for p in board::PRODUCTS.iter().filter(|p| p.hashboards[0].chain.chips > 1) {
        let b = settled(p, 70.0);
        let groups: Vec<_> = b.groups().map(|c| c.0).collect();
        assert!(groups.windows(2).all(|g| g[0] < g[1]), "{}: {groups:?}", p.name);
        assert!(groups.len() >= 4 && b.inlet() < b.outlet(), "{}: {groups:?}", p.name);
        let least = b.chips().iter().copied().reduce(Celsius::min).expect("chips");
        let spread = (b.warmest() - least).0 / (b.warmest().0 - ROOM.0);
        assert!((0.2..0.5).contains(&spread), "{}: {spread}", p.name);
        assert_eq!(b.chips().iter().copied().reduce(Celsius::max), Some(b.warmest()));
    }
}

#[test]
fn chips_that_are_cut_off_warm_nothing_and_those_before_them_do() {
    let p = &board::antminer_s21::PRODUCT;
    let (mut board, mut air) = cold(p);
    let load = Load { chips: 4, ..full_load(p) };
    for _ in 0..18_000 {
        air.step(|_| Percent(70.0));
        board.step(&Physics::of(p), &load, &air);
    }
    let groups: Vec<_> = board.groups().map(|c| c.0).collect();
    assert!(groups[8] > 28.0 && groups[0] < 28.0, "the first four sit where the air leaves: {groups:?}");
    assert!(board.power() < Watt(120.0), "{}", board.power());
}

#[test]
fn a_rail_that_is_off_takes_nothing() {
    let p = &board::antminer_s19jpro::PRODUCT;
    let off = Load { rail: Volt(0.0), ..full_load(p) };
    assert_eq!(Physics::of(p).power(&off, Celsius(60.0)), Watt(0.0));
    let (mut board, air) = cold(p);
    board.step(&Physics::of(p), &off, &air);
    assert_eq!((board.power(), board.warmest()), (Watt(0.0), ROOM));
}
