//! One PLC in; what the registers of its points hold at this moment and how long each reply took, or why there was none, out.

use super::{
    Error, GATEWAY_PATH, GATEWAY_TARGET, Settings, in_words,
    link::Link,
    reach::{Reach, World},
};
use crate::signal::{
    plan::{Block, plan},
    point::Area,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// So many requests in a row without a reply end a look: of a dead PLC every point would cost a time-out.
const SILENT_MOST: u32 = 2;

/// One PLC that is looked at when somebody wants to know.
pub struct Probe {
    settings: Settings,
    link: Link,
    /// The link has a connection, as far as is known.
    met: bool,
    /// What ended the last look, for as long as the link will not try again.
    fault: Option<Arc<Error>>,
}

/// What one look at one point gave.
#[derive(Clone, Debug)]
pub struct Look {
    /// As many registers as the point has, or why there are none.
    pub outcome: Result<Vec<u16>, Arc<Error>>,
    /// From the request that the point was in to its reply.
    pub round_trip: Duration,
}

impl Look {
    /// Whether the PLC itself answered, be it with a refusal.
    pub fn is_answer(&self) -> bool {
        self.outcome.as_ref().err().is_none_or(|error| !error.is_silence())
    }

    /// Why there are no registers, with all causes.
    pub fn why(&self) -> Option<String> {
        self.outcome.as_ref().err().map(|error| in_words(&**error))
    }
}

impl Error {
    /// The unit itself did not answer: no reply, or a gateway that speaks for it.
    pub fn is_silence(&self) -> bool {
        !matches!(self, Error::Refused(code) if ![GATEWAY_PATH, GATEWAY_TARGET].contains(code))
    }
}

impl Probe {
    /// Nothing is connected before the first request.
    pub fn new(settings: Settings) -> Probe {
        Probe::over(Arc::new(World), settings)
    }

    /// The same, with streams of whatever kind.
    pub fn over(reach: Arc<dyn Reach>, settings: Settings) -> Probe {
        let link = Link::new(settings.channel.clone(), reach);
        Probe { settings, link, met: false, fault: None }
    }

    /// Reads every point as `run` would, in the same blocks; a refused block is halved until each refused point stands
    /// alone. One look for each point, in the order of the settings.
    pub async fn look(&mut self) -> Vec<Look> {
        let points = &self.settings.points;
        let mut stack = plan(points, self.settings.max_registers, self.settings.max_gap);
        stack.reverse();
        let mut looks = vec![None; points.len()];
        let (mut answered, mut silent) = (false, 0);
        let mut end = None;
        while let Some(block) = stack.pop() {
            let (outcome, round_trip) = match &end {
                Some(fault) => (Err(Arc::clone(fault)), Duration::ZERO),
                None => self.ask(&block).await,
            };
            let registers = match outcome {
                Err(error) => {
                    if error.is_silence() {
                        silent += 1;
                        if !answered || silent >= SILENT_MOST || matches!(*error, Error::Refused(_)) {
                            end = Some(Arc::clone(&error));
                        }
                    } else {
                        (answered, silent) = (true, 0);
                        if let Some([low, high]) = block.halves() {
                            stack.extend([high, low]);
                            continue;
                        }
                    }
                    Err(error)
                }
                Ok(registers) => {
                    (answered, silent) = (true, 0);
                    Ok(registers)
                }
            };
            for slot in &block.slots {
                let from = usize::from(slot.offset);
                let held = |all: &Vec<u16>| all.get(from..from + usize::from(slot.count)).unwrap_or_default().to_vec();
                looks[slot.place] =
                    Some(Look { outcome: registers.as_ref().map(held).map_err(Arc::clone), round_trip });
            }
        }
        // The plan holds every point.
        looks.into_iter().flatten().collect()
    }

    /// One read, as asked for: exactly `count` values (a bit is 0 or 1), or why not.
    pub async fn read(&mut self, area: Area, address: u16, count: u16) -> Result<Vec<u16>, Error> {
        let block = Block { area, address, count, slots: Vec::new() };
        self.link.read(self.settings.unit, self.settings.timeout, &block).await
    }

    async fn ask(&mut self, block: &Block) -> (Result<Vec<u16>, Arc<Error>>, Duration) {
        if !self.met {
            // The first request opens the connection, which is not to be counted as the PLC's time.
            match self.link.read(self.settings.unit, self.settings.timeout, block).await {
                Err(Error::Waiting(_)) if self.fault.is_some() => {
                    return (self.fault.clone().map_or(Ok(Vec::new()), Err), Duration::ZERO);
                }
                Err(error) if !matches!(error, Error::Refused(_)) => return (Err(self.note(error)), Duration::ZERO),
                _ => self.met = true,
            }
        }
        let asked = Instant::now();
        let outcome = self.link.read(self.settings.unit, self.settings.timeout, block).await;
        let took = asked.elapsed();
        (outcome.map_err(|error| self.note(error)), took)
    }

    fn note(&mut self, error: Error) -> Arc<Error> {
        let error = Arc::new(error);
        if !matches!(*error, Error::Refused(_)) {
            self.met = false;
            self.fault = Some(Arc::clone(&error));
        }
        error
    }
}
