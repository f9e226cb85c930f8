//! The state that an alarm's data points call for ("Configuring how CloudWatch alarms treat missing data",
//! CloudWatch user guide).

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl State {
    const ALL: [(&str, Self); 3] =
        [("OK", Self::Ok), ("ALARM", Self::Alarm), ("INSUFFICIENT_DATA", Self::InsufficientData)];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        of_name(&Self::ALL, name)
    }

    pub(super) fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

/// Which values breach a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    GreaterOrEqual,
    Greater,
    Less,
    LessOrEqual,
}

impl Comparison {
    const ALL: [(&str, Self); 4] = [
        ("GreaterThanOrEqualToThreshold", Self::GreaterOrEqual),
        ("GreaterThanThreshold", Self::Greater),
        ("LessThanThreshold", Self::Less),
        ("LessThanOrEqualToThreshold", Self::LessOrEqual),
    ];

    /// None for the operators of anomaly detection, which have no fixed threshold.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        of_name(&Self::ALL, name)
    }

    fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterOrEqual => value >= threshold,
            Self::Greater => value > threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }
}

/// What a missing data point counts as (`TreatMissingData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Absent,
    Ignored,
    Breaching,
    NotBreaching,
}

impl Missing {
    const ALL: [(&str, Self); 4] = [
        ("missing", Self::Absent),
        ("ignore", Self::Ignored),
        ("breaching", Self::Breaching),
        ("notBreaching", Self::NotBreaching),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        of_name(&Self::ALL, name)
    }
}

fn of_name<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

/// When an alarm goes off: `to_alarm` of the last `periods` data points breach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) periods: usize,
    /// From 1 to `periods`.
    pub(super) to_alarm: usize,
    pub(super) comparison: Comparison,
    pub(super) threshold: f64,
    pub(super) missing: Missing,
}

impl Rule {
    /// How many periods are looked at: more than are evaluated, so that older data points can stand in for
    /// missing ones. The guide's examples take 5 for 3, and name no other number.
    pub(super) fn range(&self) -> usize {
        self.periods + 2
    }

    /// What the rule is, in the words of `PutMetricAlarm`.
    pub(super) fn describe(&self) -> String {
        let Self { periods, to_alarm, comparison, threshold, missing } = *self;
        let (comparison, missing) = (name_of(&Comparison::ALL, comparison), name_of(&Missing::ALL, missing));
        format!("{to_alarm} of {periods} datapoints {comparison} {threshold}, missing ones {missing}")
    }

    /// The state that these data points call for, the last one the most recent; none where the alarm keeps
    /// the state it has.
    pub(super) fn evaluate(&self, range: &[Option<f64>]) -> Option<State> {
        // Most recent first: how many periods ago, counted from 1, and whether it breaches.
        let real: Vec<(usize, bool)> = (1..)
            .zip(range.iter().rev())
            .filter_map(|(age, value)| Some((age, self.comparison.breaches((*value)?, self.threshold))))
            .take(self.periods)
            .collect();
        let breaching = real.iter().filter(|(_, breaches)| *breaches).count();
        let threshold = |breaching| if breaching >= self.to_alarm { State::Alarm } else { State::Ok };
        let filled = self.periods - real.len();
        if filled == 0 {
            return Some(threshold(breaching));
        }
        match self.missing {
            Missing::Breaching => Some(threshold(breaching + filled)),
            Missing::NotBreaching => Some(threshold(breaching)),
            Missing::Absent if real.is_empty() => Some(State::InsufficientData),
            Missing::Ignored if real.is_empty() => None,
            // "Avoiding premature transitions": breaching data points alone are enough once the oldest is as
            // old as the number to alarm, however few they are.
            _ if breaching < self.to_alarm
                && breaching == real.len()
                && real.last().is_some_and(|(age, _)| *age >= self.to_alarm) =>
            {
                (self.missing == Missing::Absent).then_some(State::Alarm)
            }
            _ => Some(threshold(breaching)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const INSUFFICIENT: Option<State> = Some(State::InsufficientData);
    const KEPT: Option<State> = None;
    const TREATMENTS: [Missing; 4] = [Missing::Absent, Missing::Ignored, Missing::Breaching, Missing::NotBreaching];

    fn rule(to_alarm: usize, periods: usize, missing: Missing) -> Rule {
        Rule { periods, to_alarm, comparison: Comparison::Greater, threshold: 1.0, missing }
    }

    /// The guide's notation: `X` breaches, `0` does not, `-` is missing.
    fn points(text: &str) -> Vec<Option<f64>> {
        let point = |char| match char {
            'X' => Some(2.0),
            '0' => Some(1.0),
            _ => None,
        };
        text.chars().filter(|char| *char != ' ').map(point).collect()
    }

    #[test]
    fn the_tables_of_the_user_guide() {
        for (to_alarm, text, expected) in [
            (3, "0 - X - X", [OK, OK, OK, OK]),
            (3, "0 - - - -", [OK, OK, OK, OK]),
            (3, "- - - - -", [INSUFFICIENT, KEPT, ALARM, OK]),
            (3, "0 X X - X", [ALARM, ALARM, ALARM, ALARM]),
            (3, "- - X - -", [ALARM, KEPT, ALARM, OK]),
            (2, "0 - X - X", [ALARM, ALARM, ALARM, ALARM]),
            (2, "0 0 X 0 X", [ALARM, ALARM, ALARM, ALARM]),
            (2, "0 - X - -", [OK, OK, ALARM, OK]),
            (2, "- - - - 0", [OK, OK, ALARM, OK]),
            (2, "- - - X -", [ALARM, KEPT, ALARM, OK]),
        ] {
            for (missing, expected) in TREATMENTS.into_iter().zip(expected) {
                let state = rule(to_alarm, 3, missing).evaluate(&points(text));
                assert_eq!(state, expected, "{to_alarm} of 3: {text}, {missing:?}");
            }
        }
    }

    #[test]
    fn a_breaching_point_that_is_too_young_is_no_alarm_yet() {
        for text in ["- - - - X", "- - - X -"] {
            assert_eq!(rule(3, 3, Missing::Absent).evaluate(&points(text)), OK, "{text}");
        }
        assert_eq!(rule(1, 3, Missing::Absent).evaluate(&points("- - - - X")), ALARM);
    }

    #[test]
    fn enough_breaching_points_are_an_alarm_whatever_is_missing() {
        for missing in TREATMENTS {
            assert_eq!(rule(2, 3, missing).evaluate(&points("- - X X -")), ALARM, "{missing:?}");
        }
    }

    #[test]
    fn one_of_one_goes_by_the_last_point_there_is() {
        for (text, missing, expected) in [
            ("0 0 X", Missing::NotBreaching, ALARM),
            ("X X 0", Missing::NotBreaching, OK),
            ("X - -", Missing::NotBreaching, ALARM),
            ("- - -", Missing::NotBreaching, OK),
            ("- - -", Missing::Breaching, ALARM),
            ("- - -", Missing::Absent, INSUFFICIENT),
            ("- - -", Missing::Ignored, KEPT),
        ] {
            assert_eq!(rule(1, 1, missing).evaluate(&points(text)), expected, "{text}, {missing:?}");
        }
    }

    #[test]
    fn points_older_than_those_that_count_change_nothing() {
        assert_eq!(rule(2, 3, Missing::Absent).evaluate(&points("X X 0 0 X")), OK);
        assert_eq!(rule(4, 5, Missing::Absent).evaluate(&points("X X X 0 X X 0")), OK);
        assert_eq!(rule(4, 5, Missing::Absent).evaluate(&points("0 0 X X 0 X X")), ALARM);
    }

    #[test]
    fn thresholds_are_compared_as_their_names_say() {
        for (name, below, equal, above) in [
            ("GreaterThanOrEqualToThreshold", false, true, true),
            ("GreaterThanThreshold", false, false, true),
            ("LessThanThreshold", true, false, false),
            ("LessThanOrEqualToThreshold", true, true, false),
        ] {
            let comparison = Comparison::from_name(name).unwrap();
            let breaches = [0.0, 1.0, 2.0].map(|value| comparison.breaches(value, 1.0));
            assert_eq!(breaches, [below, equal, above], "{name}");
        }
        assert_eq!(Comparison::from_name("GreaterThanUpperThreshold"), None);
    }
}
