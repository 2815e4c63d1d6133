//! What `make bench` rests on: medians, goals, and job frames found in a stream of bytes. The measuring itself is not tested: it
//! takes the clock on the wall.

#[path = "../benches/first_light/figure.rs"]
#[expect(dead_code, reason = "the bench uses what this test does not")]
mod figure;
#[path = "../benches/first_light/tap.rs"]
#[expect(dead_code, reason = "the bench uses what this test does not")]
mod tap;

use figure::{Figure, Goal, quantile};
use tap::Frames;

#[test]
fn quantiles_are_values_that_were_measured() {
    let times = [5.0, 1.0, 4.0, 2.0, 3.0];
    let at = |part| quantile(&times, part);
    assert_eq!((at(0.0), at(0.5), at(0.99), at(1.0)), (1.0, 3.0, 5.0, 5.0));
    let thousand: Vec<f64> = (1..=1000).map(f64::from).collect();
    assert_eq!((quantile(&thousand, 0.5), quantile(&thousand, 0.99)), (500.0, 990.0));
    assert_eq!(quantile(&[], 0.5), 0.0);
}

#[test]
fn a_goal_is_met_by_the_first_value_alone() {
    let figure = |times: &[f64], goal| Figure::of_times("x_seconds", times, goal).met();
    assert_eq!(figure(&[0.01, 0.02, 9.0], Goal::Below(0.1)), Some(true));
    assert_eq!(figure(&[0.1], Goal::Below(0.1)), Some(false));
    assert_eq!(figure(&[2.0], Goal::Above(2.0)), Some(false));
    assert_eq!(figure(&[0.0], Goal::Exactly(0.0)), Some(true));
    assert_eq!(figure(&[1.0], Goal::None), None);
}

const NONE: [u32; 0] = [];

fn job(word: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x55, 0xaa, 0x21, 0x36];
    frame.resize(50, 7);
    frame.extend(word.repeat(8));
    frame.resize(88, 7);
    frame
}

#[test]
fn jobs_are_told_among_commands_garbage_and_halves() {
    let mut frames = Frames::default();
    assert_eq!(frames.push(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a, 1, 2, 0x55]), NONE);
    // A preamble inside a command's data does not begin a frame.
    assert_eq!(frames.push(&[0x55, 0xaa, 0x51, 9, 0, 0x55, 0xaa, 0x21, 0x36, 1, 2]), NONE);
    let (one, two) = (job([0, 0, 1, 2]), job([0, 0, 1, 3]));
    assert_eq!(frames.push(&one[..40]), NONE);
    assert_eq!(frames.push(&[&one[40..], &two[..]].concat()), [0x102, 0x103]);
    let mut mixed = job([0, 0, 1, 4]);
    mixed[60] ^= 1;
    assert_eq!(frames.push(&mixed), NONE, "the hash of a real block has no tag");
    assert_eq!(frames.push(&job([0, 0, 1, 5])), [0x105]);
}
