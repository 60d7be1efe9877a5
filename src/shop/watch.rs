//! Readings of what decides whether a machine runs in, edges out: its run signal, or the parts that come.

use super::rules::{MachineRules, RunRule};
use crate::{
    event::{Stamp, stop::Going},
    signal::{
        motion::{Edge, Motion, MotionRule},
        pace::{Pace, PaceRule},
    },
};
use serde::{Deserialize, Serialize};

/// What decides whether the machine runs.
#[derive(Clone, Debug)]
pub enum Watch {
    /// Its run signal.
    Signal {
        /// Debounced.
        motion: Motion,
        /// A blinking lamp is lit as long.
        hold_ms: i64,
        /// The last true sample.
        last_true: Option<Stamp>,
    },
    /// Its parts.
    Counts(Pace),
}

/// The one of the two that the machine has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchMark {
    motion: Option<Motion>,
    pace: Option<Pace>,
    last_true: Option<Stamp>,
}

impl Watch {
    /// Goes on from a mark, unless what was told since says otherwise.
    pub fn new(rules: &MachineRules, mark: WatchMark, settled: Option<Going>, last_good: Option<Stamp>) -> Watch {
        match rules.run {
            RunRule::Signal { .. } | RunRule::Expression { .. } | RunRule::State => {
                let hold_ms = if let RunRule::Signal { hold_ms, .. } = rules.run { hold_ms } else { 0 };
                let rule = MotionRule {
                    debounce_ms: rules.debounce_ms,
                    debounce_run_ms: rules.debounce_run_ms,
                    no_data_ms: rules.no_data_ms,
                };
                let motion = mark.motion.unwrap_or_default().resume(rule, settled, last_good);
                Watch::Signal { motion, hold_ms, last_true: mark.last_true }
            }
            RunRule::Counts { stop_after_ms } => {
                let rule = PaceRule {
                    stop_after_ms,
                    cycle_ms: rules.ideal.map_or(0, |ideal| ideal.time_ms(rules.parts_per_cycle)),
                    no_data_ms: rules.no_data_ms,
                };
                Watch::Counts(mark.pace.unwrap_or_default().resume(rule, settled, last_good))
            }
        }
    }

    /// What must survive.
    pub fn mark(&self) -> WatchMark {
        match self {
            Watch::Signal { motion, last_true, .. } => {
                WatchMark { motion: Some(motion.clone()), pace: None, last_true: *last_true }
            }
            Watch::Counts(pace) => WatchMark { motion: None, pace: Some(pace.clone()), last_true: None },
        }
    }

    /// Parts decide.
    pub fn is_by_counts(&self) -> bool {
        matches!(self, Watch::Counts(_))
    }

    /// A look at the run signal; `None` is a failed read.
    pub fn see_run(&mut self, at: Stamp, run: Option<bool>, edges: &mut Vec<Edge>) {
        if let Watch::Signal { motion, hold_ms, last_true } = self {
            if run == Some(true) {
                *last_true = Some(at);
            }
            let run = run.map(|run| run || last_true.is_some_and(|last| at.since(last) < *hold_ms));
            motion.see(at, run, edges);
        }
    }

    /// A look at the counter that decides: new parts, `None` is a failed read.
    pub fn see_parts(&mut self, at: Stamp, parts: Option<i64>, edges: &mut Vec<Edge>) {
        if let Watch::Counts(pace) = self {
            pace.see(at, parts, edges);
        }
    }

    /// Nothing was ever read of it.
    pub fn see_nothing(&mut self, at: Stamp, edges: &mut Vec<Edge>) {
        match self {
            Watch::Signal { motion, .. } => motion.see(at, None, edges),
            Watch::Counts(pace) => pace.see(at, None, edges),
        }
    }

    /// Time went by without a look.
    pub fn tick(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        match self {
            Watch::Signal { motion, .. } => motion.tick(now, edges),
            Watch::Counts(pace) => pace.tick(now, edges),
        }
    }

    /// The last row of a recording: what was shown last held until now.
    pub fn close(&mut self, now: Stamp, edges: &mut Vec<Edge>) {
        match self {
            Watch::Signal { motion, .. } => motion.close(now, edges),
            Watch::Counts(pace) => pace.close(now, edges),
        }
    }

    /// Nobody looked since `from`, longer than can be bridged.
    pub fn miss(&mut self, from: Stamp, edges: &mut Vec<Edge>) {
        match self {
            Watch::Signal { motion, .. } => motion.miss(from, edges),
            Watch::Counts(pace) => pace.miss(from, edges),
        }
    }

    /// It ran through the gap that just ended.
    pub fn bridge(&mut self, gap_from: Stamp, at: Stamp, edges: &mut Vec<Edge>) {
        match self {
            Watch::Signal { motion, .. } => motion.bridge(gap_from, at, edges),
            Watch::Counts(pace) => pace.bridge(gap_from, at, edges),
        }
    }

    /// While a gap lasts and its first good look is not in yet.
    pub fn is_blind(&self) -> bool {
        match self {
            Watch::Signal { motion, .. } => motion.is_blind(),
            Watch::Counts(pace) => pace.is_blind(),
        }
    }

    /// Whether a still edge waits for its confirmation.
    pub fn is_stopping(&self) -> bool {
        match self {
            Watch::Signal { motion, .. } => motion.is_stopping(),
            Watch::Counts(pace) => pace.is_stopping(),
        }
    }

    /// Whether a running edge waits for its confirmation.
    pub fn is_starting(&self) -> bool {
        match self {
            Watch::Signal { motion, .. } => motion.is_starting(),
            Watch::Counts(_) => false,
        }
    }

    /// Up to when it is certain what the machine did.
    pub fn horizon(&self, now: Stamp) -> Stamp {
        match self {
            Watch::Signal { motion, .. } => motion.horizon(now),
            Watch::Counts(pace) => pace.horizon(now),
        }
    }

    /// Up to when it is certain that it ran, where it ran last.
    pub fn certain(&self, now: Stamp) -> Stamp {
        match self {
            Watch::Signal { motion, .. } => motion.horizon(now),
            Watch::Counts(pace) => pace.certain(now),
        }
    }

    /// When a tick could change something.
    pub fn next_wake(&self) -> Stamp {
        match self {
            Watch::Signal { motion, .. } => motion.next_wake(),
            Watch::Counts(pace) => pace.next_wake(),
        }
    }
}
