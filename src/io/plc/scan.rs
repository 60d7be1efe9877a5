//! A device in; which units answer there and which addresses their tables have out. Reads only, one request at a time,
//! never more often than the pause allows.

use super::{Error, Settings, probe::Probe};
use crate::signal::point::Area;
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Up to here every address is asked for: here nearly all devices have their tables.
const THOROUGH: u32 = 1_000;
/// Above, those at which tables like to begin; what is longer than the first of them cannot lie between.
const ROUND: [u32; 2] = [100, 256];
/// Of one table: four minutes at 20 a second.
const REQUESTS_MOST: u32 = 5_000;
/// Some devices say nothing instead of no. So many times in a row, and the search of the table ends.
const SILENT_MOST: u32 = 3;
const MAX_REGISTERS: u32 = 125;
const MAX_BITS: u32 = 2_000;
const ADDRESSES: u32 = 65_536;
const NO_SUCH_FUNCTION: u8 = 0x01;

/// A search in progress.
pub struct Scan {
    settings: Settings,
    /// Least time from one request to the next.
    pause: Duration,
    not_before: Instant,
    unit: u8,
    probe: Option<Probe>,
    /// Requests so far.
    pub requests: u64,
}

/// What one table of one unit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Which of the four.
    pub area: Area,
    /// What answers, from 0, without neighbours.
    pub found: Vec<RangeInclusive<u16>>,
    /// How often a request was refused, by Modbus exception.
    pub refused: BTreeMap<u8, u32>,
    /// The longest request that was answered, where a longer one was refused in the midst of a table.
    pub most: Option<u16>,
    /// Why the search ended before its end.
    pub ended: Option<Ended>,
}

/// Why a table was not searched to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The unit has no such table.
    NoFunction,
    /// It no longer answers from this address on.
    Silent(u16),
    /// This search took too many requests; it came to this address.
    Enough(u16),
}

impl Scan {
    /// Of the device at the address of the settings; no request is sent less than `pause` after the one before.
    pub fn new(settings: Settings, pause: Duration) -> Scan {
        Scan { unit: settings.unit, settings, pause, not_before: Instant::now(), probe: None, requests: 0 }
    }

    /// Whether a unit is there: `Some` is the exception with which it answered.
    ///
    /// # Errors
    /// It is not, or the device is not.
    pub async fn unit(&mut self, unit: u8) -> Result<Option<u8>, Error> {
        match self.read(unit, Area::Holding, 0, 1).await {
            Ok(_) => Ok(None),
            Err(Error::Refused(code)) if !Error::Refused(code).is_silence() => Ok(Some(code)),
            Err(error) => Err(error),
        }
    }

    /// Searches one table: every one of the `addresses`; without them the lower ones, and above them the round ones.
    /// What is found is followed to both ends. `told` hears of each address at which the search stands.
    pub async fn table(
        &mut self,
        unit: u8,
        area: Area,
        addresses: Option<RangeInclusive<u16>>,
        mut told: impl FnMut(u16),
    ) -> Table {
        let (from, to) =
            addresses.as_ref().map_or((0, ADDRESSES), |range| (u32::from(*range.start()), u32::from(*range.end()) + 1));
        let table = Table { area, found: Vec::new(), refused: BTreeMap::new(), most: None, ended: None };
        let longest = if area.is_bits() { MAX_BITS } else { MAX_REGISTERS };
        let mut search = Search { scan: self, unit, table, longest, requests: 0, silent: 0 };
        // Everything below is known.
        let mut floor = from;
        for at in from..to {
            let is_candidate = addresses.is_some() || at < THOROUGH || ROUND.iter().any(|round| at % round == 0);
            if at < floor || !is_candidate {
                continue;
            }
            if search.table.ended.is_some() {
                break;
            }
            told(short(at));
            if search.has(at, 1).await {
                let low = search.low_end(floor, at).await;
                let end = search.high_end(at + 1, to).await;
                search.table.found.push(short(low)..=short(end - 1));
                // What stands at the end was just refused.
                floor = end + 1;
            } else {
                floor = at + 1;
            }
        }
        search.table
    }

    async fn read(&mut self, unit: u8, area: Area, address: u16, count: u16) -> Result<Vec<u16>, Error> {
        sleep_until(self.not_before).await;
        self.not_before = Instant::now() + self.pause;
        self.requests += 1;
        if unit != self.unit {
            // One connection at a time.
            self.probe = None;
            self.unit = unit;
        }
        let settings = &self.settings;
        let probe = self.probe.get_or_insert_with(|| Probe::new(Settings { unit, ..settings.clone() }));
        let outcome = probe.read(area, address, count).await;
        if outcome.as_ref().is_err_and(|error| !matches!(error, Error::Refused(_))) {
            self.probe = None;
        }
        outcome
    }
}

struct Search<'a> {
    scan: &'a mut Scan,
    unit: u8,
    table: Table,
    /// How many values the next long request asks for.
    longest: u32,
    requests: u32,
    silent: u32,
}

impl Search<'_> {
    /// Whether all of these answer together; no more is asked once the search has ended.
    async fn has(&mut self, at: u32, count: u32) -> bool {
        if self.table.ended.is_some() {
            return false;
        }
        self.requests += 1;
        match self.scan.read(self.unit, self.table.area, short(at), short(count)).await {
            Ok(_) => {
                self.silent = 0;
                return true;
            }
            Err(Error::Refused(code)) if !Error::Refused(code).is_silence() => {
                self.silent = 0;
                *self.table.refused.entry(code).or_default() += 1;
                if code == NO_SUCH_FUNCTION && self.table.found.is_empty() {
                    self.table.ended = Some(Ended::NoFunction);
                }
            }
            // Asked for too many at once a device may say nothing too.
            Err(_) if count > 1 => {}
            Err(_) => {
                self.silent += 1;
                if self.silent >= SILENT_MOST {
                    self.table.ended = Some(Ended::Silent(short(at)));
                }
            }
        }
        if self.requests >= REQUESTS_MOST {
            self.table.ended = Some(Ended::Enough(short(at)));
        }
        false
    }

    /// The first address of the range that `at` is in, not below `floor`.
    async fn low_end(&mut self, floor: u32, at: u32) -> u32 {
        let mut low = at;
        loop {
            let whole = self.longest.min(low - floor);
            let (mut good, mut bad) = (0, whole + 1);
            while bad - good > 1 {
                let half = good.midpoint(bad);
                if self.has(low - half, half).await { good = half } else { bad = half }
            }
            low -= good;
            if good < whole || whole == 0 {
                return low;
            }
        }
    }

    /// The address behind the range that ends before `end` so far, not above `to`.
    async fn high_end(&mut self, mut end: u32, to: u32) -> u32 {
        while end < to {
            let whole = self.longest.min(to - end);
            if self.has(end, whole).await {
                end += whole;
                continue;
            }
            let (mut good, mut bad) = (0, whole);
            while bad - good > 1 {
                let half = good.midpoint(bad);
                if self.has(end, half).await { good = half } else { bad = half }
            }
            end += good;
            if good == 0 || end == to || !self.has(end, 1).await {
                break;
            }
            // It goes on behind: not the table ended but the device's patience with long requests.
            self.longest = good;
            self.table.most = Some(short(good));
        }
        end
    }
}

fn short(n: u32) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
