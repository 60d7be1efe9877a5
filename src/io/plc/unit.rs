//! The points of one PLC and a link in, observations and words about the PLC out.

use super::{
    Counters, Error, GATEWAY_PATH, GATEWAY_TARGET, Settings, Word, in_words, is_permanent,
    link::{BACK_OFF, BACK_OFF_CAP, Link, Tally},
};
use crate::{
    event::Stamp,
    io::clock::Clock,
    signal::{
        Bad, Observation, Point, PointIx, Reading,
        decode::decode,
        plan::{Block, plan},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};
use tokio::time::Instant;

/// Least time between two observations of points that cannot be read at all: silence is told, not hammered.
const SILENCE_TOLD_EVERY_MS: i64 = 1_000;
/// Least time between two log lines about skipped polls; of the world, so that a fast clock floods no log.
const SKIPS_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Least time between two notices about the same kind of disturbance of a PLC.
const NOTED_EVERY: Duration = Duration::from_secs(600);
/// Least time between two tellings of the counters.
const COUNTED_EVERY: Duration = Duration::from_secs(10);
/// So often is a hole tried again: the program of a PLC may have grown.
const HOLES_RETRIED_EVERY: Duration = Duration::from_secs(300);
/// First pause of a silent unit among others, in time-outs; it doubles with each time-out more.
const UNIT_BACK_OFF_TIMEOUTS: u32 = 4;
/// A pause is shorter by up to this share of it, so that no two units keep step.
const UNIT_BACK_OFF_SPREAD: f64 = 0.25;
/// Asked directly after another PLC's silence, one that is well has so many time-outs to answer in.
const PATIENCE_IN_DOUBT: u32 = 2;
/// Longest pause: a unit that was switched on is seen within this.
const UNIT_BACK_OFF_CAP: Duration = Duration::from_secs(30);
/// First polls are spread over the poll, but none comes later than this.
const STAGGER_MOST_MS: i64 = 1_000;

/// Skipped polls are told of from so many on …
const OVERRUNS_LEAST: u64 = 10;
/// … if they are a hundredth of the polls, reckoned anew after so many.
const OVERRUN_POLLS: u64 = 10_000;

/// One PLC under observation.
pub(super) struct Unit {
    pub(super) settings: Settings,
    clock: Clock,
    /// It has its channel for itself.
    is_alone: bool,
    pub(super) groups: Vec<Group>,
    /// Points that the PLC refused at the last look.
    refused: BTreeSet<PointIx>,
    /// What was said last; `None` before the first word.
    answers: Option<bool>,
    last_reply: Stamp,
    /// Looks in a row that ended in the PLC's own silence.
    silences: u32,
    /// It was silent too, directly after another one's silence.
    is_suspect: bool,
    not_before: Option<Instant>,
    counters: Counters,
    counted: Option<Instant>,
    skips_told: Option<Instant>,
    skips_untold: i64,
    late: Disturbance,
    crc: Disturbance,
    is_flaw_told: bool,
    overruns: Disturbance,
    polls_at_overrun: u64,
}

/// The points of a PLC that are looked at at the same pace.
pub(super) struct Group {
    poll_ms: i64,
    points: Vec<(PointIx, Point)>,
    blocks: Vec<Block>,
    /// What is not asked for the time being, and the exception that said so.
    holes: Vec<(Block, u8)>,
    /// All is tried whole again.
    whole_at: Option<Instant>,
    pub(super) next: Stamp,
    last_told: Stamp,
    has_failed: bool,
}

/// Something that may happen often and is told seldom.
#[derive(Default)]
struct Disturbance {
    untold: u64,
    told: Option<Instant>,
}

impl Disturbance {
    /// How often it happened since it was told, if it is to be told now.
    fn due(&mut self) -> Option<u64> {
        let is_due = self.untold > 0 && self.told.is_none_or(|told| told.elapsed() >= NOTED_EVERY);
        is_due.then(|| {
            self.told = Some(Instant::now());
            mem::take(&mut self.untold)
        })
    }
}

/// What one look gave.
pub(super) struct Look {
    pub(super) words: Vec<Word>,
    pub(super) heard: Heard,
}

/// What one look heard of the channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Answer,
    /// Perhaps the late one to an earlier question: then the PLC is still busy with the last one.
    Perhaps,
    /// The last request went unanswered.
    Silence,
    /// The same, directly after another PLC's silence: it proves nothing.
    Excused,
    /// The PLC was not asked, or the channel failed.
    Nothing,
}

/// What one round over all blocks gave.
struct Round {
    readings: Vec<Reading>,
    answered: bool,
    fault: Option<Error>,
    new_holes: Vec<String>,
}

impl Unit {
    pub(super) fn new(settings: Settings, clock: Clock, is_alone: bool) -> Unit {
        let now = clock.now();
        let mut groups: BTreeMap<i64, Vec<(PointIx, Point)>> = BTreeMap::new();
        for (ix, point) in &settings.points {
            let poll = settings.paces.get(ix).unwrap_or(&settings.poll);
            let poll_ms = i64::try_from(poll.as_millis()).unwrap_or(i64::MAX).max(1);
            groups.entry(poll_ms).or_default().push((*ix, point.clone()));
        }
        let group = |(poll_ms, points): (i64, Vec<(PointIx, Point)>)| Group {
            poll_ms,
            blocks: plan(&points, settings.max_registers, settings.max_gap),
            points,
            holes: Vec::new(),
            whole_at: None,
            next: now.plus(stagger_ms(&settings.id, poll_ms)),
            last_told: Stamp::MIN,
            has_failed: false,
        };
        Unit {
            groups: groups.into_iter().map(group).collect(),
            clock,
            is_alone,
            refused: BTreeSet::new(),
            answers: None,
            last_reply: now,
            silences: 0,
            is_suspect: false,
            not_before: None,
            counters: Counters::default(),
            counted: None,
            skips_told: None,
            skips_untold: 0,
            late: Disturbance::default(),
            crc: Disturbance::default(),
            is_flaw_told: false,
            overruns: Disturbance::default(),
            polls_at_overrun: 0,
            settings,
        }
    }

    /// The shortest time between two polls, on a real clock.
    pub(super) fn fastest(&self) -> Option<Duration> {
        let polls = self.groups.iter().filter_map(|group| u64::try_from(group.poll_ms).ok());
        polls.min().map(|poll_ms| self.clock.real(Duration::from_millis(poll_ms)))
    }

    /// When a group is to be looked at: a unit that may cost its time-out lets those go first who are due until then.
    pub(super) fn turn_of(&self, group: usize) -> Stamp {
        let next = self.groups[group].next;
        if self.answers == Some(false) && !self.rests() {
            return next.plus(i64::try_from(self.settings.timeout.as_millis()).unwrap_or(i64::MAX));
        }
        next
    }

    /// Whether it is to be asked only when the channel is surely free: it did not answer last time, nor ever since it was
    /// lost.
    pub(super) fn waits_for_quiet(&self) -> bool {
        self.answers != Some(true) && (self.is_suspect || self.silences > 0) && !self.rests()
    }

    fn rests(&self) -> bool {
        self.not_before.is_some_and(|at| Instant::now() < at)
    }

    /// The next poll of a group is not later than this.
    pub(super) fn look_again(&mut self, group: usize, at: Stamp) {
        let next = &mut self.groups[group].next;
        *next = (*next).min(at.max(self.clock.now()));
    }

    /// One poll of a group, and what it has to say. In doubt, another PLC was silent just before.
    pub(super) async fn look(&mut self, group: usize, link: &mut Link, is_doubtful: bool) -> Look {
        let round = self.round(group, link, is_doubtful).await;
        let at = self.clock.now();
        let tally = link.take_tally();
        if self.settings.hangs_up {
            link.hang_up();
        }
        let heard = match &round.fault {
            Some(fault) if is_doubtful && !round.answered && is_of_unit(fault) => Heard::Excused,
            Some(Error::NoReply { .. }) => Heard::Silence,
            _ if round.answered && link.is_perhaps_late() => Heard::Perhaps,
            _ if round.answered => Heard::Answer,
            _ => Heard::Nothing,
        };
        let is_excused = heard == Heard::Excused;
        let mut words = Vec::new();
        if is_excused {
            self.is_suspect = true;
        } else {
            self.judge(&round, at, &mut words);
        }
        self.count(&round, &tally, at, &mut words);
        if round.answered {
            self.last_reply = at;
        }
        let group = &mut self.groups[group];
        group.has_failed = round.fault.is_some();
        let is_news = round.answered || is_excused || !words.is_empty();
        if is_news || at.since(group.last_told) >= SILENCE_TOLD_EVERY_MS {
            group.last_told = at;
            let ixs = group.points.iter().map(|(ix, _)| *ix);
            words.push(Word::Seen(Observation { at, readings: ixs.zip(round.readings).collect() }));
        }
        Look { words, heard }
    }

    /// Sets the next poll of the grid that has not passed yet.
    pub(super) fn rest(&mut self, group: usize) -> Option<Word> {
        let now = self.clock.now();
        let group = &mut self.groups[group];
        let overdue = (now.since(group.next) / group.poll_ms).max(0);
        group.next = group.next.plus((overdue + 1).saturating_mul(group.poll_ms));
        let poll_ms = group.poll_ms;
        if self.answers == Some(true) {
            self.skips_untold += overdue;
            self.counters.skipped += u64::try_from(overdue).unwrap_or(0);
            self.overruns.untold += u64::try_from(overdue).unwrap_or(0);
        }
        let plc = &self.settings.id;
        if self.skips_untold > 0 && self.skips_told.is_none_or(|told| told.elapsed() >= SKIPS_TOLD_EVERY) {
            let skipped = mem::take(&mut self.skips_untold);
            tracing::info!(plc, skipped, poll_ms, "polls were skipped: the PLC took longer than one");
            self.skips_told = Some(Instant::now());
        }
        // A busy computer skips one now and then: that is no matter for anybody.
        let (untold, polls) = (self.overruns.untold, self.counters.polls - self.polls_at_overrun);
        if untold < OVERRUNS_LEAST || untold * 100 < polls {
            if polls > OVERRUN_POLLS {
                (self.overruns.untold, self.polls_at_overrun) = (0, self.counters.polls);
            }
            return None;
        }
        let skipped = self.overruns.due()?;
        self.polls_at_overrun = self.counters.polls;
        let text = format!("{plc} took longer than its poll of {poll_ms} ms and skipped {}", times(skipped, "poll"));
        Some(self.noted("plc_overrun", now, text))
    }

    /// Replies to this unit's requests that were found too late to be used.
    pub(super) fn was_late(&mut self, replies: u64) -> Option<Word> {
        self.counters.late += replies;
        self.late.untold += replies;
        let late = self.late.due()?;
        let plc = &self.settings.id;
        tracing::warn!(plc, late, "late replies were discarded");
        let text = format!(
            "{plc} replied after its timeout of {:?}: {} discarded",
            self.settings.timeout,
            times(late, "late reply")
        );
        Some(self.noted("plc_late", self.clock.now(), text))
    }

    fn noted(&self, code: &'static str, at: Stamp, text: String) -> Word {
        Word::Noted { plc: self.settings.id.clone(), at, code, text }
    }

    /// Lost, or back.
    fn judge(&mut self, round: &Round, at: Stamp, words: &mut Vec<Word>) {
        self.is_suspect &= matches!(round.fault, Some(Error::Resting));
        let plc = &self.settings.id;
        let address = self.settings.channel.to_string();
        match &round.fault {
            Some(fault) => {
                self.back_off(fault);
                if self.answers == Some(false) {
                    return;
                }
                self.answers = Some(false);
                let plc = &self.settings.id;
                // What was split around refusals is tried whole again: it may be another device that comes back.
                self.groups.iter_mut().for_each(|group| group.whole_at = Some(Instant::now()));
                let why = in_words(fault);
                tracing::warn!(plc, address, why, "a PLC was lost");
                words.push(Word::Lost { plc: plc.clone(), at, why });
            }
            None => {
                (self.silences, self.not_before) = (0, None);
                if self.answers != Some(true) {
                    let silent_ms = at.since(self.last_reply);
                    match self.answers.replace(true) {
                        None => tracing::info!(plc, address, "a PLC answered"),
                        Some(_) => tracing::info!(plc, silent_ms, "a PLC came back"),
                    }
                    words.push(Word::Back { plc: plc.clone(), at, silent_ms });
                    // What was looked at in vain is not left so until its own slow poll.
                    let failed = self.groups.iter_mut().filter(|group| group.has_failed && group.next > at);
                    failed.for_each(|group| group.next = at);
                }
            }
        }
        if !round.new_holes.is_empty() {
            let text = format!("{} refused to read {}", self.settings.id, round.new_holes.join(", "));
            words.push(self.noted("plc_holes", at, text));
        }
    }

    /// When this unit is asked again. Faults of the connection have a back-off of their own.
    fn back_off(&mut self, fault: &Error) {
        if !is_of_unit(fault) {
            return;
        }
        self.silences += 1;
        let pause = match self.silences.checked_sub(2) {
            // At once at its next poll.
            None => return,
            Some(_) if self.is_alone => self.clock.real(self.settings.poll).clamp(BACK_OFF, BACK_OFF_CAP),
            Some(more) => {
                let pause = self.settings.timeout * UNIT_BACK_OFF_TIMEOUTS;
                let pause = pause.saturating_mul(1 << more.min(8)).min(UNIT_BACK_OFF_CAP);
                pause.mul_f64(1.0 - UNIT_BACK_OFF_SPREAD * fastrand::f64())
            }
        };
        self.not_before = Some(Instant::now() + pause);
    }

    fn count(&mut self, round: &Round, tally: &Tally, at: Stamp, words: &mut Vec<Word>) {
        let counters = &mut self.counters;
        counters.polls += u64::from(round.answered);
        counters.requests += tally.requests;
        counters.retries += tally.retries;
        counters.timeouts += tally.timeouts;
        counters.crc += tally.crc;
        counters.mended_frames += tally.mended_frames;
        self.crc.untold += tally.crc;
        let plc = &self.settings.id;
        if let Some(crc) = self.crc.due() {
            tracing::warn!(plc, crc, "replies had a wrong checksum");
            words.push(self.noted("plc_crc", at, format!("{plc}: {} with a wrong checksum", times(crc, "reply"))));
        }
        // It is so with every reply, and for as long as the device is what it is.
        if let Some(flaw) = &tally.flaw
            && !mem::replace(&mut self.is_flaw_told, true)
        {
            let flaw = flaw.to_string();
            tracing::warn!(plc, flaw, "replies bear a wrong length, and are read by what they hold");
            let text = format!("{plc} counts its replies wrong: {flaw}; they are read by what they hold");
            words.push(self.noted("plc_frames", at, text));
        }
        if let Some((from, to)) = &tally.failed_over {
            tracing::warn!(plc, from, to, "a PLC answers at its other address");
            let text = format!("{plc} answers at {to}, {from} is left until this one is lost");
            words.push(self.noted("plc_failover", at, text));
        }
        let is_told = words.iter().any(|word| matches!(word, Word::Lost { .. } | Word::Back { .. }));
        if is_told || self.counted.is_none_or(|counted| counted.elapsed() >= COUNTED_EVERY) {
            self.counted = Some(Instant::now());
            words.push(Word::Counted { plc: self.settings.id.clone(), counters: self.counters });
        }
    }

    /// Reads every block of a group; the first fault ends the round, and what is left is silent.
    async fn round(&mut self, group: usize, link: &mut Link, is_doubtful: bool) -> Round {
        let count = self.groups[group].points.len();
        let readings = vec![Reading::Bad(Bad::Silent); count];
        let mut round = Round { readings, answered: false, fault: None, new_holes: Vec::new() };
        if self.rests() {
            round.fault = Some(Error::Resting);
            return round;
        }
        let (unit, timeout) = (self.settings.unit, self.settings.timeout);
        self.groups[group].make_whole(&self.settings);
        for (block, code) in &self.groups[group].holes {
            block.slots.iter().for_each(|slot| round.readings[slot.place] = Reading::Bad(Bad::Refused(*code)));
        }
        // What is still to be read, next one last, and whether it is to be read again at the next poll.
        let blocks = mem::take(&mut self.groups[group].blocks);
        let mut stack: Vec<(Block, bool)> = blocks.into_iter().rev().map(|block| (block, true)).collect();
        while round.fault.is_none()
            && let Some((block, lasting)) = stack.pop()
        {
            let patience = if is_doubtful && !round.answered { timeout * PATIENCE_IN_DOUBT } else { timeout };
            let outcome = link.read(unit, patience, &block).await;
            round.answered |= matches!(outcome, Ok(_) | Err(Error::Refused(_)));
            match outcome {
                Ok(registers) => self.take(group, &block, &registers, &mut round),
                Err(fault @ Error::Refused(GATEWAY_PATH | GATEWAY_TARGET)) => round.fault = Some(fault),
                Err(Error::Refused(code)) => match block.halves() {
                    None => {
                        self.refuse(group, &block, code, &mut round);
                        if is_permanent(code) && lasting {
                            self.groups[group].leave_out(block, code);
                            continue;
                        }
                    }
                    Some([low, high]) if is_permanent(code) => {
                        let plc = &self.settings.id;
                        let (area, address, count) = (block.area.word(), block.address, block.count);
                        tracing::info!(plc, area, address, count, code, "a refused read was split in two");
                        self.groups[group].whole_at = Some(Instant::now() + HOLES_RETRIED_EVERY);
                        stack.extend([(high, lasting), (low, lasting)]);
                        continue;
                    }
                    Some(_) => stack.extend(block.singles().into_iter().rev().map(|single| (single, false))),
                },
                Err(fault) => round.fault = Some(fault),
            }
            if lasting {
                self.groups[group].blocks.push(block);
            }
        }
        let left = stack.into_iter().rev().filter_map(|(block, lasting)| lasting.then_some(block));
        self.groups[group].blocks.extend(left);
        if let Some(Error::Refused(code)) = round.fault {
            let unread = |reading: &&mut Reading| **reading == Reading::Bad(Bad::Silent);
            round.readings.iter_mut().filter(unread).for_each(|reading| *reading = Reading::Bad(Bad::Refused(code)));
        } else if round.fault.is_some() && !round.answered {
            // Of a silent PLC nothing is known, not even its holes.
            round.readings.fill(Reading::Bad(Bad::Silent));
        }
        round
    }

    fn take(&mut self, group: usize, block: &Block, registers: &[u16], round: &mut Round) {
        for slot in &block.slots {
            let (ix, point) = &self.groups[group].points[slot.place];
            let from = usize::from(slot.offset);
            let held = registers.get(from..from + usize::from(slot.count)).unwrap_or_default();
            round.readings[slot.place] = decode(point, held);
            if self.refused.remove(ix) {
                tracing::info!(point = point.name, "a refused point was read again");
            }
        }
    }

    fn refuse(&mut self, group: usize, block: &Block, code: u8, round: &mut Round) {
        for slot in &block.slots {
            round.readings[slot.place] = Reading::Bad(Bad::Refused(code));
            let (ix, point) = &self.groups[group].points[slot.place];
            if self.refused.insert(*ix) {
                let why = in_words(&Error::Refused(code));
                tracing::warn!(point = point.name, why, "a point was refused");
                if is_permanent(code) {
                    round.new_holes.push(point.name.clone());
                }
            }
        }
    }
}

impl Group {
    /// Asks for everything again, holes too: where it is time, or where there is nothing else to ask for.
    fn make_whole(&mut self, settings: &Settings) {
        if self.whole_at.is_some_and(|at| at <= Instant::now()) || self.blocks.is_empty() {
            self.whole_at = None;
            self.holes.clear();
            self.blocks = plan(&self.points, settings.max_registers, settings.max_gap);
        }
    }

    fn leave_out(&mut self, block: Block, code: u8) {
        self.whole_at.get_or_insert_with(|| Instant::now() + HOLES_RETRIED_EVERY);
        self.holes.push((block, code));
    }
}

/// The unit itself did not answer, or not properly.
fn is_of_unit(fault: &Error) -> bool {
    matches!(fault, Error::NoReply { .. } | Error::Garbled(_) | Error::Checksum | Error::Refused(_) | Error::Closed(_))
}

/// When the first poll begins: the same for the same PLC, so that a restart does not bring all of them together.
fn stagger_ms(id: &str, poll_ms: i64) -> i64 {
    // FNV-1a.
    let hash = id.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from(hash) % poll_ms.min(STAGGER_MOST_MS)
}

fn times(count: u64, of: &str) -> String {
    match (count, of.strip_suffix('y')) {
        (1, _) => format!("1 {of}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {of}s"),
    }
}
