//! What a consumer holds and the rows of the journal in, which of them it gets and what it never will out.

use std::collections::BTreeMap;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub consumer: String,
    /// As asked.
    pub command_id: String,
    /// The last `topicsequence` held, by topic key; topics that are not named are not sent.
    pub after: BTreeMap<String, u64>,
    /// The last `topicsequence` told, by topic key: what comes later arrives by itself.
    pub tails: BTreeMap<String, u64>,
    /// The sequence of the last event told.
    pub through: u64,
}

/// Why events cannot be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// They were taken out of the journal when nobody needed them any longer.
    Pruned,
    /// Nobody meant to.
    Lost,
}

impl Why {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Why::Pruned => "pruned",
            Why::Lost => "lost",
        }
    }
}

/// Events of a topic that are not in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Topic key.
    pub topic: String,
    /// The first `topicsequence`.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// What became of them.
    pub why: Why,
}

/// A range that was taken out of the journal on purpose: by topic key the first and the last `topicsequence`.
pub type Gap = BTreeMap<String, (u64, u64)>;

/// One replay, while the journal is read.
#[derive(Debug)]
pub struct Replay {
    topics: BTreeMap<String, Topic>,
    holes: Vec<(String, u64, u64)>,
    count: u64,
}

#[derive(Debug)]
struct Topic {
    /// The next that the consumer lacks.
    next: u64,
    /// The last of them.
    last: u64,
}

impl Replay {
    /// Begins with what the consumer holds.
    pub fn new(request: &Request) -> Replay {
        let topic = |(key, held): (&String, &u64)| {
            let last = request.tails.get(key).copied().unwrap_or(0);
            (key.clone(), Topic { next: held.saturating_add(1), last })
        };
        Replay { topics: request.after.iter().map(topic).collect(), holes: Vec::new(), count: 0 }
    }

    /// The first `topicsequence` that each topic lacks; topics that lack nothing are left out.
    pub fn wanted(&self) -> BTreeMap<&str, u64> {
        let lacking = self.topics.iter().filter(|(_, topic)| topic.next <= topic.last);
        lacking.map(|(key, topic)| (key.as_str(), topic.next)).collect()
    }

    /// A row of the journal, in ascending order. Whether it is to be sent.
    pub fn meet(&mut self, key: &str, topic_sequence: u64) -> bool {
        let Some(topic) = self.topics.get_mut(key) else { return false };
        if topic_sequence < topic.next || topic_sequence > topic.last {
            return false;
        }
        if topic_sequence > topic.next {
            self.holes.push((key.to_owned(), topic.next, topic_sequence - 1));
        }
        topic.next = topic_sequence + 1;
        self.count += 1;
        true
    }

    /// How many were sent so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The journal is read to its end: what was not met is not there.
    pub fn end(mut self, gaps: &[Gap]) -> Vec<Missing> {
        let rest = self.topics.into_iter().filter(|(_, topic)| topic.next <= topic.last);
        self.holes.extend(rest.map(|(key, topic)| (key, topic.next, topic.last)));
        let mut missing: Vec<Missing> =
            self.holes.iter().flat_map(|(key, from, to)| explained(key, *from, *to, gaps)).collect();
        missing.sort_by(|one, other| (&one.topic, one.from).cmp(&(&other.topic, other.from)));
        missing
    }
}

/// A hole, cut where the reason changes.
fn explained(key: &str, from: u64, to: u64, gaps: &[Gap]) -> Vec<Missing> {
    let mut known: Vec<(u64, u64)> = gaps
        .iter()
        .filter_map(|gap| gap.get(key))
        .map(|(first, last)| ((*first).max(from), (*last).min(to)))
        .filter(|(first, last)| first <= last)
        .collect();
    known.sort_unstable();
    let (mut pieces, mut at): (Vec<Missing>, u64) = (Vec::new(), from);
    let mut piece = |from: u64, to: u64, why: Why| match pieces.last_mut() {
        Some(last) if last.why == why => last.to = to,
        _ => pieces.push(Missing { topic: key.to_owned(), from, to, why }),
    };
    for (first, last) in known {
        if first > at {
            piece(at, first - 1, Why::Lost);
        }
        if last >= at {
            piece(first.max(at), last, Why::Pruned);
            at = last + 1;
        }
    }
    if at <= to {
        piece(at, to, Why::Lost);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(after: &[(&str, u64)], tails: &[(&str, u64)]) -> Request {
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        let (after, tails) = (map(after), map(tails));
        Request { consumer: "mes".into(), command_id: "c".into(), after, tails, through: 100 }
    }

    fn missing(topic: &str, from: u64, to: u64, why: Why) -> Missing {
        Missing { topic: topic.into(), from, to, why }
    }

    #[test]
    fn only_named_topics_are_sent_from_what_is_held_to_the_tail() {
        let mut replay = Replay::new(&request(&[("a", 2), ("b", 5), ("c", 9)], &[("a", 4), ("b", 5), ("d", 3)]));
        assert_eq!(replay.wanted(), BTreeMap::from([("a", 3)]));
        let met: Vec<bool> = [("a", 2), ("d", 1), ("a", 3), ("b", 5), ("a", 4), ("a", 5)]
            .map(|(key, sequence)| replay.meet(key, sequence))
            .into();
        assert_eq!(met, [false, false, true, false, true, false]);
        assert_eq!((replay.count(), replay.end(&[])), (2, vec![]));
    }

    #[test]
    fn what_is_not_in_the_journal_is_named_with_its_range_and_why() {
        let mut replay = Replay::new(&request(&[("a", 0), ("b", 0)], &[("a", 10), ("b", 3)]));
        for sequence in [6, 7, 9] {
            assert!(replay.meet("a", sequence));
        }
        let gaps = [Gap::from([("a".into(), (1, 2))]), Gap::from([("a".into(), (3, 4)), ("b".into(), (2, 7))])];
        let expected = [
            missing("a", 1, 4, Why::Pruned),
            missing("a", 5, 5, Why::Lost),
            missing("a", 8, 8, Why::Lost),
            missing("a", 10, 10, Why::Lost),
            missing("b", 1, 1, Why::Lost),
            missing("b", 2, 3, Why::Pruned),
        ];
        assert_eq!(replay.end(&gaps), expected);
    }

    proptest! {
        /// Whatever the journal has lost: what is sent and what is named missing are together what was asked for, each once.
        #[test]
        fn sent_and_missing_are_all_that_was_asked_for(
            kept in prop::collection::btree_set(1u64..60, 0..60),
            held in 0u64..70,
            tail in 0u64..60,
            gaps in prop::collection::vec((1u64..60, 0u64..20), 0..5),
        ) {
            let mut replay = Replay::new(&request(&[("a", held)], &[("a", tail)]));
            let mut all: Vec<u64> = kept.iter().copied().filter(|sequence| replay.meet("a", *sequence)).collect();
            let gaps: Vec<Gap> =
                gaps.into_iter().map(|(from, more)| Gap::from([("a".to_owned(), (from, from + more))])).collect();
            for missing in replay.end(&gaps) {
                prop_assert!(missing.from <= missing.to);
                for sequence in missing.from..=missing.to {
                    let is_pruned = gaps.iter().any(|gap| (gap["a"].0..=gap["a"].1).contains(&sequence));
                    prop_assert_eq!(missing.why == Why::Pruned, is_pruned);
                    all.push(sequence);
                }
            }
            all.sort_unstable();
            prop_assert_eq!(all, (held + 1..=tail).collect::<Vec<_>>());
        }
    }
}
