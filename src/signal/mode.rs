//! What a point names in (the class of a stop, an order), what it has settled on out: debounced and dated from its first
//! sample, like the run signal.

use crate::event::Stamp;
use serde::{Deserialize, Serialize};

/// How long a name must hold, and what silence means. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeRule {
    /// A name must hold so long.
    pub debounce_ms: i64,
    /// Across a longer silence nothing holds; `None`: a reading holds until the next.
    pub no_data_ms: Option<i64>,
}

/// What a point of one machine names, as far as it was seen. Its serial form is a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode<T> {
    settled: Option<(T, Stamp)>,
    /// A name that differs from what is settled, and since when.
    candidate: Option<(T, Stamp)>,
    last_look: Option<Stamp>,
}

impl<T> Default for Mode<T> {
    fn default() -> Mode<T> {
        Mode { settled: None, candidate: None, last_look: None }
    }
}

impl<T: Clone + PartialEq> Mode<T> {
    /// What it says, and since when.
    pub fn settled(&self) -> Option<&(T, Stamp)> {
        self.settled.as_ref()
    }

    /// Nothing else than what is settled was shown.
    pub fn is_settled(&self) -> bool {
        self.candidate.is_none()
    }

    /// What the last look showed.
    pub fn shown(&self) -> Option<&(T, Stamp)> {
        self.candidate.as_ref().or(self.settled.as_ref())
    }

    /// A good look at the point.
    pub fn see(&mut self, rule: ModeRule, at: Stamp, name: T) {
        let silent_ms = self.last_look.replace(at).map_or(0, |last| at.since(last));
        if rule.no_data_ms.is_some_and(|no_data_ms| silent_ms > no_data_ms) {
            self.candidate = None;
            self.settled = self.settled.take().map(|(held, _)| (held, at));
        }
        let Some((held, _)) = &self.settled else {
            self.settled = Some((name, at));
            return;
        };
        match self.candidate.take() {
            // A look that contradicts the candidate comes late enough to confirm it, or ends it.
            Some((other, since)) if other != name => {
                if at.since(since) >= rule.debounce_ms {
                    self.settled = Some((other, since));
                    self.candidate = Some((name, at));
                } else if name != *held {
                    self.candidate = Some((name, at));
                }
            }
            None if name != *held => self.candidate = Some((name, at)),
            kept => self.candidate = kept,
        }
        self.confirm(rule, at);
    }

    /// Time went by without a look.
    pub fn tick(&mut self, rule: ModeRule, now: Stamp) {
        if rule.no_data_ms.is_none() {
            self.confirm(rule, now);
        }
    }

    /// The last row of a recording: what was shown last held until now.
    pub fn close(&mut self, rule: ModeRule, now: Stamp) {
        if let Some(last) = self.last_look
            && rule.no_data_ms.is_none_or(|no_data_ms| now.since(last) <= no_data_ms)
        {
            self.last_look = Some(now);
            self.confirm(rule, now);
        }
    }

    /// The gateway itself was away, longer than can be bridged.
    pub fn miss(&mut self) {
        self.candidate = None;
    }

    /// When a tick could change something.
    pub fn next_wake(&self, rule: ModeRule) -> Stamp {
        let candidate = self.candidate.as_ref().filter(|_| rule.no_data_ms.is_none());
        candidate.map_or(Stamp::MAX, |(_, since)| since.plus(rule.debounce_ms))
    }

    /// Up to when it is certain that what is settled held.
    pub fn horizon(&self, rule: ModeRule, now: Stamp) -> Stamp {
        let looked = if rule.no_data_ms.is_none() { now } else { self.last_look.unwrap_or(Stamp::MIN).min(now) };
        self.candidate.as_ref().map_or(looked, |(_, since)| looked.min(*since))
    }

    fn confirm(&mut self, rule: ModeRule, until: Stamp) {
        if let Some((_, since)) = &self.candidate
            && until.since(*since) >= rule.debounce_ms
        {
            self.settled = self.candidate.take();
        }
    }
}
