//! How many requests arrived within the last second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The arrivals of the last second.
#[derive(Debug, Default)]
pub(super) struct LastSecond(VecDeque<Instant>);

impl LastSecond {
    /// Notes an arrival, and gives how many there were within the second that ends with it, itself included.
    pub(super) fn arrived(&mut self, now: Instant) -> usize {
        self.0.push_back(now);
        while self.0.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1)) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_slides() {
        let (start, mut second) = (Instant::now(), LastSecond::default());
        let counts = [0, 100, 900, 999, 1000, 1100, 2500].map(|ms| second.arrived(start + Duration::from_millis(ms)));
        assert_eq!(counts, [1, 2, 3, 4, 4, 4, 1]);
    }
}
