//! What a consumer lacks in, the same bytes out of the journal once more: on a thread of its own, behind all that is new.

use super::Gateway;
use crate::{
    custody::replay::{Gap, Missing, Replay, Request},
    event::command::{Command, Refusal},
    io::{
        in_words,
        journal::{self, Reader},
        mqtt::{self, Lane},
    },
    wire::payload,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Rows that are looked at in one go: no transaction is open while they are sent.
const CHUNK: u64 = 256;

/// Bodies that wait for the broker's task.
const WAITING: usize = 64;

/// One at a time for each consumer.
pub(super) struct Replays {
    data_dir: PathBuf,
    running: BTreeMap<String, JoinHandle<()>>,
}

impl Replays {
    pub(super) fn of(data_dir: &Path) -> Replays {
        Replays { data_dir: data_dir.into(), running: BTreeMap::new() }
    }

    /// Whether one is still on its way to this consumer.
    pub(super) fn is_running(&self, consumer: &str) -> bool {
        self.running.get(consumer).is_some_and(|thread| !thread.is_finished())
    }
}

impl Gateway {
    /// What is to be sent, if it may be asked for now.
    pub(super) fn request(
        &self,
        command: &Command,
        consumer: &str,
        epoch: u32,
        after: &BTreeMap<String, u64>,
    ) -> Result<Request, Refusal> {
        if command.by != consumer {
            let text = format!("{} asks in the name of {consumer}: a replay is for the one who asks", command.by);
            return Err(Refusal::new("not_authorised", text));
        }
        let known = self.shop.known();
        if epoch != known.epoch {
            let text = format!("it is about epoch {epoch}, the journal is in epoch {}: see the digest", known.epoch);
            return Err(Refusal::new("wrong_epoch", text));
        }
        if self.custody.replays.is_running(consumer) {
            let text = "one that was asked for before is still on its way: ask again when it is done".to_owned();
            return Err(Refusal::new("replay_running", text));
        }
        Ok(Request {
            consumer: consumer.to_owned(),
            command_id: command.command_id.clone(),
            after: after.clone(),
            tails: known.topics.clone(),
            through: known.last_sequence(),
        })
    }

    /// All that it asks for is committed.
    pub(super) fn begin_replay(&mut self, request: Request) {
        let (bodies, from) = mpsc::channel(WAITING);
        let (consumer, data_dir) = (request.consumer.clone(), self.custody.replays.data_dir.clone());
        let send = move || send(&data_dir, &request, &bodies);
        match thread::Builder::new().name("replay".into()).spawn(send) {
            Ok(thread) => {
                self.say(mqtt::Word::Lane(Lane { topic: self.names.replay_topic(&consumer), bodies: from }));
                self.custody.replays.running.insert(consumer, thread);
            }
            Err(error) => warn!(consumer, %error, "a replay could not be started: the consumer asks again"),
        }
    }
}

/// Why a replay ended before its end.
enum Broken {
    /// Nobody takes it any more.
    Cut,
    Journal(journal::Error),
}

fn send(data_dir: &Path, request: &Request, bodies: &mpsc::Sender<Arc<[u8]>>) {
    let Request { consumer, command_id, .. } = request;
    let mut replay = Replay::new(request);
    let outcome = walk(data_dir, request, &mut replay, bodies);
    let count = replay.count();
    let done = match outcome {
        Ok(gaps) => {
            let missing = replay.end(&gaps);
            info!(consumer, command_id, events = count, missing = missing.len(), "replay sent");
            payload::digest::done(command_id, count, &missing, None)
        }
        Err(Broken::Cut) => {
            info!(
                consumer,
                command_id,
                events = count,
                "replay given up: the broker was lost, the consumer asks again"
            );
            return;
        }
        Err(Broken::Journal(error)) => {
            let why = in_words(&error);
            warn!(consumer, command_id, events = count, error = why, "replay given up: the journal could not be read");
            payload::digest::done(command_id, count, &[] as &[Missing], Some(&why))
        }
    };
    if let Ok(done) = done {
        // If nobody takes it, the consumer asks again.
        let _ = bodies.blocking_send(done.into());
    }
}

fn walk(
    data_dir: &Path,
    request: &Request,
    replay: &mut Replay,
    bodies: &mpsc::Sender<Arc<[u8]>>,
) -> Result<Vec<Gap>, Broken> {
    let reader = Reader::open(data_dir).map_err(Broken::Journal)?;
    let gaps = reader.gaps().map_err(Broken::Journal)?;
    let wanted = replay.wanted();
    if wanted.is_empty() {
        return Ok(gaps);
    }
    let mut at = reader.before(&wanted).map_err(Broken::Journal)?;
    while !replay.wanted().is_empty() {
        let asked = (at, request.through, CHUNK);
        let piece = reader.piece(asked, |key, sequence| replay.meet(key, sequence)).map_err(Broken::Journal)?;
        for (_, _, body) in piece.rows {
            bodies.blocking_send(body.into()).map_err(|_| Broken::Cut)?;
        }
        let Some(read_to) = piece.read_to else { break };
        at = read_to;
    }
    Ok(gaps)
}
