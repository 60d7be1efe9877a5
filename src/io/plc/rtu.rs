//! A request in, its registers or a fault out, in RTU frames on a serial line or over TCP.
//!
//! An RTU reply bears no number: a late one can be taken for the answer to the next question. So a request that went
//! without its reply is remembered (an [`Owed`]) until no reply can come any more; as long as one is owed, nothing is
//! asked whose answer could be confused with it. One register more makes the difference.

use super::{
    Channel, Error, LineTimes,
    ask::{Ask, ECHO, EXCEPTION_BIT},
    reach::{Reach, Stream},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// Unit, function, address, count, checksum.
pub(super) const REQUEST_BYTES: usize = 8;
/// Unit, function, byte count, checksum: what a reply has besides its data.
pub(super) const REPLY_BYTES: usize = 5;
/// Unit, function, code, checksum.
const EXCEPTION_BYTES: usize = 5;

/// Silence after a request that failed, before the next one; while its reply may still come, it grows to the longest
/// lateness seen of that unit …
const QUIET: Duration = Duration::from_millis(50);
/// … but not further: the neighbours wait for it. What comes later still is told apart by what it was asked for.
const QUIET_CAP: Duration = Duration::from_secs(1);
/// A reply may come so many time-outs late.
const OWED_TIMEOUTS: u32 = 6;
/// … and never sooner than this is it given up.
const OWED_LEAST: Duration = Duration::from_secs(1);
/// A line that does not fall silent for so long babbles.
const BABBLE: Duration = Duration::from_secs(3);
/// Bytes that are kept while waiting for silence.
const HEARD_BYTES: usize = 4096;
/// More registers or bits than this no request may ask for.
const MOST_REGISTERS: u16 = 125;
const MOST_BITS: u16 = 2000;

/// One line, or one connection to a gateway that passes RTU frames.
pub(super) struct Line {
    channel: Channel,
    reach: Arc<dyn Reach>,
    times: LineTimes,
    stream: Option<Box<dyn Stream>>,
    /// When the last byte was on the line.
    last_byte: Instant,
    /// The last request got no answer, or more than that.
    is_unsettled: bool,
    /// What was heard of the last reply, if it was no proper one.
    astray: Vec<u8>,
    /// Whom the last request went to.
    asked: u8,
    /// How long units that were late are waited for in silence.
    quiet: BTreeMap<u8, Duration>,
    owed: Vec<Owed>,
    is_perhaps_late: bool,
    /// Units whose replies came too late to be used.
    late: Vec<u8>,
}

/// A request whose reply may still come.
#[derive(Clone, Copy, Debug)]
struct Owed {
    ask: Ask,
    asked: Instant,
    patience: Duration,
    /// A device that is busy answers one question after the other: counted from the answer before.
    lasts: Duration,
    until: Instant,
    /// Nothing was heard of it: whom it went to may be busy with it.
    is_open: bool,
}

/// A reply to the one could be taken for a reply to the other.
fn is_like(one: Ask, other: Ask) -> bool {
    (one.unit, one.function, one.data_bytes()) == (other.unit, other.function, other.data_bytes())
}

impl Line {
    pub(super) fn new(channel: Channel, reach: Arc<dyn Reach>) -> Line {
        Line {
            times: channel.line_times(),
            channel,
            reach,
            stream: None,
            last_byte: Instant::now(),
            is_unsettled: false,
            astray: Vec::new(),
            asked: 0,
            quiet: BTreeMap::new(),
            owed: Vec::new(),
            is_perhaps_late: false,
            late: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// What is owed stays owed: a gateway may pass an old reply to a new connection.
    pub(super) fn close(&mut self) {
        self.stream = None;
        self.astray.clear();
    }

    /// Closes a connection; a serial line stays open.
    pub(super) fn hang_up(&mut self) {
        if matches!(self.channel, Channel::RtuOverTcp { .. }) {
            self.close();
        }
    }

    pub(super) async fn open(&mut self, patience: Duration) -> Result<(), Error> {
        self.stream = Some(self.reach.open(self.channel.place(), patience).await?);
        self.is_unsettled = true;
        Ok(())
    }

    /// Units whose replies came too late since the last time, each as often as that happened.
    pub(super) fn take_late(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.late)
    }

    /// The last answer may have been the late one to the same question before, which nothing was heard of so far.
    pub(super) fn is_perhaps_late(&self) -> bool {
        self.is_perhaps_late
    }

    /// Reads exactly as many registers or bits as wanted.
    pub(super) async fn read(&mut self, wanted: Ask, patience: Duration) -> Result<Vec<u16>, Error> {
        self.is_perhaps_late = false;
        self.hush().await?;
        let now = Instant::now();
        self.owed.retain(|owed| owed.until > now);
        let ask = self.unmistakable(wanted).ok_or(Error::Unsure)?;
        let wire = self.times.byte * u32::try_from(REQUEST_BYTES + REPLY_BYTES + ask.data_bytes()).unwrap_or(u32::MAX);
        (self.is_unsettled, self.asked) = (true, ask.unit);
        let outcome = timeout(patience + wire, self.exchange(ask)).await;
        self.last_byte = Instant::now();
        let outcome = match outcome {
            // An exception does not say what was asked: it may be the late answer to something else.
            Ok(Err(Error::Refused(_))) if ask != wanted || self.owes_another(ask) => Err(Error::Unsure),
            Ok(outcome) => outcome,
            Err(_) => Err(Error::NoReply { patience }),
        };
        let lasts = (patience * OWED_TIMEOUTS).max(OWED_LEAST) + wire;
        let is_open = matches!(outcome, Err(Error::NoReply { .. }));
        let this = Owed { ask, asked: now, patience: patience + wire, lasts, until: now + lasts, is_open };
        if !matches!(outcome, Ok(_) | Err(Error::Refused(_))) {
            self.owed.push(this);
        } else if let Some(same) = self.owed.iter_mut().filter(|owed| owed.ask == ask).min_by_key(|owed| owed.until) {
            // It may be the late answer to the same question before: then the one to this question still comes.
            self.is_perhaps_late = same.is_open;
            *same = Owed { until: self.last_byte + lasts, ..this };
            self.is_unsettled = true;
        }
        Ok(ask.values(&outcome?, wanted.count))
    }

    fn owes_another(&self, ask: Ask) -> bool {
        self.owed.iter().any(|owed| owed.ask != ask && (owed.ask.unit, owed.ask.function) == (ask.unit, ask.function))
    }

    /// What is asked instead, so that no reply that is still owed can be taken for the answer.
    fn unmistakable(&self, wanted: Ask) -> Option<Ask> {
        let (step, most) = if wanted.is_bits() { (8, MOST_BITS) } else { (1, MOST_REGISTERS) };
        let mut ask = wanted;
        while self.owed.iter().any(|owed| owed.ask != ask && is_like(owed.ask, ask)) {
            ask.count += step;
            if ask.count > most || u32::from(ask.address) + u32::from(ask.count) > 1 << 16 {
                return None;
            }
        }
        Some(ask)
    }

    /// Waits until the line is silent; late replies among what was heard are no longer owed.
    async fn hush(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        // With an unsettled line silence counts from now on; otherwise from the last byte.
        let mut since = if self.is_unsettled { begun } else { self.last_byte };
        let mut heard = std::mem::take(&mut self.astray);
        self.settle(&mut heard);
        let mut bytes = [0; 256];
        loop {
            let quiet = self.quiet();
            let stream = self.stream.as_mut().ok_or_else(closed)?;
            match timeout_at(since + quiet, stream.read(&mut bytes)).await {
                Err(_) => break,
                Ok(Ok(0)) => return Err(closed()),
                Ok(Err(source)) => return Err(Error::Closed(source)),
                Ok(Ok(count)) => {
                    since = Instant::now();
                    heard.extend_from_slice(&bytes[..count]);
                    if heard.len() > HEARD_BYTES || begun.elapsed() > BABBLE + quiet {
                        return Err(Error::Garbled("the line does not fall silent".into()));
                    }
                    self.settle(&mut heard);
                }
            }
        }
        self.is_unsettled = false;
        Ok(())
    }

    /// How long nothing is to be heard before the next request.
    fn quiet(&self) -> Duration {
        if !self.is_unsettled {
            return self.times.gap;
        }
        let now = Instant::now();
        let is_owed = self.owed.iter().any(|owed| owed.ask.unit == self.asked && owed.until > now);
        self.quiet.get(&self.asked).copied().filter(|_| is_owed).unwrap_or(QUIET)
    }

    /// Finds the replies that were owed in what was heard.
    fn settle(&mut self, heard: &mut Vec<u8>) {
        let now = Instant::now();
        let mut from = 0;
        while from < heard.len() {
            let found = self
                .owed
                .iter()
                .position(|owed| matches!(judge(&heard[from..], owed.ask), Some(Ok(_) | Err(Error::Refused(_)))));
            let Some(place) = found else {
                from += 1;
                continue;
            };
            // Which of several equal questions it answers nobody knows: it may be the first one.
            let ask = self.owed[place].ask;
            let equal = (0..self.owed.len()).filter(|place| self.owed[*place].ask == ask);
            let place = equal.min_by_key(|place| self.owed[*place].until).unwrap_or(place);
            let owed = self.owed[place];
            // Which of several it refuses an exception does not say: all of them stay owed.
            let is_exception = heard[from + 1] & EXCEPTION_BIT != 0;
            if !is_exception || !self.owes_another(owed.ask) {
                self.owed.remove(place);
            }
            let unit = owed.ask.unit;
            let lateness = now.saturating_duration_since(owed.asked + owed.patience);
            let quiet = self.quiet.entry(unit).or_insert(QUIET);
            *quiet = (*quiet).max(lateness.mul_f64(1.25)).min(QUIET_CAP);
            self.late.push(unit);
            for next in self.owed.iter_mut().filter(|next| next.ask.unit == unit && next.asked >= owed.asked) {
                next.until = next.until.max(now + next.lasts);
            }
            heard.drain(..from + frame_bytes(&heard[from..], owed.ask));
            from = 0;
        }
    }

    /// The data of the reply.
    async fn exchange(&mut self, ask: Ask) -> Result<Vec<u8>, Error> {
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        let request = sealed(ask.bytes().to_vec());
        stream.write_all(&request).await.map_err(Error::Closed)?;
        let mut echo = if self.times.echo { &request[..] } else { &[] };
        let mut heard = Vec::new();
        let mut bytes = [0; 512];
        loop {
            let count = stream.read(&mut bytes).await.map_err(Error::Closed)?;
            if count == 0 {
                return Err(closed());
            }
            heard.extend_from_slice(&bytes[..count]);
            if !echo.is_empty() {
                let common = echo.len().min(heard.len());
                if heard[..common] != echo[..common] {
                    return Err(Error::Garbled("the line does not echo what was asked".into()));
                }
                if common < echo.len() {
                    continue;
                }
                heard.drain(..common);
                echo = &[];
            }
            if let Some(outcome) = judge(&heard, ask) {
                let exact = heard.len() == frame_bytes(&heard, ask);
                let is_answer = matches!(outcome, Ok(_) | Err(Error::Refused(_)));
                self.is_unsettled = !exact || !is_answer;
                if !is_answer {
                    self.astray = heard;
                }
                return outcome;
            }
        }
    }
}

fn closed() -> Error {
    Error::Closed(std::io::ErrorKind::UnexpectedEof.into())
}

/// How long a reply that begins like this is.
fn frame_bytes(reply: &[u8], ask: Ask) -> usize {
    match reply.get(1) {
        Some(function) if function & EXCEPTION_BIT != 0 => EXCEPTION_BYTES,
        _ => REPLY_BYTES + ask.data_bytes(),
    }
}

/// The data of a reply, or why it is none; `None` until it is whole. With the first byte that cannot belong to the
/// answer the rest is not waited for.
fn judge(reply: &[u8], ask: Ask) -> Option<Result<Vec<u8>, Error>> {
    let garbled = |what: String| Some(Err(Error::Garbled(what)));
    let unit = *reply.first()?;
    if unit != ask.unit {
        return garbled(format!("it is of unit {unit}"));
    }
    let function = *reply.get(1)?;
    let is_exception = function == ask.function | EXCEPTION_BIT;
    if function != ask.function && !is_exception {
        return garbled("it is to another function".into());
    }
    let third = *reply.get(2)?;
    if !is_exception && usize::from(third) != ask.data_bytes() {
        return garbled(ask.misfit(usize::from(third)));
    }
    let frame = reply.get(..frame_bytes(reply, ask))?;
    let (body, sum) = frame.split_at(frame.len() - 2);
    if checksum(body).to_le_bytes() != sum {
        return Some(Err(Error::Checksum));
    }
    if body == ask.bytes() {
        return garbled(ECHO.into());
    }
    Some(if is_exception { Err(Error::Refused(third)) } else { Ok(body[3..].to_vec()) })
}

pub(super) fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&body);
    body.extend(sum.to_le_bytes());
    body
}

/// CRC-16 of Modbus: polynomial 8005 reflected, from FFFF.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::reach::World, *};

    #[test]
    fn a_request_is_the_one_of_the_specification() {
        // The example of the Modbus serial line guide: unit 4, input registers 0, 1.
        let ask = Ask { unit: 1, function: 4, address: 0, count: 10 };
        assert_eq!(sealed(ask.bytes().to_vec()), [0x01, 0x04, 0x00, 0x00, 0x00, 0x0A, 0x70, 0x0D]);
        assert_eq!(checksum(b"123456789"), 0x4B37);
    }

    #[test]
    fn no_prefix_of_a_reply_is_an_answer_and_no_flipped_bit_goes_unseen() {
        let ask = Ask { unit: 7, function: 3, address: 0, count: 2 };
        let reply = sealed(vec![7, 3, 4, 0x12, 0x34, 0x56, 0x78]);
        for length in 0..reply.len() {
            assert!(judge(&reply[..length], ask).is_none(), "{length}");
        }
        assert_eq!(judge(&reply, ask).unwrap().unwrap(), [0x12, 0x34, 0x56, 0x78]);
        for bit in 0..reply.len() * 8 {
            let mut flipped = reply.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(judge(&flipped, ask), Some(Ok(_))), "bit {bit}");
        }
    }

    #[test]
    fn the_question_itself_is_no_answer_even_where_it_looks_like_one() {
        // Twenty coils from 0x0300: three bytes of data, and a right checksum.
        let ask = Ask { unit: 7, function: 1, address: 0x0300, count: 20 };
        let echo = sealed(ask.bytes().to_vec());
        assert!(matches!(judge(&echo, ask), Some(Err(Error::Garbled(why))) if why == ECHO));
    }

    #[tokio::test]
    async fn what_could_be_taken_for_a_late_reply_is_asked_with_a_register_more() {
        let mut line = Line::new(Channel::RtuOverTcp { host: "nowhere".into() }, Arc::new(World));
        let ask = |address, count| Ask { unit: 7, function: 3, address, count };
        let (asked, patience) = (Instant::now(), Duration::from_secs(1));
        let (lasts, until) = (patience, asked + patience);
        line.owed.push(Owed { ask: ask(0, 2), asked, patience, lasts, until, is_open: true });
        assert_eq!(line.unmistakable(ask(0, 2)), Some(ask(0, 2)), "the same may be asked again");
        assert_eq!(line.unmistakable(ask(10, 2)), Some(ask(10, 3)));
        assert_eq!(line.unmistakable(ask(0, 3)), Some(ask(0, 3)));
        assert_eq!(line.unmistakable(ask(65_534, 2)), None, "there is no register more");
        assert_eq!(line.unmistakable(Ask { unit: 8, ..ask(10, 2) }), Some(Ask { unit: 8, ..ask(10, 2) }));
    }
}
