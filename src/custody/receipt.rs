//! Receipts in, what each consumer is known to hold out: and a word when it contradicts itself or is no longer heard of.
//!
//! A receipt rises as events arrive, and may fall: a consumer that was restored from a backup says so, and is believed.

use super::digest::Total;
use crate::event::{Stamp, notice::Severity};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Two instances that are heard within so long of each other are there at once. Milliseconds.
pub const CONFLICT_MS: i64 = 600_000;

/// Instances of one consumer that are told apart; more are a conflict all the same.
const INSTANCES: usize = 4;

/// Names in receipts that no consumer bears, each said once; beyond, none is said.
const STRANGERS: usize = 16;

/// `[[consumer]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: String,
    /// Kinds of events that it takes; none: all.
    pub kinds: Vec<String>,
    /// Machines that it takes events of; none: all, and the gateway's own.
    pub machines: Vec<String>,
    /// Silent for longer, it holds nothing back. Milliseconds.
    pub max_lag_ms: i64,
}

impl Rule {
    /// Whether an event of this kind is for it; `None` is the gateway's own, which everybody may need.
    pub fn takes(&self, kind: &str, machine: Option<&str>) -> bool {
        let is_one = |list: &[String], one: &str| list.is_empty() || list.iter().any(|other| other == one);
        is_one(&self.kinds, kind) && machine.is_none_or(|machine| is_one(&self.machines, machine))
    }
}

/// What a consumer says that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its name.
    pub consumer: String,
    /// Made with its store: a restart is the same instance, a copy is not meant to be.
    pub instance: String,
    /// Of the sequence.
    pub epoch: u32,
    /// It holds everything on its topics up to there.
    pub sequence: u64,
    /// What it has booked, if it says so.
    pub totals: Option<Vec<Total>>,
    /// When it arrived, by the wall clock.
    pub shown: Stamp,
}

/// The last receipt of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// As it said.
    pub instance: String,
    /// As it said.
    pub epoch: u32,
    /// As it said.
    pub sequence: u64,
    /// As it said last, with what sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<(u64, Vec<Total>)>,
    /// When it was said.
    pub at: Stamp,
    /// The same by the wall clock.
    #[serde(default)]
    pub shown: Stamp,
}

/// What is known of a consumer: kept as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// When it was configured, or heard of last.
    pub since: Stamp,
    /// By instance, the latest last; more than one: they contradict each other.
    pub held: Vec<Held>,
    /// It was said that it is silent for too long.
    pub is_lapsed: bool,
    /// It was said that there are two of it.
    pub is_conflict: bool,
}

impl Standing {
    /// The receipt that counts: the lowest of those that stand.
    pub fn counts(&self) -> Option<&Held> {
        self.held.iter().min_by_key(|held| (held.epoch, held.sequence))
    }
}

/// What somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Two instances under one name.
    Conflict {
        /// Its name.
        consumer: String,
        /// Theirs.
        instances: Vec<String>,
    },
    /// Silent for longer than `max_lag`.
    Lapsed {
        /// Its name.
        consumer: String,
        /// For so long. Milliseconds.
        silent_ms: i64,
    },
    /// It was heard of again.
    Back {
        /// Its name.
        consumer: String,
        /// For so long it was not. Milliseconds.
        silent_ms: i64,
    },
    /// It holds what was never told: this gateway was set back to an older state.
    Ahead {
        /// Its name.
        consumer: String,
        /// What it says: epoch and sequence.
        says: (u32, u64),
        /// What was told: epoch and sequence.
        last: (u32, u64),
    },
    /// A receipt that cannot be used.
    Refused {
        /// Of the topic.
        consumer: String,
        /// In words.
        why: String,
    },
}

impl Word {
    /// The notice's code.
    pub fn code(&self) -> &'static str {
        match self {
            Word::Conflict { .. } => "consumer_conflict",
            Word::Lapsed { .. } => "consumer_lapsed",
            Word::Back { .. } => "consumer_back",
            Word::Ahead { .. } => "receipt_ahead",
            Word::Refused { .. } => "receipt_refused",
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Word::Back { .. } => Severity::Info,
            Word::Conflict { .. } | Word::Lapsed { .. } | Word::Refused { .. } => Severity::Warning,
            Word::Ahead { .. } => Severity::Error,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Conflict { consumer, instances } => write!(
                f,
                "{} instances report receipts as {consumer}: {}; the lower receipt counts",
                instances.len(),
                instances.join(", ")
            ),
            Word::Lapsed { consumer, silent_ms } => {
                let hours = silent_ms / 3_600_000;
                write!(
                    f,
                    "{consumer} has sent no receipt for {hours} h, longer than its max_lag: it holds nothing back"
                )
            }
            Word::Back { consumer, silent_ms } => {
                write!(f, "{consumer} sends receipts again after {} h", silent_ms / 3_600_000)
            }
            Word::Ahead { consumer, says: (epoch, sequence), last: (last_epoch, last) } => write!(
                f,
                "{consumer} holds epoch {epoch} up to sequence {sequence}, but the journal ends with epoch {last_epoch}, \
                 sequence {last}: this gateway was set back to an older state, or another one reports under its id"
            ),
            Word::Refused { consumer, why } => write!(f, "a receipt of {consumer} was refused: {why}"),
        }
    }
}

/// Every consumer of the configuration.
#[derive(Debug)]
pub struct Receipts {
    rules: Vec<Rule>,
    standings: BTreeMap<String, Standing>,
    /// What was said of them that no good receipt has ended yet.
    blamed: BTreeMap<String, Vec<&'static str>>,
    /// Heard since it was kept last.
    fresh: Vec<String>,
}

impl Receipts {
    /// Goes on with what was kept; who is new begins now.
    pub fn open(rules: Vec<Rule>, mut kept: BTreeMap<String, Standing>, now: Stamp) -> Receipts {
        let new = || Standing { since: now, ..Standing::default() };
        let standings = rules.iter().map(|rule| (rule.id.clone(), kept.remove(&rule.id).unwrap_or_else(new))).collect();
        let fresh = rules.iter().map(|rule| rule.id.clone()).collect();
        Receipts { rules, standings, blamed: BTreeMap::new(), fresh }
    }

    /// A receipt was heard; `last`: epoch and sequence of the last event that was told. Each word is said once.
    pub fn take(&mut self, receipt: Receipt, now: Stamp, last: (u32, u64)) -> Vec<Word> {
        let consumer = receipt.consumer;
        let Some(standing) = self.standings.get_mut(&consumer) else {
            return self.refuse(&consumer, "there is no [[consumer]] of that name".into()).into_iter().collect();
        };
        let says = (receipt.epoch, receipt.sequence);
        if says > last {
            let blamed = self.blamed.entry(consumer.clone()).or_default();
            return match blamed.contains(&"ahead") {
                true => vec![],
                false => {
                    blamed.push("ahead");
                    vec![Word::Ahead { consumer, says, last }]
                }
            };
        }
        self.blamed.remove(&consumer);
        let mut words = Vec::new();
        let silent_ms = now.since(standing.since);
        if std::mem::take(&mut standing.is_lapsed) {
            words.push(Word::Back { consumer: consumer.clone(), silent_ms });
        }
        standing.since = now;
        let Receipt { instance, epoch, sequence, totals, shown, .. } = receipt;
        let before = standing.held.iter().find(|held| held.instance == instance && held.epoch == epoch);
        // Of what it no longer holds it has booked nothing.
        let before = before.and_then(|held| held.totals.clone()).filter(|(as_of, _)| *as_of <= sequence);
        let totals = totals.map(|totals| (sequence, totals)).or(before);
        standing.held.retain(|held| held.instance != instance && now.since(held.at) < CONFLICT_MS);
        standing.held.push(Held { instance, epoch, sequence, totals, at: now, shown });
        if standing.held.len() > INSTANCES {
            standing.held.remove(0);
        }
        let is_conflict = standing.held.len() > 1;
        if is_conflict && !standing.is_conflict {
            let mut instances: Vec<String> = standing.held.iter().map(|held| held.instance.clone()).collect();
            instances.sort();
            words.push(Word::Conflict { consumer: consumer.clone(), instances });
        }
        standing.is_conflict = is_conflict;
        self.is_fresh(&consumer);
        words
    }

    /// What came on a consumer's topic is no receipt; said once until a good one comes.
    pub fn refuse(&mut self, consumer: &str, why: String) -> Option<Word> {
        let is_known = self.standings.contains_key(consumer);
        if !self.blamed.contains_key(consumer) && !is_known {
            let strangers = self.blamed.keys().filter(|name| !self.standings.contains_key(*name)).count();
            if strangers >= STRANGERS {
                return None;
            }
        }
        let blamed = self.blamed.entry(consumer.to_owned()).or_default();
        if blamed.contains(&"refused") {
            return None;
        }
        blamed.push("refused");
        Some(Word::Refused { consumer: consumer.to_owned(), why })
    }

    /// Who has not been heard of for too long, each said once.
    pub fn lapse(&mut self, now: Stamp) -> Vec<Word> {
        let mut words = Vec::new();
        for rule in &self.rules {
            let Some(standing) = self.standings.get_mut(&rule.id) else { continue };
            let silent_ms = now.since(standing.since);
            if silent_ms > rule.max_lag_ms && !std::mem::replace(&mut standing.is_lapsed, silent_ms > rule.max_lag_ms) {
                words.push(Word::Lapsed { consumer: rule.id.clone(), silent_ms });
                self.fresh.push(rule.id.clone());
            }
        }
        words
    }

    /// In order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = (&Rule, &Standing)> {
        self.rules.iter().filter_map(|rule| Some((rule, self.standings.get(&rule.id)?)))
    }

    /// What is to be kept since it was asked last.
    pub fn take_fresh(&mut self) -> Vec<(String, Standing)> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.into_iter().filter_map(|id| Some((id.clone(), self.standings.get(&id)?.clone()))).collect()
    }

    fn is_fresh(&mut self, consumer: &str) {
        if !self.fresh.iter().any(|fresh| fresh == consumer) {
            self.fresh.push(consumer.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN_MS: i64 = 60_000;
    const LAST: (u32, u64) = (1, 100);

    fn at(minutes: i64) -> Stamp {
        Stamp::from_ms(minutes * MIN_MS)
    }

    fn receipts() -> Receipts {
        let rule = Rule { id: "mes".into(), kinds: vec![], machines: vec![], max_lag_ms: 60 * MIN_MS };
        Receipts::open(vec![rule], BTreeMap::new(), at(0))
    }

    fn receipt(instance: &str, sequence: u64) -> Receipt {
        Receipt { consumer: "mes".into(), instance: instance.into(), epoch: 1, sequence, totals: None, shown: at(0) }
    }

    fn counts(receipts: &Receipts) -> Option<u64> {
        receipts.all().next().unwrap().1.counts().map(|held| held.sequence)
    }

    #[test]
    fn a_receipt_rises_and_falls_as_the_consumer_says() {
        let mut receipts = receipts();
        assert_eq!(counts(&receipts), None);
        for (minute, sequence) in [(1, 10), (2, 40), (3, 5)] {
            assert_eq!(receipts.take(receipt("a", sequence), at(minute), LAST), []);
            assert_eq!(counts(&receipts), Some(sequence));
        }
    }

    #[test]
    fn totals_stand_as_of_their_own_receipt_until_it_falls_below_them() {
        let mut receipts = receipts();
        let totals = || receipt_totals(&receipts);
        assert_eq!(totals(), None);
        let mut said = Vec::new();
        for (sequence, reports) in [(10, true), (20, false), (30, true), (29, false)] {
            let totals = reports.then(Vec::new);
            receipts.take(Receipt { totals, ..receipt("a", sequence) }, at(1), LAST);
            said.push(receipt_totals(&receipts));
        }
        assert_eq!(said, [Some(10), Some(10), Some(30), None]);
    }

    fn receipt_totals(receipts: &Receipts) -> Option<u64> {
        receipts.all().next().unwrap().1.counts()?.totals.as_ref().map(|(as_of, _)| *as_of)
    }

    #[test]
    fn of_two_instances_within_ten_minutes_the_lower_one_counts_and_it_is_said_once() {
        let mut receipts = receipts();
        receipts.take(receipt("a", 40), at(0), LAST);
        let words = receipts.take(receipt("b", 20), at(9), LAST);
        let instances = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(words, [Word::Conflict { consumer: "mes".into(), instances: instances.clone() }]);
        assert_eq!(receipts.take(receipt("a", 50), at(10), LAST), []);
        assert_eq!(counts(&receipts), Some(20));
        // The other one is gone.
        assert_eq!(receipts.take(receipt("a", 60), at(19), LAST), []);
        assert_eq!(counts(&receipts), Some(60));
        // And here again: that is news.
        assert_eq!(
            receipts.take(receipt("b", 70), at(20), LAST),
            [Word::Conflict { consumer: "mes".into(), instances }]
        );
    }

    #[test]
    fn a_restored_copy_after_ten_minutes_is_no_conflict() {
        let mut receipts = receipts();
        receipts.take(receipt("a", 40), at(0), LAST);
        assert_eq!(receipts.take(receipt("b", 20), at(10), LAST), []);
        assert_eq!(counts(&receipts), Some(20));
    }

    #[test]
    fn who_is_silent_for_too_long_lapses_once_and_comes_back() {
        let mut receipts = receipts();
        assert_eq!(receipts.lapse(at(60)), []);
        assert_eq!(receipts.lapse(at(61)), [Word::Lapsed { consumer: "mes".into(), silent_ms: 61 * MIN_MS }]);
        assert_eq!(receipts.lapse(at(62)), []);
        let words = receipts.take(receipt("a", 1), at(70), LAST);
        assert_eq!(words, [Word::Back { consumer: "mes".into(), silent_ms: 70 * MIN_MS }]);
        assert_eq!(receipts.lapse(at(71)), []);
    }

    #[test]
    fn a_receipt_ahead_of_the_gateway_is_said_once_and_does_not_count() {
        let mut receipts = receipts();
        receipts.take(receipt("a", 90), at(0), LAST);
        let ahead = Word::Ahead { consumer: "mes".into(), says: (1, 101), last: LAST };
        assert_eq!(receipts.take(receipt("a", 101), at(1), LAST), std::slice::from_ref(&ahead));
        assert_eq!(receipts.take(receipt("a", 101), at(2), LAST), []);
        assert_eq!(counts(&receipts), Some(90));
        assert_eq!(receipts.take(receipt("a", 100), at(3), LAST), []);
        assert_eq!(receipts.take(receipt("a", 101), at(4), LAST), [ahead]);
        let later = receipts.take(Receipt { epoch: 2, ..receipt("a", 1) }, at(5), LAST);
        assert_eq!(later, [], "the same fault, not said twice");
    }

    #[test]
    fn what_is_no_receipt_is_said_once_until_a_good_one_and_strangers_are_bounded() {
        let mut receipts = receipts();
        assert!(receipts.refuse("mes", "no JSON".into()).is_some());
        assert_eq!(receipts.refuse("mes", "no JSON".into()), None);
        receipts.take(receipt("a", 1), at(1), LAST);
        assert!(receipts.refuse("mes", "no JSON".into()).is_some());
        let said = (0..100).filter(|n| {
            let stranger = Receipt { consumer: format!("x{n}"), ..receipt("a", 1) };
            [0, 1].map(|_| !receipts.take(stranger.clone(), at(1), LAST).is_empty()) == [true, false]
        });
        assert_eq!(said.count(), STRANGERS);
    }

    #[test]
    fn what_was_kept_goes_on_and_who_is_new_begins_at_the_start() {
        let mut before = receipts();
        before.take(receipt("a", 40), at(1), LAST);
        let kept: BTreeMap<String, Standing> = before.take_fresh().into_iter().collect();
        assert!(before.take_fresh().is_empty());
        let text = serde_json::to_string(&kept).unwrap();
        let rules = ["cmms", "mes"].map(|id| Rule { id: id.into(), ..before.rules[0].clone() });
        let after = Receipts::open(rules.into(), serde_json::from_str(&text).unwrap(), at(50));
        let all: Vec<_> = after.all().map(|(rule, standing)| (rule.id.as_str(), standing.since)).collect();
        assert_eq!(all, [("cmms", at(50)), ("mes", at(1))]);
    }

    #[test]
    fn a_consumer_takes_its_kinds_and_machines_and_what_is_the_gateways_own() {
        let rule = Rule { kinds: vec!["downtime".into()], machines: vec!["a".into()], ..receipts().rules[0].clone() };
        assert!(rule.takes("downtime", Some("a")) && rule.takes("downtime", None));
        assert!(!rule.takes("downtime", Some("b")) && !rule.takes("state", Some("a")));
        assert!(receipts().rules[0].takes("state", Some("b")));
    }
}
