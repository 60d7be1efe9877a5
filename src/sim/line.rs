//! A seed in, the samples of a line that runs, jams, starves and is cleaned out, second by second, for ever.

use super::Rows;
use crate::{
    event::Stamp,
    io::samples,
    signal::{Observation, PointIx, Reading, Value},
};

/// The first long stop comes so early that even the shortest look at the line sees one from its start to its end. Seconds.
const FIRST_STOP: std::ops::Range<i64> = 120..420;

/// Where a simulated machine shows itself.
#[derive(Clone, Copy, Debug)]
pub struct Wiring {
    /// Where a run signal is wired.
    pub run: Option<PointIx>,
    /// All parts.
    pub total: PointIx,
    /// Scrap, if it makes any.
    pub reject: Option<PointIx>,
    /// The fault code, if it has one.
    pub fault: Option<PointIx>,
    /// Parts a minute when nothing is wrong.
    pub rate_per_min: i64,
    /// Codes of the stops that it may have; 0 for one without.
    pub faults: &'static [i64],
}

/// A line of machines, each with a life of its own.
pub struct Line {
    chance: fastrand::Rng,
    machines: Vec<Machine>,
    second: i64,
}

struct Machine {
    wiring: Wiring,
    runs: bool,
    until: i64,
    fault: i64,
    /// Sixtieths of a part.
    work: i64,
    total: i64,
    reject: i64,
}

impl Line {
    /// The line of this seed; the same seed gives the same samples.
    pub fn new(seed: u64, machines: &[Wiring]) -> Line {
        let machine = |wiring: &Wiring| Machine {
            wiring: *wiring,
            runs: true,
            until: 0,
            fault: 0,
            work: 0,
            total: 100_000,
            reject: 2_000,
        };
        let mut line = Line {
            chance: fastrand::Rng::with_seed(seed),
            machines: machines.iter().map(machine).collect(),
            second: 0,
        };
        for (place, machine) in line.machines.iter_mut().enumerate() {
            machine.until = if place == 0 { FIRST_STOP.start } else { line.chance.i64(60..400) };
        }
        line
    }
}

impl Rows for Line {
    fn next_into(&mut self, row: &mut Observation) -> Result<bool, samples::Error> {
        row.readings.clear();
        row.at = Stamp::from_ms(self.second * 1000);
        for (place, machine) in self.machines.iter_mut().enumerate() {
            machine.pass_second(self.second, place == 0, &mut self.chance);
            machine.show(row);
        }
        self.second += 1;
        Ok(true)
    }
}

impl Machine {
    fn pass_second(&mut self, second: i64, is_first: bool, chance: &mut fastrand::Rng) {
        if second >= self.until {
            self.runs = !self.runs;
            let is_long = chance.u8(0..10) < 4;
            self.until = second
                + match (self.runs, is_long) {
                    _ if is_first && second == FIRST_STOP.start => FIRST_STOP.end - FIRST_STOP.start,
                    (true, _) => chance.i64(90..900),
                    (false, true) => chance.i64(150..480),
                    (false, false) => chance.i64(8..90),
                };
            self.fault = match self.wiring.faults {
                faults if !self.runs && !faults.is_empty() => faults[chance.usize(0..faults.len())],
                _ => 0,
            };
        }
        if self.runs {
            // A little below the ideal, with a slow cycle now and then.
            self.work += self.wiring.rate_per_min * chance.i64(85..=100) / 100;
            let parts = self.work / 60;
            self.work %= 60;
            self.total += parts;
            for _ in 0..parts {
                self.reject += i64::from(self.wiring.reject.is_some() && chance.u8(0..100) < 2);
            }
        }
    }

    fn show(&self, row: &mut Observation) {
        let mut put = |point: Option<PointIx>, value| {
            if let Some(point) = point {
                row.readings.push((point, Reading::Good(value)));
            }
        };
        put(self.wiring.run, Value::Bool(self.runs));
        // A 16-bit counter rolls over.
        put(
            Some(self.wiring.total),
            Value::Int(if self.wiring.run.is_some() { self.total } else { self.total % 65_536 }),
        );
        put(self.wiring.reject, Value::Int(self.reject));
        put(self.wiring.fault, Value::Int(self.fault));
    }
}
