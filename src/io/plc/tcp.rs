//! A question in, the values of its answer or a fault out, over one Modbus TCP connection that ends with its first fault.
//!
//! Devices count the length in the header wrong, in ways that are known; what the reply itself counts is right in all of
//! them. Such a frame is read by its own count (a [`Flaw`]), and what may trail it is listened for before the next question.

use super::{
    Error,
    ask::{ASK_BYTES, Ask, ECHO, EXCEPTION_BIT},
    reach::Stream,
};
use std::{fmt, future::poll_fn, io, pin::Pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    time::{Instant, timeout},
};

/// Transaction, protocol and length; the length counts from behind itself.
const PREFIX_BYTES: usize = 6;
/// From the transaction to the function code.
const HEAD_BYTES: usize = 8;
/// Unit, function, and the byte count or the code of an exception.
const BODY_HEAD_BYTES: usize = 3;
/// The longest body that there is: unit and 253 bytes.
const MOST_BODY_BYTES: usize = 254;
/// Whoever sends so much without being asked is no Modbus device.
const STRAY_BYTES: usize = 1024;
/// Silence after which a frame with a wrong length, or what strayed, is over: four bytes of a device that sends one every 5 ms.
const QUIET: Duration = Duration::from_millis(20);
/// A connection that does not fall silent for so long babbles.
const BABBLE: Duration = Duration::from_secs(1);

/// A connection on which every request so far was answered properly. Whoever gets an error from it other than
/// [`Error::Refused`] must drop it: a late reply would be taken for the answer to the next question.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    /// More came than was asked for, or less than was promised.
    is_unsettled: bool,
    flaw: Option<Flaw>,
}

/// A length in a header that is not that of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    says: usize,
    is: usize,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header says {} bytes where the reply has {}", self.says, self.is)
    }
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    /// The length in its header, and the right one.
    length: Flaw,
    exception: Option<u8>,
}

impl Session {
    pub(super) fn new(stream: Box<dyn Stream>) -> Session {
        Session { stream, is_unsettled: false, flaw: None }
    }

    /// Reads exactly as many registers or bits as asked for, within `patience`. No other request that could still be
    /// answered, be it by another connection to the same host, may have had the same `transaction`.
    pub(super) async fn read(&mut self, ask: Ask, transaction: u16, patience: Duration) -> Result<Vec<u16>, Error> {
        self.settle().await?;
        let data = timeout(patience, self.exchange(ask, transaction)).await;
        let data = data.map_err(|_| Error::NoReply { patience })??;
        Ok(ask.values(&data, ask.count))
    }

    /// What was wrong with the last answer, if it was one all the same.
    pub(super) fn take_flaw(&mut self) -> Option<Flaw> {
        self.flaw.take()
    }

    /// Throws away what came before the question: it is no answer to it.
    async fn settle(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let mut strayed = 0;
        let mut bytes = [0; STRAY_BYTES];
        loop {
            let count = if self.is_unsettled {
                match timeout(QUIET, self.stream.read(&mut bytes)).await {
                    Ok(count) => count.map_err(Error::Closed)?,
                    Err(_) => break,
                }
            } else {
                match self.read_at_once(&mut bytes).await {
                    Some(count) => count.map_err(Error::Closed)?,
                    None => break,
                }
            };
            if count == 0 {
                return Err(closed());
            }
            strayed += count;
            if strayed >= STRAY_BYTES || begun.elapsed() > BABBLE {
                return Err(Error::Garbled("nobody asked for it".into()));
            }
            self.is_unsettled = true;
        }
        self.is_unsettled = false;
        Ok(())
    }

    async fn read_at_once(&mut self, bytes: &mut [u8]) -> Option<io::Result<usize>> {
        poll_fn(|task| {
            let mut buf = ReadBuf::new(bytes);
            Poll::Ready(match Pin::new(&mut self.stream).poll_read(task, &mut buf) {
                Poll::Ready(outcome) => Some(outcome.map(|()| buf.filled().len())),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// The data of the reply.
    async fn exchange(&mut self, ask: Ask, transaction: u16) -> Result<Vec<u8>, Error> {
        self.stream.write_all(&request(ask, transaction)).await.map_err(Error::Closed)?;
        let mut heard = Vec::with_capacity(PREFIX_BYTES + MOST_BODY_BYTES);
        let mut bytes = [0; 512];
        let frame = loop {
            let is_dubious = is_cut(&heard, ask) || may_be_echo(&heard, ask);
            let read = self.stream.read(&mut bytes);
            let count = if is_dubious { timeout(QUIET, read).await } else { Ok(read.await) };
            match count {
                Ok(count) => {
                    let count = count.map_err(Error::Closed)?;
                    if count == 0 {
                        return Err(closed());
                    }
                    heard.extend_from_slice(&bytes[..count]);
                }
                // Nothing more comes: now it shows whether what is there is the frame.
                Err(_) => break judge_end(&heard, transaction, ask)?,
            }
            match judge(&heard, transaction, ask).transpose()? {
                Some(frame) if !is_cut(&heard, ask) && !may_be_echo(&heard, ask) => break frame,
                Some(Frame { length, .. }) if heard.len() > PREFIX_BYTES + length.is && is_cut(&heard, ask) => {
                    return Err(Error::Garbled(length.to_string()));
                }
                _ => {}
            }
        };
        let Frame { length, exception } = frame;
        self.flaw = (length.says != length.is).then_some(length);
        self.is_unsettled = heard.len() != PREFIX_BYTES + length.says.max(length.is);
        match exception {
            Some(code) => Err(Error::Refused(code)),
            None => Ok(heard[PREFIX_BYTES + BODY_HEAD_BYTES..PREFIX_BYTES + length.is].to_vec()),
        }
    }
}

fn closed() -> Error {
    Error::Closed(io::Error::new(io::ErrorKind::UnexpectedEof, "the device closed it"))
}

fn request(ask: Ask, transaction: u16) -> [u8; PREFIX_BYTES + ASK_BYTES as usize] {
    let mut request = [0; PREFIX_BYTES + ASK_BYTES as usize];
    request[..2].copy_from_slice(&transaction.to_be_bytes());
    request[PREFIX_BYTES - 1] = ASK_BYTES;
    request[PREFIX_BYTES..].copy_from_slice(&ask.bytes());
    request
}

/// The length in the header.
fn said(heard: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*heard.get(4)?, *heard.get(5)?])))
}

/// Judges what was heard; `None` until the answer is whole. With the first byte that cannot belong to it the rest is not
/// waited for.
fn judge(heard: &[u8], transaction: u16, ask: Ask) -> Option<Result<Frame, Error>> {
    let garbled = |what: String| Some(Err(Error::Garbled(what)));
    let head: &[u8; HEAD_BYTES] = heard.first_chunk()?;
    let says = said(heard)?;
    let [unit, function] = [head[6], head[7]];
    // Of an exception two bytes are known whatever its length says.
    if head[2..4] != [0, 0] || (says > usize::from(u8::MAX) && function & EXCEPTION_BIT == 0) {
        return garbled("it is no Modbus".into());
    }
    if head[..2] != transaction.to_be_bytes() {
        return garbled("it bears another transaction".into());
    }
    if unit != ask.unit {
        return garbled(format!("it is of unit {unit}"));
    }
    let is_exception = function == ask.function | EXCEPTION_BIT;
    if function != ask.function && !is_exception {
        return garbled("it is to another function".into());
    }
    let third = *heard.get(HEAD_BYTES)?;
    let held = if is_exception { 0 } else { usize::from(third) };
    if !is_exception && held != ask.data_bytes() {
        return garbled(ask.misfit(held));
    }
    let length = Flaw { says, is: BODY_HEAD_BYTES + held };
    // One too many, or that of the request: so some devices count. Anything else may be another frame.
    if !is_exception && ![length.is, length.is + 1, usize::from(ASK_BYTES)].contains(&says) {
        return garbled(length.to_string());
    }
    heard.get(..PREFIX_BYTES + length.is)?;
    if heard[PREFIX_BYTES..].starts_with(&ask.bytes()) {
        return garbled(ECHO.into());
    }
    Some(Ok(Frame { length, exception: is_exception.then_some(third) }))
}

/// The header ends the frame before the data do.
fn is_cut(heard: &[u8], ask: Ask) -> bool {
    heard.get(HEAD_BYTES - 1).is_some_and(|function| function & EXCEPTION_BIT == 0)
        && said(heard).is_some_and(|says| says < BODY_HEAD_BYTES + ask.data_bytes())
}

/// What is whole so far could be the beginning of the question itself.
fn may_be_echo(heard: &[u8], ask: Ask) -> bool {
    heard.len() > HEAD_BYTES && ask.bytes().starts_with(&heard[PREFIX_BYTES..])
}

/// Judges what was heard when nothing more comes. Where the header cuts the answer another frame could begin: the data are
/// taken for data only if they end where all ends, and do not look like one.
fn judge_end(heard: &[u8], transaction: u16, ask: Ask) -> Result<Frame, Error> {
    let frame = judge(heard, transaction, ask).transpose()?;
    let frame = frame.ok_or_else(|| Error::Garbled("it ends too early".into()))?;
    let length = frame.length;
    let rest = heard.get(PREFIX_BYTES + length.says..).unwrap_or_default();
    if length.says < length.is && (heard.len() != PREFIX_BYTES + length.is || begins_frame(rest, ask)) {
        return Err(Error::Garbled(length.to_string()));
    }
    Ok(frame)
}

fn begins_frame(bytes: &[u8], ask: Ask) -> bool {
    let fits = |at: usize, what: &dyn Fn(u8) -> bool| bytes.get(at).is_none_or(|byte| what(*byte));
    bytes.len() >= PREFIX_BYTES
        && bytes[2..5] == [0, 0, 0]
        && (BODY_HEAD_BYTES..=MOST_BODY_BYTES).contains(&usize::from(bytes[5]))
        && fits(6, &|unit| unit == ask.unit)
        && fits(7, &|function| function & !EXCEPTION_BIT == ask.function)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Ask = Ask { unit: 1, function: 3, address: 0, count: 3 };

    fn frame(length: u8, data: &[u8]) -> Vec<u8> {
        [&[0, 1, 0, 0, 0, length, 1, 3, 6], data].concat()
    }

    #[test]
    fn a_request_is_the_one_of_the_specification() {
        let ask = Ask { unit: 17, function: 3, address: 0x6B, count: 3 };
        assert_eq!(request(ask, 0x1501), [0x15, 0x01, 0, 0, 0, 6, 17, 3, 0, 0x6B, 0, 3]);
    }

    #[test]
    fn no_prefix_of_a_reply_is_an_answer() {
        let whole = frame(9, &[1, 0, 0, 0, 0, 0x34]);
        for length in 0..whole.len() {
            assert!(judge(&whole[..length], 1, ASK).is_none(), "{length}");
        }
        let found = judge(&whole, 1, ASK).unwrap().unwrap();
        assert_eq!(found, Frame { length: Flaw { says: 9, is: 9 }, exception: None });
    }

    #[test]
    fn a_length_is_mended_only_as_devices_are_known_to_count_it() {
        for says in 0..=255 {
            let outcome = judge(&frame(says, &[1, 0, 0, 0, 0, 0x34]), 1, ASK).unwrap();
            assert_eq!(outcome.is_ok(), [6, 9, 10].contains(&says), "{says}");
        }
    }

    #[test]
    fn a_frame_cut_by_its_header_is_none_if_another_one_may_follow() {
        let cut = |rest: &[u8]| {
            let heard = [&[0, 1, 0, 0, 0, 6, 1, 3, 12, 1, 1, 1], rest].concat();
            judge_end(&heard, 1, Ask { count: 6, ..ASK }).map(|frame| frame.length)
        };
        assert_eq!(cut(&[1; 9]).unwrap(), Flaw { says: 6, is: 15 });
        assert!(cut(&[1; 8]).is_err() && cut(&[1; 10]).is_err(), "too short, too long");
        assert!(cut(&[0, 2, 0, 0, 0, 3, 1, 0x83, 2]).is_err(), "an exception");
        assert!(cut(&[0, 2, 0, 0, 0, 9, 1, 3, 6]).is_err(), "a reply begins");
        assert!(cut(&[0; 9]).is_ok());
    }

    #[test]
    fn the_question_itself_is_no_answer_even_where_it_looks_like_one() {
        // Twenty coils from 0x0300: three bytes of data, and a length of six.
        for ask in [Ask { unit: 1, function: 1, address: 0x0300, count: 20 }, Ask { address: 0x0200, count: 1, ..ASK }]
        {
            let echo = request(ask, 1);
            assert!(matches!(judge(&echo, 1, ask), Some(Err(Error::Garbled(why))) if why == ECHO));
            assert!((PREFIX_BYTES + BODY_HEAD_BYTES..echo.len()).all(|end| may_be_echo(&echo[..end], ask)));
        }
    }
}
