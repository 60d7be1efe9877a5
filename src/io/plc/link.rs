//! A block read in, its registers or a fault out, over a connection or a line that comes back after every fault.

use super::{
    Channel, Error,
    ask::Ask,
    in_words,
    reach::{Place, Reach},
    rtu, tcp,
};
use crate::signal::plan::Block;
use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Pause after the first failed attempt to connect; it doubles with each one more.
pub(super) const BACK_OFF: Duration = Duration::from_millis(100);
/// Longest pause of all; as a rule a poll is the longest: a PLC that was switched on is seen within this.
pub(super) const BACK_OFF_CAP: Duration = Duration::from_secs(5);
/// So many requests in a row without a proper reply: the other host is tried, an RTU connection is opened anew.
const FAULTS_MOST: u32 = 3;
/// From one transaction to the next: odd, so that each number comes once in 65 536 requests, and large, so that a device
/// that counts for itself and is one ahead or behind meets none of ours.
const TRANSACTION_STEP: u16 = 0x9E37;

/// The way to one PLC or to several that share it, with never more than one connection and one request in flight.
pub(super) struct Link {
    way: Way,
    reach: Arc<dyn Reach>,
    /// Of the last request over Modbus TCP. It goes on with the next connection, and where another process stopped it
    /// hardly begins: a gateway may pass the reply to an old request to a new connection.
    transaction: u16,
    /// One, or those of a redundant PLC.
    hosts: Vec<String>,
    host: usize,
    /// The host that answered last.
    answering: Option<usize>,
    /// The present connection, or the last one, gave at least one proper reply.
    served: bool,
    /// Questions that were answered when they were asked last, and surely they.
    proven: BTreeSet<Ask>,
    /// Requests in a row that were not answered, of whatever unit.
    faults: u32,
    /// Attempts to connect that failed in a row.
    refusals: u32,
    /// The longest pause between two attempts, unless the name server is asked each time.
    pause_most: Duration,
    not_before: Option<Instant>,
    /// Why the last attempt to connect failed.
    why: String,
    tally: Tally,
}

/// What happened on a link since the last look at it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests sent.
    pub(super) requests: u64,
    /// Those of them that were sent again at once.
    pub(super) retries: u64,
    /// Replies that did not come in time.
    pub(super) timeouts: u64,
    /// Replies with a wrong checksum.
    pub(super) crc: u64,
    /// Answers whose header was wrong.
    pub(super) mended_frames: u64,
    /// What was wrong with the last of them.
    pub(super) flaw: Option<tcp::Flaw>,
    /// The hosts before and after, if another one answers now.
    pub(super) failed_over: Option<(String, String)>,
}

enum Way {
    Tcp(Option<tcp::Session>),
    Rtu(Box<rtu::Line>),
}

impl Link {
    pub(super) fn new(channel: Channel, reach: Arc<dyn Reach>) -> Link {
        let (way, hosts) = match channel {
            Channel::Tcp { hosts } => (Way::Tcp(None), hosts),
            channel => (Way::Rtu(Box::new(rtu::Line::new(channel, Arc::clone(&reach)))), Vec::new()),
        };
        Link {
            way,
            reach,
            transaction: fastrand::u16(..),
            hosts,
            host: 0,
            answering: None,
            served: false,
            proven: BTreeSet::new(),
            faults: 0,
            refusals: 0,
            pause_most: BACK_OFF_CAP,
            not_before: None,
            why: String::new(),
            tally: Tally::default(),
        }
    }

    /// Whoever is polled so often is not left alone for longer: a network that is back is known within two polls.
    pub(super) fn polled_every(mut self, poll: Duration) -> Link {
        self.pause_most = poll.clamp(BACK_OFF, BACK_OFF_CAP);
        self
    }

    /// Reads one block of a unit, connecting if need be; each step may take `patience`. After an error other than
    /// [`Error::Refused`] a TCP connection is gone, and an RTU line is silent before the next request.
    pub(super) async fn read(&mut self, unit: u8, patience: Duration, block: &Block) -> Result<Vec<u16>, Error> {
        let ask = Ask::new(unit, block.area, block.address, block.count);
        let (was_open, was_proven) = (self.is_open() && self.served, self.proven.contains(&ask));
        let is_rtu = matches!(self.way, Way::Rtu(_));
        match self.attempt(ask, patience).await {
            // Many devices close a connection that was idle between two polls; that is no fault yet.
            Err(Error::Closed(_)) if was_open => {}
            // Nor is one disturbed frame, where frames have to live with disturbance.
            Err(Error::NoReply { .. } | Error::Garbled(_) | Error::Checksum) if is_rtu && was_proven => {}
            outcome => return outcome,
        }
        self.tally.retries += 1;
        self.attempt(ask, patience).await
    }

    /// Closes a connection; the next read opens it again. A serial line stays open.
    pub(super) fn hang_up(&mut self) {
        match &mut self.way {
            Way::Tcp(session) => *session = None,
            Way::Rtu(line) => line.hang_up(),
        }
    }

    /// What happened since the last call.
    pub(super) fn take_tally(&mut self) -> Tally {
        mem::take(&mut self.tally)
    }

    /// Units whose replies came too late, each as often as that happened since the last call.
    pub(super) fn take_late(&mut self) -> Vec<u8> {
        match &mut self.way {
            Way::Tcp(_) => Vec::new(),
            Way::Rtu(line) => line.take_late(),
        }
    }

    /// The last answer may have been the late one to the same question before. Over TCP a number tells.
    pub(super) fn is_perhaps_late(&self) -> bool {
        matches!(&self.way, Way::Rtu(line) if line.is_perhaps_late())
    }

    fn is_open(&self) -> bool {
        match &self.way {
            Way::Tcp(session) => session.is_some(),
            Way::Rtu(line) => line.is_open(),
        }
    }

    async fn attempt(&mut self, ask: Ask, patience: Duration) -> Result<Vec<u16>, Error> {
        if !self.is_open() {
            self.connect(patience).await?;
        }
        self.tally.requests += 1;
        let outcome = match &mut self.way {
            // Taken out while in use, so that a read that is given up takes its connection with it.
            Way::Tcp(kept) => match kept.take() {
                Some(mut session) => {
                    self.transaction = self.transaction.wrapping_add(TRANSACTION_STEP);
                    let outcome = session.read(ask, self.transaction, patience).await;
                    if let Some(flaw) = session.take_flaw() {
                        self.tally.mended_frames += 1;
                        self.tally.flaw = Some(flaw);
                    }
                    if matches!(outcome, Ok(_) | Err(Error::Refused(_))) {
                        *kept = Some(session);
                    }
                    outcome
                }
                None => Err(Error::Waiting(self.why.clone())),
            },
            Way::Rtu(line) => line.read(ask, patience).await,
        };
        match &outcome {
            Ok(_) | Err(Error::Refused(_)) => {
                (self.served, self.faults) = (true, 0);
                if !self.is_perhaps_late() {
                    self.proven.insert(ask);
                }
                self.answered();
            }
            Err(fault) => self.failed(ask, fault),
        }
        outcome
    }

    fn answered(&mut self) {
        if let Some(before) = self.answering.replace(self.host)
            && before != self.host
        {
            self.tally.failed_over = Some((self.hosts[before].clone(), self.hosts[self.host].clone()));
        }
    }

    fn failed(&mut self, ask: Ask, fault: &Error) {
        self.proven.remove(&ask);
        self.faults += 1;
        match fault {
            Error::NoReply { .. } => self.tally.timeouts += 1,
            Error::Checksum => self.tally.crc += 1,
            _ => {}
        }
        let is_silent = self.faults.is_multiple_of(FAULTS_MOST);
        match &mut self.way {
            Way::Tcp(_) => {
                self.served = false;
                if is_silent && !self.hosts.is_empty() {
                    self.host = (self.host + 1) % self.hosts.len();
                }
            }
            Way::Rtu(line) if matches!(fault, Error::Closed(_)) => {
                self.served = false;
                line.close();
            }
            Way::Rtu(line) if is_silent => line.hang_up(),
            Way::Rtu(_) => {}
        }
    }

    async fn connect(&mut self, patience: Duration) -> Result<(), Error> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(Error::Waiting(self.why.clone()));
        }
        let outcome = match &mut self.way {
            Way::Rtu(line) => line.open(patience).await,
            Way::Tcp(session) => {
                // The one that answered last comes first; the others at once after it.
                let mut outcome = Err(Error::Waiting(String::new()));
                for step in 0..self.hosts.len() {
                    let host = (self.host + step) % self.hosts.len();
                    match self.reach.open(Place::Host(&self.hosts[host]), patience).await {
                        Ok(stream) => {
                            (*session, self.host) = (Some(tcp::Session::new(stream)), host);
                            outcome = Ok(());
                            break;
                        }
                        Err(error) if step == 0 => outcome = Err(error),
                        Err(_) => {}
                    }
                }
                outcome
            }
        };
        match &outcome {
            Ok(()) => {
                self.refusals = 0;
                self.not_before = None;
            }
            Err(error) => {
                let doubled = BACK_OFF.saturating_mul(1 << self.refusals.min(8));
                self.refusals += 1;
                self.served = false;
                self.why = in_words(error);
                // At least half of it: PLCs that failed together do not come back together.
                let most = if matches!(error, Error::Lookup(_)) { BACK_OFF_CAP } else { self.pause_most };
                let pause = doubled.min(most).mul_f64(0.5 + fastrand::f64() / 2.0);
                self.not_before = Some(Instant::now() + pause);
            }
        }
        outcome
    }
}
