//! A block read in, its registers or a fault out, over connections that are dropped with their first fault and come back.

use super::{Error, tcp::Session};
use crate::signal::plan::Block;
use std::time::Duration;
use tokio::time::Instant;

/// Pause after the first failed attempt to connect; it doubles with each one more.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Longest pause: a PLC that was switched on is seen within this.
const BACK_OFF_CAP: Duration = Duration::from_secs(5);

/// The way to one PLC, with never more than one connection and one request in flight.
pub(super) struct Link {
    address: String,
    unit: u8,
    patience: Duration,
    /// Time between two polls, in the world: a device that accepts but answers badly is asked no more often.
    pace: Duration,
    session: Option<Session>,
    /// The present session, or the last one, gave at least one proper reply.
    served: bool,
    /// Attempts to connect that failed in a row.
    refusals: u32,
    not_before: Option<Instant>,
}

impl Link {
    pub(super) fn new(address: String, unit: u8, patience: Duration, pace: Duration) -> Link {
        Link { address, unit, patience, pace, session: None, served: false, refusals: 0, not_before: None }
    }

    /// Reads one block, connecting if need be. Any error but [`Error::Refused`] has cost the connection.
    pub(super) async fn read(&mut self, block: &Block) -> Result<Vec<u16>, Error> {
        let proven = self.session.is_some() && self.served;
        match self.attempt(block).await {
            // Many devices close a connection that was idle between two polls; that is no fault yet.
            Err(Error::Closed(_)) if proven => self.attempt(block).await,
            outcome => outcome,
        }
    }

    async fn attempt(&mut self, block: &Block) -> Result<Vec<u16>, Error> {
        // Taken out while in use, so that a read that is given up takes its connection with it.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let outcome = session.read(block.area, block.address, block.count).await;
        match &outcome {
            Ok(_) | Err(Error::Refused(_)) => {
                self.served = true;
                self.session = Some(session);
            }
            // At once after a session that had served, else at the next poll.
            Err(_) if self.served => self.served = false,
            Err(_) => self.pause(self.pace.clamp(BACK_OFF, BACK_OFF_CAP)),
        }
        outcome
    }

    async fn connect(&mut self) -> Result<Session, Error> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(Error::Waiting);
        }
        match Session::connect(&self.address, self.unit, self.patience).await {
            Ok(session) => {
                self.refusals = 0;
                self.not_before = None;
                Ok(session)
            }
            Err(error) => {
                let doubled = BACK_OFF.saturating_mul(1 << self.refusals.min(8));
                self.refusals += 1;
                self.served = false;
                self.pause(doubled.min(BACK_OFF_CAP));
                Err(error)
            }
        }
    }

    /// At most `pause`, at least half of it: PLCs that failed together do not come back together.
    fn pause(&mut self, pause: Duration) {
        self.not_before = Some(Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}
