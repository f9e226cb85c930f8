//! How other release tools decide to roll back, from the same minutes that our judge sees.
//!
//! Each is told the answers of both slots since the candidate was first exposed, a minute at a time, and says after
//! each minute whether it would roll back now. Each module says what the tool does, where that is written, which
//! settings were chosen, and what was simplified.
//!
//! None of them knows of a release's steps: a background analysis, an alarm and a canary stage run over the whole
//! release. None carries anything from look to look either: what they remember can be counted again from the minutes.

pub mod alarm;
pub mod argo;
pub mod kayenta;
mod mann_whitney;
pub mod z_test;

use spillway_core::judge::Pair;

/// What a rival would do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opinion {
    /// Give all traffic back to the stable version.
    RollBack,
    /// Nothing: the release goes on.
    GoOn,
}

impl Opinion {
    fn roll_back_if(unhealthy: bool) -> Self {
        if unhealthy { Self::RollBack } else { Self::GoOn }
    }
}

/// Another tool's judge.
pub trait Rival {
    /// What a table calls it.
    fn name(&self) -> &'static str;

    /// Its opinion after the last of these minutes, which begin with the candidate's first exposure, oldest first.
    ///
    /// To be called once for every minute that comes to be seen, since some look only every few minutes, and not after
    /// it has said [`Opinion::RollBack`], since some would take that back. It changes nothing but memory that it uses
    /// again, so one value serves any number of releases.
    fn look(&mut self, minutes: &[Pair]) -> Opinion;
}

/// Every rival, with its default settings.
#[must_use]
pub fn all() -> [Box<dyn Rival>; 4] {
    [
        Box::<argo::ArgoRollouts>::default(),
        Box::<alarm::Alarm>::default(),
        Box::<kayenta::Kayenta>::default(),
        Box::<z_test::ZTest>::default(),
    ]
}

/// Minutes for tests.
#[cfg(test)]
mod minutes {
    use spillway_core::judge::{Counts, Pair};

    use super::{Opinion, Rival};

    /// Errors and requests of the candidate, then of the stable version.
    pub fn minute(candidate: (f64, f64), stable: (f64, f64)) -> Pair {
        let counts = |(errors, requests)| Counts { errors, requests };
        Pair { candidate: counts(candidate), stable: counts(stable) }
    }

    /// Minutes in which only the candidate is looked at: its errors and requests.
    pub fn of_candidate(candidate: &[(f64, f64)]) -> Vec<Pair> {
        candidate.iter().map(|&counts| minute(counts, (0.0, 1000.0))).collect()
    }

    /// How many minutes it takes to roll back; `None` when it never does.
    pub fn rolls_back_after(rival: &mut dyn Rival, minutes: &[Pair]) -> Option<usize> {
        (1..=minutes.len()).find(|&seen| rival.look(&minutes[..seen]) == Opinion::RollBack)
    }
}

#[cfg(test)]
mod tests {
    use super::minutes::{minute, rolls_back_after};
    use super::*;

    #[test]
    fn all_let_a_faultless_candidate_pass_and_stop_a_broken_one() {
        let faultless = [minute((0.0, 500.0), (0.0, 500.0)); 30];
        let broken = [minute((250.0, 500.0), (1.0, 500.0)); 30];
        for mut rival in all() {
            let name = rival.name();
            assert_eq!(rolls_back_after(&mut *rival, &faultless), None, "{name}");
            assert!(rolls_back_after(&mut *rival, &broken).is_some(), "{name}");
            assert_eq!(rolls_back_after(&mut *rival, &faultless), None, "{name} remembers the release before");
        }
    }

    #[test]
    fn none_rolls_back_before_the_first_minute() {
        for mut rival in all() {
            assert_eq!(rival.look(&[]), Opinion::GoOn, "{}", rival.name());
        }
    }

    #[test]
    fn names_differ() {
        let mut names = all().map(|rival| rival.name());
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
