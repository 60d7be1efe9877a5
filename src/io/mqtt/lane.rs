//! Bodies to be sent again in, one after the other out whenever nothing that is new waits.

use std::{collections::VecDeque, future, sync::Arc};
use tokio::sync::mpsc;

/// Publishes on their way, beyond which nothing is sent again: half of the window stays free for what is new.
pub(super) const ALOFT: usize = 100;

/// What is sent on a topic beside the events: its end is the end of the sender. It lives no longer than a connection;
/// the sender learns of that by the closed channel.
#[derive(Debug)]
pub struct Lane {
    /// The whole topic.
    pub topic: String,
    /// QoS 1, in this order. Its capacity is all that lies in memory.
    pub bodies: mpsc::Receiver<Arc<[u8]>>,
}

/// The lanes that wait, of which one is served at a time.
#[derive(Debug, Default)]
pub(super) struct Lanes(VecDeque<Lane>);

impl Lanes {
    pub(super) fn open(&mut self, lane: Lane) {
        self.0.push_back(lane);
    }

    /// The connection is gone, and with it what a consumer may not have got: it asks again.
    pub(super) fn cut(&mut self) {
        self.0.clear();
    }

    /// The next, if there is one now.
    pub(super) fn next_already(&mut self) -> Option<(&str, Arc<[u8]>)> {
        loop {
            match self.0.front_mut()?.bodies.try_recv() {
                Ok(body) => return Some((&self.0.front()?.topic, body)),
                Err(mpsc::error::TryRecvError::Empty) => return None,
                Err(mpsc::error::TryRecvError::Disconnected) => drop(self.0.pop_front()),
            }
        }
    }

    /// The next; never, while nothing is to be sent again.
    pub(super) async fn next(&mut self) -> (&str, Arc<[u8]>) {
        loop {
            let Some(first) = self.0.front_mut() else { return future::pending().await };
            match first.bodies.recv().await {
                Some(body) => return (self.0.front().map_or("", |first| &first.topic), body),
                None => drop(self.0.pop_front()),
            }
        }
    }
}
