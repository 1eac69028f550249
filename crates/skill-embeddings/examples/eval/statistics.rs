//! Confidence intervals.

const SAMPLES: usize = 2_000;
/// Any odd number: the intervals are the same in every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mean and 95 % interval of values, by the percentiles of the means of random samples with replacement (bootstrap).
pub(crate) fn interval(values: &[f64]) -> (f64, f64, f64) {
    let mut state = SEED;
    let mut means: Vec<f64> = (0..SAMPLES).map(|_| sample_mean(values, &mut state)).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[(share * (SAMPLES - 1) as f64).round() as usize];
    (
        values.iter().sum::<f64>() / values.len() as f64,
        at(0.025),
        at(0.975),
    )
}

fn sample_mean(values: &[f64], state: &mut u64) -> f64 {
    let sum: f64 = (0..values.len())
        .map(|_| values[(next(state) % values.len() as u64) as usize])
        .sum();
    sum / values.len() as f64
}

/// A random number (SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
