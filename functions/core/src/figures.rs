//! Figures as people read them.

use crate::judge::Counts;

/// e^x, kept finite so that JSON can hold it.
#[must_use]
pub fn e_value(log: f64) -> f64 {
    log.min(690.0).exp()
}

/// `0.52 % of 12 031`.
#[must_use]
pub fn rate(counts: Counts) -> String {
    match counts.error_rate() {
        None => "without requests".into(),
        Some(rate) => format!("{} of {}", percent(rate), count(counts.requests)),
    }
}

/// A fraction as `0.52 %`.
#[must_use]
pub fn percent(fraction: f64) -> String {
    let percent = 100.0 * fraction;
    let digits = if percent == 0.0 {
        0
    } else if percent < 0.1 {
        3
    } else if percent < 10.0 {
        2
    } else {
        0
    };
    format!("{percent:.digits$} %")
}

/// A count with thin groups of three digits: `229 114`.
#[must_use]
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// An e-value in a few characters.
#[must_use]
pub fn short(e: f64) -> String {
    if e >= 1e6 {
        format!("{e:.0e}")
    } else if e >= 100.0 {
        count(e)
    } else if e >= 10.0 {
        format!("{e:.1}")
    } else {
        format!("{e:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(229_114.0), "229 114");
        assert_eq!(count(12.0), "12");
        assert_eq!(rate(Counts { errors: 63.0, requests: 12_031.0 }), "0.52 % of 12 031");
        assert_eq!(rate(Counts { errors: 0.0, requests: 5.0 }), "0 % of 5");
        assert_eq!(rate(Counts::default()), "without requests");
    }
}
