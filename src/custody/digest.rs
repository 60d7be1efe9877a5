//! Closed downtimes in, what a consumer can hold its own books against out: tails of topics, totals of shifts.

use super::chain::Link;
use crate::event::stop::Stop;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The closed, not void downtimes of a machine in a shift (or day).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Total {
    /// Its id.
    pub machine: String,
    /// The window's id.
    pub shift: String,
    /// Downtimes that have a share in it.
    pub times: u64,
    /// The sum of their shares in it. Milliseconds.
    pub duration_ms: i64,
}

/// All that the gateway had told at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// From 1.
    pub epoch: u32,
    /// 0 before the first event.
    pub last_sequence: u64,
    /// The first event that can still be had; one more than the last where there is none.
    pub first_available: u64,
    /// The last `topicsequence` by topic key.
    pub tails: BTreeMap<String, u64>,
    /// Of the last shifts.
    pub totals: Vec<Total>,
    /// The journal's chain at the last event.
    pub chain: Link,
}

/// The totals of a machine in these shifts, one line each, also where there is nothing to add up.
pub fn totals<'a>(
    machine: &str,
    shifts: impl IntoIterator<Item = String>,
    stops: impl Iterator<Item = &'a Stop> + Clone,
) -> Vec<Total> {
    let counted = stops.filter(|stop| counts(stop));
    let line = |shift: String| {
        let (mut times, mut duration_ms) = (0, 0);
        for stop in counted.clone() {
            let mut shares = stop.shares.iter().filter(|share| share.shift == shift).peekable();
            times += u64::from(shares.peek().is_some());
            duration_ms += shares.map(|share| share.duration_ms).sum::<i64>();
        }
        Total { machine: machine.to_owned(), shift, times, duration_ms }
    };
    shifts.into_iter().map(line).collect()
}

/// Only what is over and stays adds up to the same at everybody.
pub fn counts(stop: &Stop) -> bool {
    stop.downtime.is_some() && stop.ended_at.is_some() && !stop.is_void()
}

/// What one side has booked and the other has otherwise; each side's line, 0 where it has none.
pub fn differences(ours: &[Total], theirs: &[Total]) -> Vec<(Total, Total)> {
    let mut lines: BTreeMap<(&str, &str), [(u64, i64); 2]> = BTreeMap::new();
    for (side, totals) in [ours, theirs].into_iter().enumerate() {
        for Total { machine, shift, times, duration_ms } in totals {
            lines.entry((machine, shift)).or_default()[side] = (*times, *duration_ms);
        }
    }
    let differs = lines.into_iter().filter(|(_, [ours, theirs])| ours != theirs);
    let total = |(machine, shift): (&str, &str), (times, duration_ms)| Total {
        machine: machine.to_owned(),
        shift: shift.to_owned(),
        times,
        duration_ms,
    };
    differs.map(|(name, [ours, theirs])| (total(name, ours), total(name, theirs))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Stamp,
        stop::{Class, CountsIn, Numbered, Observed, Share},
    };
    use uuid::Uuid;

    fn stop(number: u64, shares: &[(&str, i64)]) -> Stop {
        let share = |(shift, duration_ms): &(&str, i64)| Share {
            shift: (*shift).into(),
            order: None,
            duration_ms: *duration_ms,
            unknown_ms: 0,
        };
        Stop {
            stop_id: Uuid::from_u128(u128::from(number)),
            split: None,
            downtime: Some(Numbered { number, revision: 1 }),
            from: Stamp::from_ms(0),
            started_at: Stamp::from_ms(0),
            ended_at: Some(Stamp::from_ms(1)),
            observed: Some(Observed { started_at: Stamp::from_ms(0), ended_at: None }),
            merged_into: None,
            short_stop_ms: 0,
            duration_ms: 0,
            excluded_ms: 0,
            unknown_ms: 0,
            clock_adjust_ms: 0,
            uncertainty_ms: None,
            shares: shares.iter().map(share).collect(),
            shift: shares[0].0.into(),
            order: None,
            product: None,
            lot: None,
            class: Class::Failure,
            inferred: None,
            signal: None,
            counts_in: CountsIn::Availability,
            reason: None,
            fault: None,
            operator: None,
            work: vec![],
            flags: vec![],
        }
    }

    fn line(shift: &str, times: u64, duration_ms: i64) -> Total {
        Total { machine: "press-7".into(), shift: shift.into(), times, duration_ms }
    }

    #[test]
    fn a_total_counts_each_closed_downtime_once_and_all_its_shares() {
        // Two orders in one shift, the second part in the next one.
        let over_the_edge = stop(1, &[("early", 10), ("early", 20), ("late", 5)]);
        let mut open = stop(2, &[("early", 100)]);
        open.ended_at = None;
        let mut short = stop(3, &[("early", 100)]);
        short.downtime = None;
        let mut void = stop(4, &[("early", 100)]);
        void.counts_in = CountsIn::None;
        let stops = [over_the_edge, open, short, void, stop(5, &[("late", 7)])];
        let shifts = ["early", "late", "night"].map(str::to_owned);
        let expected = [line("early", 1, 30), line("late", 2, 12), line("night", 0, 0)];
        assert_eq!(totals("press-7", shifts, stops.iter()), expected);
    }

    #[test]
    fn only_what_differs_is_named_and_what_is_absent_is_nothing() {
        let ours = [line("early", 1, 30), line("late", 2, 12)];
        assert_eq!(differences(&ours, &ours), []);
        let theirs = [line("early", 1, 29), line("night", 1, 4), line("void", 0, 0)];
        let expected = [
            (line("early", 1, 30), line("early", 1, 29)),
            (line("late", 2, 12), line("late", 0, 0)),
            (line("night", 0, 0), line("night", 1, 4)),
        ];
        assert_eq!(differences(&ours, &theirs), expected);
    }
}
