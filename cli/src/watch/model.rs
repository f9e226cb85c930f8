//! What is on the screen, and what the keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use spillway_aws::executions::Status;
use spillway_core::definition::ServiceName;
use spillway_core::weight::Percent;

use super::feed::Look;
use crate::operator::command::{Word, skipped};
use crate::operator::standing;
use crate::operator::words::{length, name};
use crate::record::Record;
use crate::record::timeline::{Tone, What, tone_of};

/// What a key asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// No more than to be drawn anew.
    Nothing,
    /// Say a word to the release of this ARN, which is the one on the screen.
    Say(Word, String),
    /// Stop the process, to be continued.
    Suspend,
    /// Leave.
    Leave,
}

/// Words that stand in the lease until another one does: whether they were read cannot be told from it.
const LASTING: [&str; 2] = ["pause", "resume"];

/// Everything that is drawn.
pub struct Model {
    /// The service.
    pub service: ServiceName,
    /// What was seen last.
    pub look: Look,
    /// The time.
    pub now: Timestamp,
    /// The word that is asked about.
    pub asked: Option<Word>,
    /// What was answered to the last word.
    pub answer: Option<String>,
    /// How many entries of the timeline are left out at its end.
    pub scrolled: usize,
}

/// How a release stands, in a few words.
pub struct Standing {
    /// A sign for it.
    pub icon: &'static str,
    /// How it is meant.
    pub tone: Tone,
    /// The words.
    pub text: String,
}

impl Model {
    /// Of a service that was looked at once.
    pub fn new(service: ServiceName, look: Look) -> Self {
        Self { service, look, now: Timestamp::now(), asked: None, answer: None, scrolled: 0 }
    }

    /// Takes in a look.
    pub fn see(&mut self, look: Look) {
        let before = self.record().map(|record| record.arn.clone());
        self.look = look;
        if self.record().map(|record| &record.arn) != before.as_ref() {
            (self.asked, self.answer, self.scrolled) = (None, None, 0);
        }
    }

    /// The release.
    pub fn record(&self) -> Option<&Record> {
        self.look.record.as_deref()
    }

    /// Whether the release would hear a word: whoever holds the lease does.
    pub fn is_on(&self) -> bool {
        self.deaf().is_none()
    }

    /// Why the release would not hear a word.
    fn deaf(&self) -> Option<String> {
        let Some(record) = self.record().filter(|record| record.status == Status::Running) else {
            return Some("no release runs".into());
        };
        match self.look.item.as_ref().and_then(|item| item.owner.as_deref()) {
            Some(owner) if owner == record.arn => None,
            Some(owner) => Some(format!("release {} does not hold the lease, {} does", name(&record.arn), name(owner))),
            None => Some(format!("release {} does not hold the lease", name(&record.arn))),
        }
    }

    /// What a key means.
    pub fn key(&mut self, key: KeyEvent) -> Act {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Some(word) = self.asked.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') if !control => {
                    self.answer = Some(format!("{} ...", word.text()));
                    self.record().map_or(Act::Nothing, |record| Act::Say(word, record.arn.clone()))
                }
                KeyCode::Char('c') if control => Act::Leave,
                _ => Act::Nothing,
            };
        }
        match key.code {
            KeyCode::Char('c') if control => return Act::Leave,
            KeyCode::Char('z') if control => return Act::Suspend,
            _ if control => {}
            KeyCode::Char('q') | KeyCode::Esc => return Act::Leave,
            KeyCode::Up | KeyCode::Char('k') => self.scroll(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(-1),
            KeyCode::PageUp => self.scroll(10),
            KeyCode::PageDown => self.scroll(-10),
            KeyCode::End => self.scrolled = 0,
            KeyCode::Char('p') => self.ask(Word::Pause),
            KeyCode::Char('r') => self.ask(Word::Resume),
            KeyCode::Char('a') => self.ask(Word::Approve),
            KeyCode::Char('P') => self.ask(Word::Promote),
            KeyCode::Char('x') => self.ask(Word::Abort),
            _ => {}
        }
        Act::Nothing
    }

    fn scroll(&mut self, by: isize) {
        let most = self.record().map_or(0, |record| record.timeline.len().saturating_sub(1));
        self.scrolled = self.scrolled.saturating_add_signed(by).min(most);
    }

    fn ask(&mut self, word: Word) {
        self.answer = None;
        match self.deaf() {
            None => self.asked = Some(word),
            Some(why) => self.answer = Some(format!("{why}: nobody would hear {}", word.text())),
        }
    }

    /// What the question says that comes of a yes.
    pub fn question(&self, word: Word) -> String {
        let what = match word {
            Word::Pause => "stay at this weight; it goes on being judged".into(),
            Word::Resume => "go on after the pause".into(),
            Word::Approve => "go on to the next step without proof".into(),
            Word::Promote => format!("go on to 100 % without proof, skipping {}", self.skipped()),
            Word::Abort => "roll back: all traffic to the old version".into(),
        };
        format!("{} (y yes, any other key no): {what}?", word.text())
    }

    /// What a promotion now would leave out.
    fn skipped(&self) -> String {
        let standing = self.record().map(standing::Standing::of_record).unwrap_or_default();
        self.look.item.as_ref().map(|item| skipped(item, &standing)).unwrap_or_default()
    }

    /// How the release stands.
    pub fn standing(&self) -> Standing {
        let stands = |icon, tone, text: String| Standing { icon, tone, text };
        let Some(record) = self.record() else {
            return stands("·", Tone::Plain, "no release has been seen".into());
        };
        if let Some(ending) = &record.ending {
            let tone = tone_of(ending);
            let icon = match tone {
                Tone::Good => "✔",
                Tone::Bad => "✖",
                Tone::Plain | Tone::Wait => "■",
            };
            let undone = if record.undone { ", and undone since" } else { "" };
            return stands(icon, tone, format!("{ending}{undone}"));
        }
        let is_back = |entry: &&crate::record::timeline::Entry| entry.what == What::RollingBack;
        if record.timeline.iter().any(|entry| is_back(&entry)) {
            return stands("◀", Tone::Bad, "rolling back".into());
        }
        if let Some((whose, _)) = &self.look.freeze {
            return stands("‖", Tone::Wait, format!("frozen ({whose})"));
        }
        let at = record.weight;
        let since = |then: Timestamp| length(self.now.duration_since(then).as_secs());
        match (record.progress.waiting_since, record.progress.held_since) {
            (Some(then), _) if self.is_paused() => {
                stands("‖", Tone::Wait, format!("paused at {at} for {}", since(then)))
            }
            (Some(then), _) => stands("?", Tone::Wait, format!("waits for approval at {at} for {}", since(then))),
            (None, Some(then)) => stands("‖", Tone::Wait, format!("held at {at} for {}", since(then))),
            (None, None) => match record.timeline.last().map(|entry| &entry.what) {
                Some(What::WaitingForTurn) => stands("…", Tone::Wait, "waits for its turn".into()),
                _ if record.plan.is_none() => stands("●", Tone::Plain, "planning".into()),
                _ if !record.exposed() => stands("●", Tone::Plain, "preparing the candidate".into()),
                _ => stands("●", Tone::Plain, format!("at {at}")),
            },
        }
    }

    /// Whether an operator's pause stands in the lease.
    pub fn is_paused(&self) -> bool {
        self.look.item.as_ref().and_then(|item| item.wish()) == Some("pause")
    }

    /// What comes next, and when.
    pub fn next(&self) -> String {
        let Some(record) = self.record() else { return "the next release is shown when it starts".into() };
        if let Some(ended) = record.ended {
            return format!("ended {} ago; the next release is shown when it takes the lease", self.ago(ended));
        }
        if let Some(word) = self.look.item.as_ref().and_then(|item| item.wish()).filter(|word| !LASTING.contains(word))
        {
            return format!("{word} is read at the next check");
        }
        let Some(plan) = record.plan.as_ref().filter(|_| record.exposed()) else {
            return "the first traffic, once the candidate is ready".into();
        };
        let Some(check) = record.last_check() else { return "the first check".into() };
        let at = check.at + jiff::SignedDuration::from_secs(i64::from(check.check.wait_seconds));
        let due = at.duration_since(self.now).as_secs();
        let check = if due > 0 { format!("a check in {}", length(due)) } else { "a check any moment".into() };
        let position = record.progress.position;
        let Some((step, shifted)) = plan.steps.get(position).zip(record.progress.shifted_at) else {
            return if record.weight == Percent::ALL { format!("{check}, then the promotion") } else { check };
        };
        if record.progress.waiting_since.is_some() || record.progress.held_since.is_some() {
            return check;
        }
        let waited = i64::try_from(record.progress.waited_in_step_seconds).unwrap_or(0);
        let after = |seconds: u32| shifted + jiff::SignedDuration::from_secs(i64::from(seconds) + waited);
        let to = plan.weight_at(position + 1);
        let what = if record.weight == Percent::ALL { "the promotion".to_owned() } else { to.to_string() };
        format!(
            "{check}; {what} once it is proven well, {} at the earliest and decided by {}",
            clock(after(step.minimum_time_seconds)),
            clock(after(step.max_step_seconds))
        )
    }

    /// How long ago that was.
    pub fn ago(&self, then: Timestamp) -> String {
        length(self.now.duration_since(then).as_secs())
    }

    /// What is printed when the view is left.
    pub fn farewell(&self, again: &str) -> String {
        let standing = self.standing();
        match self.record() {
            Some(record) if record.ended.is_none() => format!(
                "{}: release {} goes on: {}; {again} shows it again",
                self.service,
                name(&record.arn),
                standing.text
            ),
            Some(record) => format!("{}: release {}: {}", self.service, name(&record.arn), standing.text),
            None => format!("{}: {}", self.service, standing.text),
        }
    }
}

/// The time of day, in the terminal's own zone.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}
