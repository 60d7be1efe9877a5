//! Committed rows, pictures and the status in, what to publish next out. The journal is the queue; this is its near end.

use crate::io::journal::Row;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
};

/// Rows in memory: several windows, so that the journal is read in large pieces only.
const TAIL_ROWS: usize = 1024;
/// Their bodies: a bound for days of very long events.
const TAIL_BYTES: usize = 4 << 20;
/// Replies that wait for a connection: whoever asked and got no answer asks again.
const REPLIES: usize = 1000;
/// Rows of one read of the journal: at most 16 MiB, where each event were as long as an event may be.
pub(super) const FETCH_ROWS: usize = 256;

/// What is not yet published, or published and not yet acknowledged.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The rows after the cursor, in order, without a hole; not necessarily up to the newest.
    tail: VecDeque<Parcel>,
    tail_bytes: usize,
    /// So many of the tail's first are in the hands of the session.
    handed: usize,
    cursor: u64,
    /// The highest sequence known to be committed.
    newest: u64,
    /// Since the start, the journal was once read to its end.
    surveyed: bool,
    status: Vec<u8>,
    status_due: bool,
    replies: VecDeque<(String, Vec<u8>)>,
    /// The newest of each topic; the topics come from the configuration, so their number is bounded.
    pictures: BTreeMap<String, Picture>,
    /// Topics of which the session has not got the newest, the longest waiting first.
    due: VecDeque<String>,
}

#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) sequence: u64,
    pub(super) topic: String,
    pub(super) body: Arc<[u8]>,
}

#[derive(Debug)]
struct Picture {
    body: Vec<u8>,
    due: bool,
}

impl Outbox {
    pub(super) fn new(cursor: u64, status: Vec<u8>) -> Outbox {
        Outbox {
            tail: VecDeque::new(),
            tail_bytes: 0,
            handed: 0,
            cursor,
            newest: cursor,
            surveyed: false,
            status,
            status_due: false,
            replies: VecDeque::new(),
            pictures: BTreeMap::new(),
            due: VecDeque::new(),
        }
    }

    /// A row that does not follow on what is here is left to the journal.
    pub(super) fn committed(&mut self, rows: Vec<Row>) {
        for row in rows {
            self.newest = self.newest.max(row.sequence);
            if row.sequence == self.end() + 1 && !self.is_full() {
                self.append(row);
            }
        }
    }

    pub(super) fn status(&mut self, body: Vec<u8>) {
        self.status = body;
        self.status_due = true;
    }

    pub(super) fn reply(&mut self, topic: String, body: Vec<u8>) {
        if self.replies.len() == REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back((topic, body));
    }

    pub(super) fn picture(&mut self, topic: String, body: Vec<u8>) {
        let waits = self.pictures.get(&topic).is_some_and(|picture| picture.due);
        if !waits {
            self.due.push_back(topic.clone());
        }
        self.pictures.insert(topic, Picture { body, due: true });
    }

    /// After which sequence the journal is to be read now, if at all.
    pub(super) fn wants_rows_after(&self) -> Option<u64> {
        let low = self.tail.len() - self.handed < FETCH_ROWS && !self.is_full();
        (low && (!self.surveyed || self.newest > self.end())).then(|| self.end())
    }

    /// What the journal holds after the sequence asked for. False: it lacks rows that were said to be committed.
    pub(super) fn fetched(&mut self, rows: Vec<Row>) -> bool {
        if rows.is_empty() {
            self.surveyed = true;
            return self.wants_rows_after().is_none();
        }
        for row in rows {
            self.newest = self.newest.max(row.sequence);
            // Up to here it came from the loop meanwhile. A hole in the journal itself was made by retention.
            if row.sequence <= self.end() {
                continue;
            }
            if self.is_full() {
                break;
            }
            self.append(row);
        }
        true
    }

    /// A new connection: everything that is not acknowledged, and everything retained, is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.handed = 0;
        self.status_due = true;
        self.due = self.pictures.keys().cloned().collect();
        self.pictures.values_mut().for_each(|picture| picture.due = true);
    }

    /// The status, if it is to be sent.
    pub(super) fn next_status(&mut self) -> Option<&[u8]> {
        mem::take(&mut self.status_due).then_some(&self.status[..])
    }

    /// The next reply to send.
    pub(super) fn next_reply(&mut self) -> Option<(String, Vec<u8>)> {
        self.replies.pop_front()
    }

    /// The next picture to send.
    pub(super) fn next_picture(&mut self) -> Option<(String, &[u8])> {
        let topic = self.due.pop_front()?;
        let picture = self.pictures.get_mut(&topic)?;
        picture.due = false;
        Some((topic, &picture.body))
    }

    /// The next event to send.
    pub(super) fn next_event(&mut self) -> Option<&Parcel> {
        let parcel = self.tail.get(self.handed)?;
        self.handed += 1;
        Some(parcel)
    }

    /// Everything up to here is with the broker.
    pub(super) fn acknowledged(&mut self, cursor: u64) {
        self.cursor = cursor;
        while let Some(parcel) = self.tail.front().filter(|parcel| parcel.sequence <= cursor) {
            self.tail_bytes -= parcel.body.len();
            self.tail.pop_front();
            self.handed = self.handed.saturating_sub(1);
        }
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Nothing waits here or in the journal.
    pub(super) fn is_idle(&self) -> bool {
        let sent = self.handed == self.tail.len() && self.surveyed && self.newest <= self.end();
        sent && !self.status_due && self.due.is_empty()
    }

    fn append(&mut self, row: Row) {
        self.tail_bytes += row.body.len();
        self.tail.push_back(Parcel { sequence: row.sequence, topic: row.topic, body: row.body });
    }

    /// The last sequence that is here, or was.
    fn end(&self) -> u64 {
        self.tail.back().map_or(self.cursor, |parcel| parcel.sequence)
    }

    fn is_full(&self) -> bool {
        self.tail.len() >= TAIL_ROWS || self.tail_bytes >= TAIL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sequences: impl IntoIterator<Item = u64>) -> Vec<Row> {
        let row = |sequence| Row {
            sequence,
            epoch: 1,
            kind: "state".into(),
            machine: None,
            topic: "t".into(),
            topic_sequence: sequence,
            body: Arc::from(vec![0; 100]),
            internal: String::new(),
        };
        sequences.into_iter().map(row).collect()
    }

    fn sent(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next_event().map(|parcel| parcel.sequence)).collect()
    }

    #[test]
    fn what_was_committed_before_the_start_goes_before_what_is_committed_now() {
        let mut outbox = Outbox::new(5, vec![]);
        outbox.committed(rows([9]));
        assert!(sent(&mut outbox).is_empty());
        assert_eq!(outbox.wants_rows_after(), Some(5));
        assert!(outbox.fetched(rows([6, 7, 8, 9])));
        outbox.committed(rows([10]));
        assert_eq!(sent(&mut outbox), [6, 7, 8, 9, 10]);
        assert_eq!(outbox.wants_rows_after(), Some(10), "the journal may hold more");
        assert!(outbox.fetched(vec![]));
        assert_eq!(outbox.wants_rows_after(), None);
        assert!(outbox.is_idle());
    }

    #[test]
    fn rows_committed_while_the_journal_is_read_are_sent_once() {
        let mut outbox = Outbox::new(0, vec![]);
        outbox.committed(rows([1, 2]));
        assert!(outbox.fetched(rows([1, 2, 3])));
        outbox.committed(rows([3, 4]));
        assert_eq!(sent(&mut outbox), [1, 2, 3, 4]);
    }

    #[test]
    fn a_range_that_retention_removed_does_not_stop_the_rest() {
        let mut outbox = Outbox::new(5, vec![]);
        assert!(outbox.fetched(rows([20, 21])));
        outbox.committed(rows([22]));
        assert_eq!(sent(&mut outbox), [20, 21, 22]);
        outbox.acknowledged(20);
        outbox.rewind();
        assert_eq!(sent(&mut outbox), [21, 22]);
    }

    #[test]
    fn a_long_outage_fills_the_tail_and_no_more() {
        let mut outbox = Outbox::new(0, vec![]);
        outbox.committed(rows(1..=5000));
        assert_eq!(outbox.tail.len(), TAIL_ROWS);
        let mut all = Vec::new();
        while !(outbox.is_idle() && outbox.tail.is_empty()) {
            if let Some(after) = outbox.wants_rows_after() {
                assert!(outbox.fetched(rows((after + 1..=5000).take(FETCH_ROWS))));
            }
            all.extend(sent(&mut outbox));
            outbox.acknowledged(outbox.end().min(outbox.cursor() + 200));
            outbox.status_due = false;
        }
        assert_eq!(all, (1..=5000).collect::<Vec<_>>());
    }

    #[test]
    fn a_journal_that_lacks_what_was_committed_is_found_out() {
        let mut outbox = Outbox::new(0, vec![]);
        outbox.committed(rows([2]));
        assert!(!outbox.fetched(vec![]));
    }

    #[test]
    fn only_the_newest_picture_of_a_topic_is_sent() {
        let mut outbox = Outbox::new(0, vec![]);
        for (topic, body) in [("b", "1"), ("a", "2"), ("b", "3")] {
            outbox.picture(topic.into(), body.into());
        }
        assert_eq!(outbox.next_picture(), Some(("b".to_owned(), &b"3"[..])));
        assert_eq!(outbox.next_picture(), Some(("a".to_owned(), &b"2"[..])));
        assert_eq!(outbox.next_picture(), None);
        outbox.rewind();
        outbox.picture("a".into(), "4".into());
        assert_eq!(outbox.next_picture(), Some(("a".to_owned(), &b"4"[..])));
        assert_eq!(outbox.next_picture(), Some(("b".to_owned(), &b"3"[..])));
        assert_eq!(outbox.next_picture(), None);
    }
}
