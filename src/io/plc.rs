//! PLCs in, observations out: one task a PLC.

mod link;
pub mod probe;
pub mod scan;
mod tcp;
#[cfg(test)]
mod tests;

use super::clock::Clock;
use crate::{
    event::Stamp,
    signal::{
        Bad, Observation, Point, PointIx, Reading,
        decode::decode,
        plan::{Block, plan},
    },
};
use link::Link;
use std::{collections::BTreeSet, io, mem, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Least time between two observations of a PLC that does not answer at all: silence is told, not hammered.
const SILENCE_TOLD_EVERY_MS: i64 = 1_000;
/// Least time between two log lines about skipped polls; of the world, so that a fast clock floods no log.
const SKIPS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// One PLC and the points to read from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[[plc]] id`
    pub id: String,
    /// `host:port`
    pub address: String,
    /// Modbus unit id.
    pub unit: u8,
    /// Time between two looks at the same point.
    pub poll: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// Most registers in one request (at most 125; bits: 16 times as many, at most 2000).
    pub max_registers: u16,
    /// Most unused registers (or bits) read along to save a request.
    pub max_gap: u16,
    /// What to read.
    pub points: Vec<(PointIx, Point)>,
}

/// What a PLC's task has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// One poll: a reading for every point of the PLC.
    Seen(Observation),
    /// The PLC no longer answers, or not in a way that can be trusted. Said once.
    Lost {
        /// `[[plc]] id`
        plc: String,
        /// When the failed poll ended.
        at: Stamp,
        /// In words.
        why: String,
    },
    /// It answers again, or for the first time.
    Back {
        /// `[[plc]] id`
        plc: String,
        /// When the reply was in.
        at: Stamp,
        /// Since its last reply, or since the start.
        silent_ms: i64,
    },
}

/// Why a block could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host name has no address.
    #[error("the host could not be looked up")]
    Lookup(#[source] io::Error),
    /// Nobody listens there, or the network says so.
    #[error("the connection was not accepted")]
    Connect(#[source] io::Error),
    /// Nobody says anything.
    #[error("no connection within {patience:?}")]
    NoConnection {
        /// The PLC's `timeout`.
        patience: Duration,
    },
    /// The system refused an option of the socket.
    #[error("the connection could not be set up")]
    Socket(#[source] io::Error),
    /// Connected, but silent.
    #[error("no reply within {patience:?}")]
    NoReply {
        /// The PLC's `timeout`.
        patience: Duration,
    },
    /// The connection ended instead of a reply.
    #[error("the connection was lost")]
    Closed(#[source] io::Error),
    /// Something came that is no answer to what was asked.
    #[error("the reply cannot be trusted: {0}")]
    Garbled(String),
    /// A proper Modbus exception.
    #[error("refused with Modbus exception {0:02X} ({meaning})", meaning = meaning(*.0))]
    Refused(u8),
    /// Between two attempts to connect.
    #[error("the next attempt to connect is not yet due")]
    Waiting,
}

/// Looks at one PLC every `settings.poll`, for ever; returns when nobody listens to `out` any more. A poll that comes
/// due while another one runs is skipped, never queued.
pub async fn run(settings: Settings, clock: Clock, out: mpsc::Sender<Word>) {
    if settings.points.is_empty() {
        return out.closed().await;
    }
    let mut watch = Watch::new(settings, clock);
    loop {
        for word in watch.look().await {
            if out.send(word).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = watch.rest() => {}
            () = out.closed() => return,
        }
    }
}

/// One PLC under observation.
struct Watch {
    settings: Settings,
    clock: Clock,
    link: Link,
    blocks: Vec<Block>,
    /// Points that the PLC refused at the last look, by place.
    refused: BTreeSet<usize>,
    /// What was said last; `None` before the first word.
    answers: Option<bool>,
    last_reply: Stamp,
    last_told: Stamp,
    next: Stamp,
    skipped: i64,
    skips_told: Option<Instant>,
}

/// What one round over all blocks gave.
struct Round {
    readings: Vec<Reading>,
    answered: bool,
    fault: Option<Error>,
}

impl Watch {
    fn new(settings: Settings, clock: Clock) -> Watch {
        let pace = clock.real(settings.poll);
        let now = clock.now();
        Watch {
            link: Link::new(settings.address.clone(), settings.unit, settings.timeout, pace),
            blocks: plan(&settings.points, settings.max_registers, settings.max_gap),
            settings,
            clock,
            refused: BTreeSet::new(),
            answers: None,
            last_reply: now,
            last_told: Stamp::MIN,
            next: now,
            skipped: 0,
            skips_told: None,
        }
    }

    /// One poll, and what it has to say.
    async fn look(&mut self) -> Vec<Word> {
        let Round { readings, answered, fault } = self.round().await;
        let at = self.clock.now();
        let plc = &self.settings.id;
        let mut words = Vec::new();
        match &fault {
            Some(fault) if self.answers != Some(false) => {
                self.answers = Some(false);
                // What was split around refusals is tried whole again: it may be another device that comes back.
                self.blocks = plan(&self.settings.points, self.settings.max_registers, self.settings.max_gap);
                let why = in_words(fault);
                tracing::warn!(plc, address = self.settings.address, why, "a PLC was lost");
                words.push(Word::Lost { plc: plc.clone(), at, why });
            }
            None if self.answers != Some(true) => {
                let silent_ms = at.since(self.last_reply);
                match self.answers.replace(true) {
                    None => tracing::info!(plc, address = self.settings.address, "a PLC answered"),
                    Some(_) => tracing::info!(plc, silent_ms, "a PLC came back"),
                }
                words.push(Word::Back { plc: plc.clone(), at, silent_ms });
            }
            _ => {}
        }
        if answered {
            self.last_reply = at;
        }
        if answered || !words.is_empty() || at.since(self.last_told) >= SILENCE_TOLD_EVERY_MS {
            self.last_told = at;
            let ixs = self.settings.points.iter().map(|(ix, _)| *ix);
            words.push(Word::Seen(Observation { at, readings: ixs.zip(readings).collect() }));
        }
        words
    }

    /// Waits for the next poll of the grid that has not passed yet.
    async fn rest(&mut self) {
        let poll_ms = i64::try_from(self.settings.poll.as_millis()).unwrap_or(i64::MAX).max(1);
        let now = self.clock.now();
        let overdue = (now.since(self.next) / poll_ms).max(0);
        self.next = self.next.plus((overdue + 1).saturating_mul(poll_ms));
        if self.answers == Some(true) {
            self.skipped += overdue;
        }
        if self.skipped > 0 && self.skips_told.is_none_or(|told| told.elapsed() >= SKIPS_TOLD_EVERY) {
            let plc = &self.settings.id;
            tracing::info!(plc, skipped = self.skipped, poll_ms, "polls were skipped: the PLC took longer than one");
            self.skips_told = Some(Instant::now());
            self.skipped = 0;
        }
        self.clock.sleep_until(self.next).await;
    }

    /// Reads every block; the first fault of the connection ends the round, and what is left is silent.
    async fn round(&mut self) -> Round {
        let mut round = Round {
            readings: vec![Reading::Bad(Bad::Silent); self.settings.points.len()],
            answered: false,
            fault: None,
        };
        // What is still to be read, next one last, and whether it is to be read again at the next poll.
        let mut stack: Vec<(Block, bool)> = mem::take(&mut self.blocks).into_iter().rev().map(|b| (b, true)).collect();
        while round.fault.is_none()
            && let Some((block, lasting)) = stack.pop()
        {
            let outcome = self.link.read(&block).await;
            round.answered |= matches!(outcome, Ok(_) | Err(Error::Refused(_)));
            match outcome {
                Ok(registers) => self.take(&block, &registers, &mut round),
                Err(fault @ Error::Refused(GATEWAY_PATH | GATEWAY_TARGET)) => round.fault = Some(fault),
                Err(Error::Refused(code)) => match block.halves() {
                    None => self.refuse(&block, code, &mut round),
                    Some([low, high]) if is_permanent(code) => {
                        let plc = &self.settings.id;
                        let (area, address, count) = (block.area.word(), block.address, block.count);
                        tracing::info!(plc, area, address, count, code, "a refused read was split in two");
                        stack.extend([(high, lasting), (low, lasting)]);
                        continue;
                    }
                    Some(_) => stack.extend(block.singles().into_iter().rev().map(|single| (single, false))),
                },
                Err(fault) => round.fault = Some(fault),
            }
            if lasting {
                self.blocks.push(block);
            }
        }
        self.blocks.extend(stack.into_iter().rev().filter_map(|(block, lasting)| lasting.then_some(block)));
        if let Some(Error::Refused(code)) = round.fault {
            let unread = |reading: &&mut Reading| **reading == Reading::Bad(Bad::Silent);
            round.readings.iter_mut().filter(unread).for_each(|reading| *reading = Reading::Bad(Bad::Refused(code)));
        }
        round
    }

    fn take(&mut self, block: &Block, registers: &[u16], round: &mut Round) {
        for slot in &block.slots {
            let point = &self.settings.points[slot.place].1;
            let from = usize::from(slot.offset);
            let held = registers.get(from..from + usize::from(slot.count)).unwrap_or_default();
            round.readings[slot.place] = decode(point, held);
            if self.refused.remove(&slot.place) {
                tracing::info!(point = point.name, "a refused point was read again");
            }
        }
    }

    fn refuse(&mut self, block: &Block, code: u8, round: &mut Round) {
        for slot in &block.slots {
            round.readings[slot.place] = Reading::Bad(Bad::Refused(code));
            if self.refused.insert(slot.place) {
                let point = &self.settings.points[slot.place].1.name;
                let why = in_words(&Error::Refused(code));
                tracing::warn!(point, why, "a point was refused");
            }
        }
    }
}

const GATEWAY_PATH: u8 = 0x0A;
const GATEWAY_TARGET: u8 = 0x0B;

/// Asking the same again would give the same answer.
fn is_permanent(code: u8) -> bool {
    matches!(code, 0x01..=0x03)
}

fn meaning(code: u8) -> &'static str {
    match code {
        0x01 => "it does not know this function",
        0x02 => "it has no such address",
        0x03 => "it cannot read that many at once",
        0x04 => "the device has failed",
        0x05 => "it needs more time",
        0x06 => "it is busy",
        0x08 => "its memory is damaged",
        GATEWAY_PATH => "the gateway has no path to the unit",
        GATEWAY_TARGET => "the unit behind the gateway does not answer",
        _ => "unknown to the standard",
    }
}

/// The error and its causes in one line.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words = format!("{words}: {source}");
        cause = source.source();
    }
    words
}
