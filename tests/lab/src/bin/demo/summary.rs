//! What came of it.

use crate::scenario::Ending;
use crate::screen::Screen;

/// Prints the summary; true if every release ended as it should.
pub fn print(endings: &[Ending], screen: &mut Screen) -> bool {
    screen.line("");
    screen.line(&format!(
        "{:<8} {:<14} {:<11} {:>6} {:>14} {:>14}",
        "release", "version is", "ending", "took", "user requests", "failed"
    ));
    for ending in endings {
        screen.line(&format!(
            "{:<8} {:<14} {:<11} {:>4.0} s {:>14} {:>14}",
            ending.version,
            ending.nature,
            ending.outcome,
            ending.took.as_secs_f64(),
            ending.users.ok + ending.users.failed,
            ending.users.failed
        ));
    }
    let mut as_expected = true;
    for ending in endings {
        for complaint in &ending.complaints {
            as_expected = false;
            screen.line(&format!("{}: {complaint} (expected {}; {})", ending.version, ending.expected, ending.reason));
        }
    }
    if as_expected {
        screen.line("Every release ended as it should.");
    }
    as_expected
}
