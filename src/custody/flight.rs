//! Publishes handed over, packet ids given and acknowledged in, the cursor out.

use std::collections::VecDeque;

/// What one connection has on its way to the broker. A new connection begins a new flight at the cursor.
///
/// The client numbers what it was handed later, but in the order of the hand-over: so the two are matched first in,
/// first out. The cursor moves only over an unbroken row of acknowledged sequences, in whatever order they arrive.
#[derive(Debug)]
pub struct Flight {
    window: usize,
    cursor: u64,
    /// Handed over, not numbered yet. `None` is a publish without a sequence, such as the status.
    boarding: VecDeque<Option<u64>>,
    aloft: VecDeque<Aloft>,
}

#[derive(Debug)]
struct Aloft {
    packet_id: u16,
    sequence: Option<u64>,
    landed: bool,
}

/// A packet id that cannot be: what this connection says is not to be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    /// Numbered, though nothing was handed over.
    #[error("packet id {0} was given to nothing")]
    Numbered(u16),
    /// Acknowledged, though not on its way.
    #[error("packet id {0} was acknowledged but never sent")]
    Landed(u16),
}

impl Flight {
    /// Everything up to `cursor` is acknowledged; at most `window` publishes are on their way at once.
    pub fn new(cursor: u64, window: usize) -> Flight {
        Flight { window, cursor, boarding: VecDeque::new(), aloft: VecDeque::new() }
    }

    /// Whether one more may be handed over.
    pub fn has_room(&self) -> bool {
        self.outstanding() < self.window
    }

    /// One more was handed to the client.
    pub fn board(&mut self, sequence: Option<u64>) {
        self.boarding.push_back(sequence);
    }

    /// The client gave the longest waiting publish this packet id.
    pub fn number(&mut self, packet_id: u16) -> Result<(), Stray> {
        let sequence = self.boarding.pop_front().ok_or(Stray::Numbered(packet_id))?;
        self.aloft.push_back(Aloft { packet_id, sequence, landed: false });
        Ok(())
    }

    /// The broker acknowledged this packet id.
    pub fn land(&mut self, packet_id: u16) -> Result<(), Stray> {
        // A landed one waits only for those before it; its packet id may be in use again behind it.
        let one = self.aloft.iter_mut().find(|one| one.packet_id == packet_id && !one.landed);
        one.ok_or(Stray::Landed(packet_id))?.landed = true;
        while let Some(Aloft { sequence, landed: true, .. }) = self.aloft.front() {
            self.cursor = sequence.unwrap_or(self.cursor);
            self.aloft.pop_front();
        }
        Ok(())
    }

    /// Everything up to here is acknowledged.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Handed over and not yet acknowledged.
    pub fn outstanding(&self) -> usize {
        self.boarding.len() + self.aloft.len()
    }

    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.boarding.is_empty() && self.aloft.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_cursor_waits_for_the_first_one_that_is_missing() {
        let mut flight = Flight::new(6, 3);
        for sequence in [Some(7), None, Some(8)] {
            flight.board(sequence);
        }
        assert!(!flight.has_room());
        for packet_id in 1..=3 {
            flight.number(packet_id).unwrap();
        }
        flight.land(3).unwrap();
        assert_eq!(flight.cursor(), 6);
        flight.land(1).unwrap();
        assert_eq!(flight.cursor(), 7);
        flight.land(2).unwrap();
        assert_eq!(flight.cursor(), 8);
        assert!(flight.is_empty() && flight.has_room());
    }

    #[test]
    fn a_stray_packet_id_is_named_and_moves_nothing() {
        let mut flight = Flight::new(0, 3);
        assert_eq!(flight.number(1), Err(Stray::Numbered(1)));
        flight.board(Some(1));
        assert_eq!(flight.land(1), Err(Stray::Landed(1)));
        flight.number(1).unwrap();
        assert_eq!(flight.land(2), Err(Stray::Landed(2)));
        assert_eq!(flight.cursor(), 0);
        flight.land(1).unwrap();
        assert_eq!(flight.land(1), Err(Stray::Landed(1)));
        assert_eq!(flight.cursor(), 1);
    }

    proptest! {
        /// A broker that acknowledges in any order, a client that numbers when it likes, connections that break:
        /// the cursor never passes a sequence that was not acknowledged, and everything arrives.
        #[test]
        fn the_cursor_never_passes_what_was_not_acknowledged(
            steps in prop::collection::vec((0u8..32, any::<usize>()), 1..600),
            window in 1usize..8,
        ) {
            const LAST: u64 = 40;
            let mut flight = Flight::new(0, window);
            let (mut next, mut boarding, mut aloft) = (1, VecDeque::new(), Vec::<(u16, Option<u64>)>::new());
            let mut acknowledged = BTreeSet::new();
            let finish = (0..4 * LAST).flat_map(|_| [0, 11, 21].map(|what| (what, 0)));
            for (what, which) in steps.into_iter().chain(finish) {
                let before = flight.cursor();
                match what {
                    0..=10 if flight.has_room() && next <= LAST => {
                        flight.board(Some(next));
                        boarding.push_back(Some(next));
                        next += 1;
                    }
                    1 | 2 if flight.has_room() => {
                        flight.board(None);
                        boarding.push_back(None);
                    }
                    11..=20 if !boarding.is_empty() => {
                        // The client reuses an id as soon as it is free.
                        let free = (1..).find(|id| aloft.iter().all(|(used, _)| used != id)).unwrap();
                        flight.number(free).unwrap();
                        aloft.push((free, boarding.pop_front().unwrap()));
                    }
                    21..=30 if !aloft.is_empty() => {
                        let (packet_id, sequence) = aloft.remove(which % aloft.len());
                        flight.land(packet_id).unwrap();
                        acknowledged.extend(sequence);
                    }
                    31 => {
                        flight = Flight::new(flight.cursor(), window);
                        next = flight.cursor() + 1;
                        boarding.clear();
                        aloft.clear();
                    }
                    _ => {}
                }
                prop_assert!(flight.cursor() >= before);
                prop_assert!((1..=flight.cursor()).all(|sequence| acknowledged.contains(&sequence)));
            }
            prop_assert_eq!(flight.cursor(), LAST);
            prop_assert!(flight.is_empty());
        }
    }
}
