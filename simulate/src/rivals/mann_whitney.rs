//! How far one sample lies above another, with a confidence interval, by inverting the Mann-Whitney U test: Kayenta's
//! arithmetic, digit for digit.
//!
//! With samples x and y of n and m values, and x moved down by `shift`, U counts the pairs in which x is the greater,
//! ties by halves. Its normal approximation, with corrections for continuity and for ties among t values, is
//!
//! ```text
//! D     = U - n m / 2
//! sigma = sqrt(n m / 12 (n + m + 1 - sum(t^3 - t) / ((n + m) (n + m - 1))))
//! z     = (D - sign(D) / 2) / sigma
//! ```
//!
//! and falls with the shift from `min x - max y` to `max x - min y`. The bounds are the shifts at which z is the normal
//! quantile of the confidence, positive and negative; where z does not get as far, the end of that range. The estimate
//! is where z is 0 (Hodges and Lehmann's, but for what follows). There is no exact distribution for small samples.
//!
//! z is a step function, so where a search for its root stops matters. Kayenta's ([BrentSolver.java]) is the one behind
//! R's `uniroot`, with R's tolerance in `wilcox.test`: an absolute 1e-4, in the metric's own unit. Where most values
//! are tied, as are error rates of 0, the true bounds are 0, and what comes out is where the search happened to stop.
//!
//! Source: [MannWhitney.scala]; the tests repeat its suite's examples.
//!
//! [BrentSolver.java]: https://github.com/spinnaker/spinnaker/blob/1bbbf347c44ed19d16b42e0e42358c8ab40bae66/kayenta-mannwhitney/src/main/java/com/netflix/kayenta/mannwhitney/BrentSolver.java
//! [MannWhitney.scala]: https://github.com/spinnaker/spinnaker/blob/f8b98eba888b220dcc3c7c6f2514405398300e63/kayenta/kayenta-mannwhitney/src/main/scala/com/netflix/kayenta/mannwhitney/MannWhitney.scala

/// Where the search for a root stops, in the metric's unit.
const TOLERANCE: f64 = 1e-4;
/// How often it tries.
const STEPS: usize = 1001;

/// All values are tied at some shift that was tried: there is no interval. Kayenta throws.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AllTied;

/// Two samples, each in ascending order and not empty.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    x: &'a [f64],
    y: &'a [f64],
    /// `min x - max y`.
    least: f64,
    /// `max x - min y`.
    greatest: f64,
}

impl<'a> Samples<'a> {
    /// `None` when one of them is empty. Both must be in ascending order.
    pub fn new(x: &'a [f64], y: &'a [f64]) -> Option<Self> {
        let (least, greatest) = (x.first()? - y.last()?, x.last()? - y.first()?);
        Some(Self { x, y, least, greatest })
    }

    /// The shift at which z is `quantile`: the lower bound for a positive one, the upper bound for a negative one.
    pub fn bound(self, quantile: f64) -> Result<f64, AllTied> {
        let at_least = self.z(self.least)? - quantile;
        let at_greatest = self.z(self.greatest)? - quantile;
        if at_least <= 0.0 {
            Ok(self.least)
        } else if at_greatest >= 0.0 {
            Ok(self.greatest)
        } else {
            root((self.least, at_least), (self.greatest, at_greatest), |shift| Ok(self.z(shift)? - quantile))
        }
    }

    /// The shift at which z is 0.
    pub fn estimate(self) -> Result<f64, AllTied> {
        let ends = ((self.least, self.z(self.least)?), (self.greatest, self.z(self.greatest)?));
        root(ends.0, ends.1, |shift| self.z(shift))
    }

    /// z after x was moved down by `shift`.
    #[allow(clippy::cast_precision_loss, reason = "samples have far fewer than 2^52 values")]
    #[allow(clippy::many_single_char_names, reason = "as in the formula")]
    fn z(self, shift: f64) -> Result<f64, AllTied> {
        let (n, m) = (self.x.len() as f64, self.y.len() as f64);
        // Both are in order, so one walk over both finds what is below each x, and the ties.
        let (mut x, mut y) = (self.x, self.y);
        let (mut u, mut ties) = (0.0, 0.0);
        loop {
            let value = match (x.first(), y.first()) {
                (Some(x), Some(y)) => (x - shift).min(*y),
                (Some(x), None) => x - shift,
                (None, Some(y)) => *y,
                (None, None) => break,
            };
            let below = m - y.len() as f64;
            let (more_x, more_y) = (after(x, |x| x - shift == value), after(y, |y| y == value));
            let (of_x, of_y) = ((x.len() - more_x.len()) as f64, (y.len() - more_y.len()) as f64);
            u += of_x * (below + of_y / 2.0);
            let tied = of_x + of_y;
            ties += tied.powi(3) - tied;
            (x, y) = (more_x, more_y);
        }
        let d = u - n * m / 2.0;
        let correction = if d == 0.0 { 0.0 } else { 0.5 * d.signum() };
        let all = n + m;
        let sigma = ((n * m / 12.0) * ((all + 1.0) - ties / (all * (all - 1.0)))).sqrt();
        if sigma == 0.0 { Err(AllTied) } else { Ok((d - correction) / sigma) }
    }
}

/// What follows the values at the front for which this holds.
fn after(values: &[f64], holds: impl Fn(f64) -> bool) -> &[f64] {
    let front = values.iter().take_while(|&&value| holds(value)).count();
    &values[front..]
}

/// Searches for a root of `f` between two points (x, f(x)), by Brent's method as R has it.
///
/// Every decision is as in Kayenta's solver, since where it stops shows in the results.
fn root(lower: (f64, f64), upper: (f64, f64), f: impl Fn(f64) -> Result<f64, AllTied>) -> Result<f64, AllTied> {
    // `best` is the latest approximation, `last` the one before, and the root is between `best` and `other`.
    let (mut last, mut best, mut other) = (lower, upper, lower);
    for _ in 0..STEPS {
        let stride = best.0 - last.0;
        if other.1.abs() < best.1.abs() {
            last = best;
            best = other;
            other = last;
        }
        let tolerance = 2.0 * f64::EPSILON * best.0.abs() + TOLERANCE / 2.0;
        let half = (other.0 - best.0) / 2.0;
        if half.abs() <= tolerance || best.1 == 0.0 {
            return Ok(best.0);
        }
        let may_interpolate = stride.abs() >= tolerance && last.1.abs() > best.1.abs();
        let interpolated = if may_interpolate { interpolate(last, best, other, stride, tolerance) } else { None };
        let step = interpolated.unwrap_or(half);
        // Never less than the tolerance, or it would creep.
        let step = if step.abs() >= tolerance {
            step
        } else if step > 0.0 {
            tolerance
        } else {
            -tolerance
        };
        last = best;
        best.0 += step;
        best.1 = f(best.0)?;
        if (best.1 > 0.0 && other.1 > 0.0) || (best.1 < 0.0 && other.1 < 0.0) {
            other = last;
        }
    }
    Ok(best.0)
}

/// The step from `best` that a line through two points, or an inverse parabola through three, proposes, unless it is
/// too long to be trusted.
fn interpolate(last: (f64, f64), best: (f64, f64), other: (f64, f64), stride: f64, tolerance: f64) -> Option<f64> {
    let width = other.0 - best.0;
    let (p, q) = if last.0 == other.0 {
        let ratio = best.1 / last.1;
        (width * ratio, 1.0 - ratio)
    } else {
        let (q, to_other, to_last) = (last.1 / other.1, best.1 / other.1, best.1 / last.1);
        (
            to_last * (width * q * (q - to_other) - (best.0 - last.0) * (to_other - 1.0)),
            (q - 1.0) * (to_other - 1.0) * (to_last - 1.0),
        )
    };
    let (p, q) = if p > 0.0 { (p, -q) } else { (-p, q) };
    let trusted = p < 0.75 * width * q - (tolerance * q).abs() / 2.0 && p < (stride * q / 2.0).abs();
    trusted.then(|| p / q)
}

/// Examples of Kayenta's own suite, as values and how often they occur: [MannWhitneySuite.scala].
///
/// [MannWhitneySuite.scala]: https://github.com/spinnaker/spinnaker/blob/09ce5bf746ad80233454a90b13c606c662a1ff45/kayenta/kayenta-mannwhitney/src/test/scala/com/netflix/kayenta/mannwhitney/MannWhitneySuite.scala
#[cfg(test)]
pub mod examples {
    /// "Tie out with R Version".
    pub const TIE_OUT_EXPERIMENT: &str = "1.5x9 2x16 2.5x22 3x17 3.5x9 4x5 4.5 5x3 5.5 6x2 6.5x2 7 7.5 16.5";
    pub const TIE_OUT_CONTROL: &str = "1.5x2 2x16 2.5x18 3x16 3.5x10 4x8 4.5x4 5x6 5.5x2 6x5 8 15.5 54.5";
    /// "Tie out with R Version (Large)".
    pub const LARGE_EXPERIMENT: &str = "0.5x20 1x41 1.5x67 2x37 2.5x3 3x2 3.5x3 4 5 5.5x3 8.5 19";
    pub const LARGE_CONTROL: &str = "0 0.5x7 1x32 1.5x70 2x33 2.5x22 3x6 3.5x2 4x3 4.5 5.5 7 7.5";
    /// "Intermediate Values / Variables": error rates of minutes in percent, most of them 0.
    pub const ERROR_RATES_EXPERIMENT: &str = "\
        0x146 1.234567901234584 1.3333333333333286 1.3513513513513544 1.3698630136986196 1.3888888888888857 \
        1.4285714285714164x2 1.4285714285714448 1.4492753623188293 1.470588235294116 1.5151515151515156x2 \
        1.5625x2 1.5625000000000142 1.5873015873015817 1.6129032258064484 1.6393442622950687x2 \
        1.6666666666666572x2 1.6666666666666714 1.6949152542372872 1.7241379310344769x2 1.7543859649122737 \
        1.754385964912288 1.7857142857142776 1.818181818181813x4 1.8518518518518476x3 1.8518518518518619x2 \
        1.8867924528301785 1.8867924528301927x2 1.9230769230769198 1.9607843137255117x2 2.0000000000000284 \
        2.040816326530603x2 2.439024390243887 2.564102564102555 2.702702702702709 2.8169014084507182 \
        2.985074626865682 3.0303030303030454 3.125000000000014 3.1746031746031633 3.225806451612911 \
        3.333333333333343x2 3.3898305084745743 3.4482758620689538 3.5714285714285836 3.703703703703681 \
        4.081632653061206 4.1095890410959015 5.555555555555557";
    pub const ERROR_RATES_CONTROL: &str = "\
        0x193 1.3888888888888857 1.470588235294116 1.492537313432834x3 1.5384615384615614 1.5625000000000142 \
        1.5873015873015817 1.6393442622950687 1.6949152542373014 1.7241379310344769 1.754385964912288 \
        1.7857142857142776 1.8518518518518619 2.5000000000000284 2.9850746268656536 3.124999999999986";

    /// All values, in ascending order.
    pub fn values(sample: &str) -> Vec<f64> {
        let times = |value: &str, times: &str| std::iter::repeat_n(value.parse().unwrap(), times.parse().unwrap());
        sample
            .split_whitespace()
            .map(|part| part.split_once('x').unwrap_or((part, "1")))
            .flat_map(|(value, n)| times(value, n))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::examples::*;
    use super::*;

    fn quantile(confidence: f64) -> f64 {
        -Normal::standard().inverse_cdf((1.0 - confidence) / 2.0)
    }

    fn close(ours: f64, expected: f64, tolerance: f64) {
        assert!((ours - expected).abs() <= tolerance, "{ours} instead of {expected}");
    }

    #[test]
    fn agrees_with_kayenta_and_r() {
        // Bounds to 1e-12, where Kayenta asks for 1e-6. For the estimates it accepts 1e-4 from R's.
        for (x, y, confidence, lower, upper, estimate, to) in [
            (
                TIE_OUT_EXPERIMENT,
                TIE_OUT_CONTROL,
                0.95,
                -0.500002521696696,
                -3.486287505871302e-5,
                -0.4999393907180323,
                1e-4,
            ),
            (
                LARGE_EXPERIMENT,
                LARGE_CONTROL,
                0.98,
                -0.4999173250549087,
                -6.912685789769486e-6,
                -3.45044082729315e-5,
                1e-4,
            ),
            (
                ERROR_RATES_EXPERIMENT,
                ERROR_RATES_CONTROL,
                0.95,
                3.521755377702165e-5,
                2.02456461662334e-5,
                2.6279243045155653e-5,
                1e-12,
            ),
        ] {
            let (x, y) = (values(x), values(y));
            let samples = Samples::new(&x, &y).unwrap();
            close(samples.bound(quantile(confidence)).unwrap(), lower, 1e-12);
            close(samples.bound(-quantile(confidence)).unwrap(), upper, 1e-12);
            close(samples.estimate().unwrap(), estimate, to);
        }
    }

    /// The values on the way, of the same suite's "Intermediate Values / Variables".
    #[test]
    fn agrees_with_kayenta_on_the_way() {
        let (x, y) = (values(ERROR_RATES_EXPERIMENT), values(ERROR_RATES_CONTROL));
        let samples = Samples::new(&x, &y).unwrap();
        close(samples.least, -3.124999999999986, 1e-12);
        close(samples.greatest, 5.555555555555557, 1e-12);
        close(quantile(0.95), 1.9599639845400536, 1e-12);
        let z = |shift| samples.z(shift).unwrap();
        close(z(samples.least) - quantile(0.95), 17.090968923762254, 1e-9);
        close(z(samples.greatest) - quantile(0.95), -20.997687930433106, 1e-9);
        close(z(samples.least) + quantile(0.95), 21.01089689284236, 1e-9);
        close(z(samples.greatest) + quantile(0.95), -17.077759961353, 1e-9);
    }

    #[test]
    fn z_agrees_with_calculation_by_hand() {
        for (x, y, shift, expected) in [
            // U = 9 of 9; D = 4.5; sigma^2 = 9 / 12 * 7
            (&[4.0, 5.0, 6.0][..], &[1.0, 2.0, 3.0][..], 0.0, 4.0 / 5.25_f64.sqrt()),
            (&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.0, -4.0 / 5.25_f64.sqrt()),
            // Moved onto one another: three ties of two, U = 4.5
            (&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0], 3.0, 0.0),
            // U = 2 + 2.5 = 4.5; D = 1.5; one tie of two: sigma^2 = 6 / 12 * (6 - 6 / 20)
            (&[2.0, 3.0], &[1.0, 1.5, 3.0], 0.0, 1.0 / 2.85_f64.sqrt()),
        ] {
            close(Samples::new(x, y).unwrap().z(shift).unwrap(), expected, 1e-12);
        }
    }

    #[test]
    fn bounds_end_where_the_values_do() {
        // Two and two values never reach 98 %.
        let samples = Samples::new(&[5.0, 6.0], &[1.0, 2.0]).unwrap();
        assert_eq!(samples.bound(quantile(0.98)), Ok(3.0));
        assert_eq!(samples.bound(-quantile(0.98)), Ok(5.0));
    }

    #[test]
    fn swapped_samples_swap_bounds() {
        let (x, y) = (values(LARGE_EXPERIMENT), values(LARGE_CONTROL));
        let (one, other) = (Samples::new(&x, &y).unwrap(), Samples::new(&y, &x).unwrap());
        for quantile in [-2.3, -1.0, 0.5, 2.3] {
            close(one.bound(quantile).unwrap(), -other.bound(-quantile).unwrap(), 2.0 * TOLERANCE);
        }
    }

    #[test]
    fn values_that_are_all_tied_have_no_bounds() {
        let samples = Samples::new(&[3.0], &[1.0, 1.0]).unwrap();
        assert_eq!(samples.bound(1.0), Err(AllTied));
        assert_eq!(samples.estimate(), Err(AllTied));
    }

    #[test]
    fn no_values_are_no_sample() {
        assert!(Samples::new(&[], &[1.0]).is_none());
        assert!(Samples::new(&[1.0], &[]).is_none());
    }
}
