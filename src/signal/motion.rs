//! Readings of a run signal in, edges out: debounced, dated from their first sample, unknown where nobody looked.
//!
//! An edge is confirmed by evidence: a sample that still shows it when it has held long enough, or the sample that
//! contradicts it, if that comes late enough. The mere passing of time confirms nothing, unless `no_data` is `"off"`:
//! then a reading holds until the next one.

use crate::event::{Stamp, stop::Going};
use serde::{Deserialize, Serialize};

/// From `at` on the machine is `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// What it is from then on.
    pub to: Going,
    /// Dated from its first sample; never before the edge before it.
    pub at: Stamp,
    /// The last look before it, where silence is judged by time: the edge lies between the two.
    pub after: Option<Stamp>,
}

/// How long an edge must hold, and what silence means. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MotionRule {
    /// For a still edge.
    pub debounce_ms: i64,
    /// For a running edge.
    pub debounce_run_ms: i64,
    /// Silence that makes it unknown; `None`: only a failed read does, at once.
    pub no_data_ms: Option<i64>,
}

/// The run signal of one machine, as far as it was seen. Its serial form is a mark: what a restart goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Motion {
    #[serde(skip)]
    rule: MotionRule,
    settled: Option<Going>,
    /// A value that differs from what is settled, and since when.
    candidate: Option<(bool, Stamp)>,
    /// The last look before the candidate.
    before: Option<Stamp>,
    /// The first good sample after a gap (or of all), while its value is not yet settled.
    resumed: Option<Stamp>,
    last_good: Option<Stamp>,
}

impl Motion {
    /// Nothing seen yet.
    pub fn new(rule: MotionRule) -> Motion {
        Motion { rule, ..Motion::default() }
    }

    /// After a restart: the latest mark, unless what was told since says otherwise.
    pub fn resume(self, rule: MotionRule, settled: Option<Going>, last_good: Option<Stamp>) -> Motion {
        if self.settled == settled {
            Motion { rule, ..self }
        } else {
            Motion { settled, last_good, ..Motion::new(rule) }
        }
    }

    /// A look at the signal; `None` is a failed read.
    pub fn see(&mut self, at: Stamp, run: Option<bool>, edges: &mut Vec<Edge>) {
        self.tick(at, edges);
        let Some(value) = run else {
            if self.rule.no_data_ms.is_none() || self.last_good.is_none() {
                self.lose(at, edges);
            }
            return;
        };
        let before = self.last_good.replace(at);
        if self.settled == Some(going(value)) {
            self.contradict(value, at, edges);
            if self.settled == Some(going(value)) {
                self.candidate = None;
                return;
            }
        } else if !self.is_sighted() && self.resumed.is_none() {
            self.resumed = Some(at);
        }
        self.contradict(value, at, edges);
        if self.candidate.is_none() && self.settled != Some(going(value)) {
            self.candidate = Some((value, at));
            self.before = before.filter(|_| self.rule.no_data_ms.is_some());
        }
        self.confirm(at, edges);
    }

    /// Time went by without a look.
    pub fn tick(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        match self.rule.no_data_ms {
            None => self.confirm(now, edges),
            Some(no_data_ms) => {
                if let Some(last) = self.last_good
                    && now.since(last) > no_data_ms
                {
                    self.lose(last, edges);
                }
            }
        }
    }

    /// When a tick could change something.
    pub fn next_wake(&self) -> Stamp {
        match (self.rule.no_data_ms, self.last_good, self.candidate) {
            (Some(no_data_ms), Some(last), _) if self.settled != Some(Going::Unknown) || self.resumed.is_some() => {
                last.plus(no_data_ms + 1)
            }
            (None, _, Some((value, since))) => since.plus(self.needed_ms(value)),
            _ => Stamp::MAX,
        }
    }

    /// Up to when it is certain what the machine did: no deadline of a stop may pass beyond it.
    pub fn horizon(&self, now: Stamp) -> Stamp {
        let looked = if self.rule.no_data_ms.is_none() { now } else { self.last_good.unwrap_or(Stamp::MIN).min(now) };
        self.candidate.map_or(looked, |(_, since)| since.min(looked))
    }

    /// The last row of a recording: what was shown last held until now.
    pub fn close(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        self.tick(now, edges);
        if self.last_good.is_some() && (self.is_sighted() || self.resumed.is_some()) {
            self.last_good = Some(now);
            self.confirm(now, edges);
        }
        if self.settled.is_none() {
            self.lose(now, edges);
        }
    }

    /// The gateway itself was away since `from`, longer than can be bridged.
    pub fn miss(&mut self, from: Stamp, edges: &mut Vec<Edge>) {
        self.lose(from, edges);
    }

    /// While a gap lasts and its first good sample is not in yet.
    pub fn is_blind(&self) -> bool {
        self.settled == Some(Going::Unknown) && self.resumed.is_none()
    }

    /// Whether a still edge waits for its confirmation.
    pub fn is_stopping(&self) -> bool {
        matches!(self.candidate, Some((false, _)))
    }

    /// Whether a running edge waits for its confirmation.
    pub fn is_starting(&self) -> bool {
        matches!(self.candidate, Some((true, _)))
    }

    /// It ran through the gap that just ended: the gap becomes running from its start on.
    pub fn bridge(&mut self, gap_from: Stamp, at: Stamp, edges: &mut Vec<Edge>) {
        self.settled = Some(Going::Running);
        self.candidate = None;
        self.resumed = None;
        self.last_good = Some(at);
        edges.push(Edge { to: Going::Running, at: gap_from, after: None });
    }

    fn is_sighted(&self) -> bool {
        matches!(self.settled, Some(Going::Running | Going::Still))
    }

    fn needed_ms(&self, value: bool) -> i64 {
        if value { self.rule.debounce_run_ms } else { self.rule.debounce_ms }
    }

    /// A sample that differs from the candidate ends it: it counts if it had held long enough by then.
    fn contradict(&mut self, value: bool, at: Stamp, edges: &mut Vec<Edge>) {
        if let Some((held, since)) = self.candidate
            && held != value
        {
            if at.since(since) >= self.needed_ms(held) {
                self.settle(held, since, edges);
            }
            self.candidate = None;
        }
    }

    fn confirm(&mut self, until: Stamp, edges: &mut Vec<Edge>) {
        if let Some((value, since)) = self.candidate
            && until.since(since) >= self.needed_ms(value)
        {
            self.settle(value, since, edges);
        }
    }

    /// What follows a gap is dated from the first good sample after it: a flap in between leaves no trace.
    fn settle(&mut self, value: bool, since: Stamp, edges: &mut Vec<Edge>) {
        let at = self.resumed.take().unwrap_or(since);
        self.settled = Some(going(value));
        self.candidate = None;
        edges.push(Edge { to: going(value), at, after: self.before.take() });
    }

    fn lose(&mut self, from: Stamp, edges: &mut Vec<Edge>) {
        let from = self.resumed.take().filter(|_| self.settled.is_none()).unwrap_or(from);
        self.candidate = None;
        if self.settled != Some(Going::Unknown) {
            self.settled = Some(Going::Unknown);
            edges.push(Edge { to: Going::Unknown, at: from, after: None });
        }
    }
}

fn going(run: bool) -> Going {
    if run { Going::Running } else { Going::Still }
}
