//! How surprising a count is. Nonces and their errors come by chance, so few of them say little; what is seen is held against what
//! chance would show, by Chernoff's bound of the Poisson distribution, which errs on the side of no surprise.
//!
//! Both give -ln of a bound on the probability: 4.6 is one in a hundred, 11.5 one in 10^5, 20.7 one in 10^9.

/// How improbable so few are where `mean` is the average; 0 where they are not few.
#[must_use]
pub fn too_few(found: u64, mean: f64) -> f64 {
    if found as f64 >= mean { 0.0 } else { surprise(found, mean) }
}

/// How improbable so many are where `mean` is the average; 0 where they are not many.
#[must_use]
pub fn too_many(found: u64, mean: f64) -> f64 {
    if found as f64 <= mean { 0.0 } else { surprise(found, mean) }
}

fn surprise(found: u64, mean: f64) -> f64 {
    let n = found as f64;
    match found {
        0 => mean,
        _ if mean <= 0.0 => f64::INFINITY,
        _ => mean - n + n * (n / mean).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_documented_one() {
        for (found, mean, few, many) in [
            (0, 20.7, 20.7, 0.0),
            (50, 100.0, 15.34, 0.0),
            (100, 100.0, 0.0, 0.0),
            (120, 100.0, 0.0, 1.88),
            (200, 100.0, 0.0, 38.63),
            (5, 0.0, 0.0, f64::INFINITY),
        ] {
            assert!((too_few(found, mean) - few).abs() < 0.01, "{found} of {mean}: {}", too_few(found, mean));
            let seen = too_many(found, mean);
            assert!(seen == many || (seen - many).abs() < 0.01, "{found} of {mean}: {seen}");
        }
    }
}
