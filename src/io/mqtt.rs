//! Committed events, live pictures and replies in, a broker's acknowledgements and other systems' commands out.
//!
//! The journal is the only queue: what is not acknowledged is not gone, and nobody else keeps it. Each connection starts
//! at the cursor with the status, every picture and then the events in order; whatever goes wrong ends it, and the next
//! one starts there again. So an event may arrive twice, but never after a later one of the same connection, and never not.

mod backlog;
mod delivery;
mod errand;
mod lane;
mod outbox;
mod prompt;
mod session;
pub mod tls;

use crate::io::journal::Row;
use backlog::Journal;
use delivery::{Delivery, STALL};
pub use errand::{correct, errand};
pub use lane::Lane;
use lane::Lanes;
use outbox::Outbox;
use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::{self, pki_types::pem};
use tracing::warn;

/// One broker of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port; 1883 or 8883 where the URL names none.
    pub port: u16,
    /// `mqtts://`
    pub tls: bool,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

/// How to reach the brokers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tried in order.
    pub brokers: Vec<Broker>,
    /// `[gateway] id`
    pub client_id: String,
    /// With `password_file`.
    pub username: Option<String>,
    /// Its first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM; without it the roots of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM, client certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM, its key.
    pub key_file: Option<PathBuf>,
    /// MQTT keep-alive.
    pub keep_alive: Duration,
    /// Topics that are listened to.
    pub filters: Vec<String>,
    /// Another process left [`Farewell::BackSoon`] and this one takes its place: the broker shows `online` already, so it is not
    /// left without a word, even if the stop comes before the first connection.
    pub is_expected: bool,
}

/// The gateway's own topic, and what stands on it.
#[derive(Clone, Debug)]
pub struct Will {
    /// `G/status`
    pub topic: String,
    /// What the broker says when the gateway is gone, and the gateway itself when it leaves.
    pub offline: Vec<u8>,
    /// What the gateway says on every connection, until a [`Word::Status`] replaces it.
    pub online: Vec<u8>,
}

/// How the gateway leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// For good: the status says `offline`.
    Offline,
    /// To be back at once: the status stands, and no last will is published.
    BackSoon,
}

/// What the gateway wants told.
#[derive(Debug)]
pub enum Word {
    /// Rows that the journal holds, ascending.
    Committed(Vec<Row>),
    /// A retained live picture; only the newest of a topic counts.
    Picture {
        /// The whole topic.
        topic: String,
        /// JSON
        body: Vec<u8>,
    },
    /// A new body of the online status.
    Status(Vec<u8>),
    /// The answer to a command: told once, to whoever listens.
    Reply {
        /// The whole topic.
        topic: String,
        /// JSON
        body: Vec<u8>,
    },
    /// What arrived under this ticket is taken for good: the broker may forget it.
    Taken(Ticket),
    /// What is sent again, behind all that is new; given up when the connection breaks.
    Lane(Lane),
}

/// What somebody else published on a topic that is listened to. It comes again until it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The whole topic.
    pub topic: String,
    /// As published.
    pub body: Vec<u8>,
    /// It lay at the broker, who knows since when.
    pub is_retained: bool,
    /// To be given back with [`Word::Taken`].
    pub ticket: Ticket,
}

/// What an arrival is taken by, on the connection on which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    connection: u64,
    packet_id: u16,
    bytes: usize,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A broker took the session.
    Connected {
        /// As a URL.
        broker: String,
    },
    /// A connection was lost, or could not be had; each cause once until a connection stands.
    Disconnected {
        /// As a URL.
        broker: String,
        /// For people.
        why: String,
    },
    /// Every event up to this sequence is acknowledged; rises only.
    Acked(u64),
    /// Somebody else published on a topic that is listened to.
    Arrived(Arrival),
    /// The same, with QoS 0 and when no more could wait: it does not come again.
    Dropped,
}

/// Where rows come from that are no longer, or not yet, in memory.
pub trait Backlog: Send + 'static {
    /// At most `limit` committed rows after `sequence`, ascending; none only where there are none. May block.
    fn rows_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<Row>, String>;
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Missing, or not ours to read.
    #[error("{key} {path}: could not be read")]
    Read {
        /// In `[mqtt]`.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A broken PEM file.
    #[error("{key} {path}: is not a PEM file")]
    Pem {
        /// In `[mqtt]`.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// Cause.
        source: pem::Error,
    },
    /// No password.
    #[error("password_file {path}: its first line is empty")]
    NoPassword {
        /// As configured.
        path: PathBuf,
    },
    /// Not one usable.
    #[error("{key} {path}: no certificate found in it")]
    NoCertificate {
        /// In `[mqtt]`.
        key: &'static str,
        /// As configured.
        path: PathBuf,
    },
    /// None.
    #[error("{key} {path}: no private key found in it")]
    NoKey {
        /// In `[mqtt]`.
        key: &'static str,
        /// As configured.
        path: PathBuf,
    },
    /// One without the other.
    #[error("cert_file and key_file: one is given without the other")]
    HalfPair,
    /// Key and certificate do not fit, or the key is of no kind that we know.
    #[error("key_file {key}: cannot be used with cert_file {cert}")]
    Pair {
        /// As configured.
        cert: PathBuf,
        /// As configured.
        key: PathBuf,
        /// Cause.
        source: rustls::Error,
    },
    /// Nobody to trust.
    #[error("mqtts: this system has no certificate authorities; name a ca_file")]
    NoRoots,
    /// Not to be expected.
    #[error("mqtts: TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

/// Whether every file that the settings name can be used: for a start that fails early. Reads files.
pub fn check(settings: &Settings) -> Result<(), Error> {
    Credentials::read(settings).map(drop)
}

/// Delivers until `stop` says how to leave or its sender is gone, then says goodbye within 1.3 s. Until the goodbye is said,
/// another word may take its place.
///
/// `cursor` is the last acknowledged sequence. `words` may be unbounded: they are taken at once, whether or not a broker
/// is there, and what does not fit here is left to the journal. To be stopped orderly, send the last words first.
pub async fn run(
    settings: Settings,
    will: Will,
    cursor: u64,
    backlog: impl Backlog,
    words: mpsc::UnboundedReceiver<Word>,
    said: mpsc::UnboundedSender<Said>,
    stop: watch::Receiver<Option<Farewell>>,
) {
    warn_of_open_password(&settings);
    let outbox = Outbox::new(cursor, will.online.clone());
    let journal = Journal::new(backlog);
    let begun = Delivery {
        settings,
        will,
        outbox,
        lanes: Lanes::default(),
        journal,
        words,
        said,
        stop,
        silence: None,
        stall: STALL,
        connection: 0,
        is_poisoned: false,
    };
    begun.run().await;
}

/// What a connection needs from files.
struct Credentials {
    password: Option<Vec<u8>>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Credentials {
    fn read(settings: &Settings) -> Result<Credentials, Error> {
        let password = settings.password_file.as_deref().map(password).transpose()?;
        Ok(Credentials { password, tls: tls::prepare(settings)? })
    }
}

fn password(path: &Path) -> Result<Vec<u8>, Error> {
    let content = read("password_file", path)?;
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Error::NoPassword { path: path.into() });
    }
    Ok(line.to_vec())
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { key, path: path.into(), source })
}

fn warn_of_open_password(settings: &Settings) {
    for path in settings.password_file.iter().chain(&settings.key_file) {
        if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0) {
            warn!(path = %path.display(), "secret file can be read by every user of this machine");
        }
    }
}
