//! Bars and lines made of characters.

/// Blocks that fill a cell from the left, by eighths.
const BLOCKS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// Blocks that fill a cell from below, by eighths.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of this many cells, filled by a fraction of it. What is above 0 shows.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 8 times the width")]
pub fn bar(fraction: f64, width: usize) -> String {
    let eighths = (fraction.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let eighths = if fraction > 0.0 { eighths.max(1) } else { eighths };
    (0..width).map(|cell| BLOCKS[eighths.saturating_sub(cell * 8).min(8)]).collect()
}

/// A line through these fractions, the latest at the right; at most so many cells.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 7")]
pub fn sparkline(fractions: &[f64], width: usize) -> String {
    let latest = &fractions[fractions.len().saturating_sub(width)..];
    latest.iter().map(|fraction| LEVELS[(fraction.clamp(0.0, 1.0) * 7.0).round() as usize]).collect()
}

/// How far an e-value is on its way to proof: 0 at 1, which is no evidence, and 1 at the limit, each step on the way as many
/// times as large as the one before.
pub fn toward_proof(e_value: f64, proof_at: f64) -> f64 {
    if proof_at <= 1.0 { 0.0 } else { (e_value.max(1.0).ln() / proof_at.ln()).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_they_say() {
        for (fraction, expected) in [
            (0.0, "    "),
            (0.001, "▏   "),
            (0.25, "█   "),
            (0.5, "██  "),
            (0.53, "██▏ "),
            (1.0, "████"),
            (7.0, "████"),
        ] {
            assert_eq!(bar(fraction, 4), expected, "{fraction}");
        }
    }

    #[test]
    fn a_sparkline_ends_with_the_latest() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 2), "▅█");
        assert_eq!(sparkline(&[], 9), "");
    }

    #[test]
    fn evidence_is_told_by_its_orders_of_magnitude() {
        assert!((toward_proof(10.0, 100.0) - 0.5).abs() < 1e-12);
        assert_eq!((toward_proof(0.2, 100.0), toward_proof(1e9, 100.0), toward_proof(5.0, 1.0)), (0.0, 1.0, 0.0));
    }
}
