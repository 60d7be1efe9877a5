//! PLCs in, observations out: one task a channel.

mod ask;
mod line;
mod link;
mod load;
pub mod probe;
mod reach;
mod rtu;
pub mod scan;
mod tcp;
#[cfg(test)]
mod tests;
mod unit;

pub use line::run;
pub use load::{Load, load};
pub use reach::{Opening, Place, Reach, Stream, World};

use super::in_words;
use crate::{
    event::Stamp,
    signal::{Observation, Point, PointIx},
};
use std::{collections::BTreeMap, fmt, io, path::PathBuf, time::Duration};

/// One PLC and the points to read from it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[[plc]] id`
    pub id: String,
    /// How it is reached; PLCs with the same one share it.
    pub channel: Channel,
    /// The connection is closed after each poll, for devices that cannot keep one.
    pub hangs_up: bool,
    /// Modbus unit id.
    pub unit: u8,
    /// Time between two looks at the same point …
    pub poll: Duration,
    /// … but for these.
    pub paces: BTreeMap<PointIx, Duration>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Most registers in one request (at most 125; bits: 16 times as many, at most 2000).
    pub max_registers: u16,
    /// Most unused registers (or bits) read along to save a request.
    pub max_gap: u16,
    /// What to read.
    pub points: Vec<(PointIx, Point)>,
}

/// The defaults of the configuration, reached nowhere.
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            id: String::new(),
            channel: Channel::Tcp { hosts: Vec::new() },
            hangs_up: false,
            unit: 1,
            poll: Duration::from_millis(200),
            paces: BTreeMap::new(),
            timeout: Duration::from_secs(1),
            max_registers: 125,
            max_gap: 8,
            points: Vec::new(),
        }
    }
}

/// What requests travel on: one connection or one line, one request at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Modbus TCP.
    Tcp {
        /// `host:port`, tried in order; several are one redundant PLC.
        hosts: Vec<String>,
    },
    /// RTU frames in a TCP stream.
    RtuOverTcp {
        /// `host:port` of the serial gateway.
        host: String,
    },
    /// RTU on a serial line.
    Serial(Serial),
}

impl Channel {
    /// Modbus TCP at one `host:port`.
    pub fn tcp(host: impl Into<String>) -> Channel {
        Channel::Tcp { hosts: vec![host.into()] }
    }

    fn line_times(&self) -> LineTimes {
        let Channel::Serial(line) = self else {
            return LineTimes { byte: Duration::ZERO, gap: Duration::ZERO, echo: false };
        };
        let bits = 1 + line.data_bits + u8::from(line.parity != Parity::None) + line.stop_bits;
        let byte = Duration::from_secs(1) * u32::from(bits) / line.baud.max(1);
        let auto = if line.baud > FAST_BAUD { FAST_GAP } else { byte * 7 / 2 };
        LineTimes { byte, gap: line.gap.unwrap_or(auto), echo: line.echo }
    }
}

/// Above this rate the silence between frames no longer shrinks.
const FAST_BAUD: u32 = 19_200;
const FAST_GAP: Duration = Duration::from_micros(1750);

/// As a person calls it.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Tcp { hosts } => f.write_str(&hosts.join(", ")),
            Channel::RtuOverTcp { host } => f.write_str(host),
            Channel::Serial(line) => write!(f, "{}", line.device.display()),
        }
    }
}

/// A serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    /// Its device file.
    pub device: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// The adapter hears itself.
    pub echo: bool,
    /// Silence before each request; `None`: 3.5 characters, 1.75 ms above 19200 baud.
    pub gap: Option<Duration>,
}

/// Of the bytes on a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    None,
    /// An even number of ones.
    Even,
    /// An odd number of ones.
    Odd,
}

/// What a channel takes for its bytes.
#[derive(Clone, Copy, Debug)]
struct LineTimes {
    byte: Duration,
    gap: Duration,
    echo: bool,
}

/// PLCs by their channel, in the order of the configuration: what one [`run`] each looks after.
pub fn lines(plcs: Vec<Settings>) -> Vec<Vec<Settings>> {
    let mut lines: Vec<Vec<Settings>> = Vec::new();
    for plc in plcs {
        match lines.iter_mut().find(|line| line[0].channel == plc.channel) {
            Some(line) => line.push(plc),
            None => lines.push(vec![plc]),
        }
    }
    lines
}

/// What happened to a PLC since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Polls that were answered.
    pub polls: u64,
    /// Requests sent.
    pub requests: u64,
    /// Those of them that were sent again at once.
    pub retries: u64,
    /// Replies that did not come in time.
    pub timeouts: u64,
    /// Replies that came after that, and were thrown away.
    pub late: u64,
    /// Replies with a wrong checksum.
    pub crc: u64,
    /// Answers with a wrong length in their header, read by their own count.
    pub mended_frames: u64,
    /// Polls that came due while another one ran.
    pub skipped: u64,
}

/// What a PLC's task has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// One poll: a reading for every point of the PLC that was looked at.
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
    /// Something that somebody should know.
    Noted {
        /// `[[plc]] id`
        plc: String,
        /// When it was noticed.
        at: Stamp,
        /// `plc_failover`, `plc_holes`, `plc_late`, `plc_crc`, `plc_frames` or `plc_overrun`.
        code: &'static str,
        /// In words.
        text: String,
    },
    /// What happened so far, from time to time.
    Counted {
        /// `[[plc]] id`
        plc: String,
        /// Since the start.
        counters: Counters,
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
    /// The checksum of an RTU frame.
    #[error("the reply's checksum is wrong")]
    Checksum,
    /// The device file, which may be unplugged.
    #[error("the serial line {} could not be opened", device.display())]
    Open {
        /// `[[serial]] device`
        device: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// On RTU: the answer could not be told from a late one.
    #[error("an earlier reply may still come")]
    Unsure,
    /// Between two attempts to connect: why the last one failed.
    #[error("{0}")]
    Waiting(String),
    /// The unit did not answer, and is not asked for a while.
    #[error("the unit is asked again later")]
    Resting,
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
