//! Parts in, edges out, where no run signal is wired: a machine runs while parts come.
//!
//! It stands from `stop_after` without a part on, dated last part + one ideal cycle, until the next part.

use super::motion::Edge;
use crate::event::{Stamp, stop::Going};
use serde::{Deserialize, Serialize};

/// When the absence of parts is a stop. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaceRule {
    /// So long without a part is a stop.
    pub stop_after_ms: i64,
    /// One ideal cycle; 0 where there is none.
    pub cycle_ms: i64,
    /// Silence that makes it unknown; `None`: only a failed read does, at once.
    pub no_data_ms: Option<i64>,
}

/// The parts of one machine, as far as they were seen. Its serial form is a mark: what a restart goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    #[serde(skip)]
    rule: PaceRule,
    settled: Option<Going>,
    /// What it did before the gap that lasts or just ended.
    before_gap: Option<Going>,
    /// The last part, or the first good sample where no part was seen yet.
    anchor: Option<Anchor>,
    last_good: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    at: Stamp,
    is_part: bool,
}

impl Pace {
    /// Nothing seen yet.
    pub fn new(rule: PaceRule) -> Pace {
        Pace { rule, ..Pace::default() }
    }

    /// After a restart: the latest mark, unless what was told since says otherwise.
    pub fn resume(self, rule: PaceRule, settled: Option<Going>, last_good: Option<Stamp>) -> Pace {
        if self.settled == settled {
            return Pace { rule, ..self };
        }
        let anchor = last_good.filter(|_| settled != Some(Going::Unknown)).map(|at| Anchor { at, is_part: false });
        Pace { settled, anchor, last_good, ..Pace::new(rule) }
    }

    /// A look at the counter: how many parts are new, `None` for a failed read.
    pub fn see(&mut self, at: Stamp, parts: Option<i64>, edges: &mut Vec<Edge>) {
        self.tick(at, edges);
        let Some(parts) = parts else {
            if self.rule.no_data_ms.is_none() || self.last_good.is_none() {
                self.lose(at, edges);
            }
            return;
        };
        self.last_good = Some(at);
        let Some(anchor) = self.anchor else {
            // The first good sample of all or after a gap: its parts came before, when nobody looked.
            self.anchor = Some(Anchor { at, is_part: false });
            if self.before_gap == Some(Going::Still) && parts == 0 {
                self.settle(Going::Still, at, edges);
            }
            return;
        };
        if parts == 0 {
            self.stand(at, edges);
            return;
        }
        match self.settled {
            Some(Going::Running) => {
                if self.stand(at, edges) {
                    self.settle(Going::Running, at, edges);
                }
            }
            Some(Going::Still) => self.settle(Going::Running, at, edges),
            Some(Going::Unknown) | None => {
                let since = if self.stand(at, edges) { at } else { anchor.at };
                self.settle(Going::Running, since, edges);
            }
        }
        self.anchor = Some(Anchor { at, is_part: true });
    }

    /// Time went by without a look.
    pub fn tick(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        match (self.rule.no_data_ms, self.last_good) {
            (None, _) => {
                self.stand(now, edges);
            }
            (Some(no_data_ms), Some(last)) if now.since(last) > no_data_ms => self.lose(last, edges),
            _ => {}
        }
    }

    /// When a tick could change something.
    pub fn next_wake(&self) -> Stamp {
        match (self.rule.no_data_ms, self.last_good, self.anchor) {
            (Some(no_data_ms), Some(last), Some(_)) => last.plus(no_data_ms + 1),
            (Some(no_data_ms), Some(last), None) if self.settled != Some(Going::Unknown) => last.plus(no_data_ms + 1),
            (None, _, Some(anchor)) if self.settled != Some(Going::Still) => anchor.at.plus(self.rule.stop_after_ms),
            _ => Stamp::MAX,
        }
    }

    /// Up to when it is certain what the machine did.
    pub fn horizon(&self, now: Stamp) -> Stamp {
        if self.rule.no_data_ms.is_none() { now } else { self.last_good.unwrap_or(Stamp::MIN).min(now) }
    }

    /// Up to when it is certain that it ran: where the next part is overdue, until it was due.
    pub fn certain(&self, now: Stamp) -> Stamp {
        let due = self.anchor.filter(|_| self.settled == Some(Going::Running)).map(|anchor| {
            let cycle_ms = if anchor.is_part { self.rule.cycle_ms } else { 0 };
            anchor.at.plus(cycle_ms)
        });
        due.map_or(self.horizon(now), |due| due.min(self.horizon(now)))
    }

    /// The last row of a recording: what was shown last held until now.
    pub fn close(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        self.tick(now, edges);
        if self.anchor.is_some() {
            self.last_good = Some(now);
            self.stand(now, edges);
        }
        if self.settled.is_none() {
            let from = self.anchor.map_or(now, |anchor| anchor.at);
            self.lose(from, edges);
        }
    }

    /// The gateway itself was away since `from`, longer than can be bridged.
    pub fn miss(&mut self, from: Stamp, edges: &mut Vec<Edge>) {
        self.lose(from, edges);
    }

    /// While a gap lasts and its first good sample is not in yet.
    pub fn is_blind(&self) -> bool {
        self.settled == Some(Going::Unknown) && self.anchor.is_none()
    }

    /// Whether the next part is overdue.
    pub fn is_stopping(&self) -> bool {
        let waits_ms = self.last_good.zip(self.anchor).map_or(0, |(last, anchor)| last.since(anchor.at));
        self.settled == Some(Going::Running) && waits_ms > self.rule.cycle_ms
    }

    /// It ran through the gap that just ended: the gap becomes running from its start on.
    pub fn bridge(&mut self, gap_from: Stamp, at: Stamp, edges: &mut Vec<Edge>) {
        self.last_good = Some(at);
        self.anchor = Some(Anchor { at, is_part: true });
        self.settle(Going::Running, gap_from, edges);
    }

    /// Settles as still if no part came for long enough by `until`.
    fn stand(&mut self, until: Stamp, edges: &mut Vec<Edge>) -> bool {
        let Some(anchor) = self.anchor else { return false };
        if self.settled == Some(Going::Still) || until.since(anchor.at) < self.rule.stop_after_ms {
            return false;
        }
        let cycle_ms = if anchor.is_part { self.rule.cycle_ms } else { 0 };
        self.settle(Going::Still, anchor.at.plus(cycle_ms).min(until), edges);
        true
    }

    fn settle(&mut self, to: Going, at: Stamp, edges: &mut Vec<Edge>) {
        self.settled = Some(to);
        self.before_gap = None;
        edges.push(Edge { to, at, after: None });
    }

    fn lose(&mut self, from: Stamp, edges: &mut Vec<Edge>) {
        let from = self.anchor.take().filter(|_| self.settled.is_none()).map_or(from, |anchor| anchor.at);
        if self.settled != Some(Going::Unknown) {
            self.before_gap = self.settled;
            self.settled = Some(Going::Unknown);
            edges.push(Edge { to: Going::Unknown, at: from, after: None });
        }
    }
}
