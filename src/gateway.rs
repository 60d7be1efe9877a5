//! The daemon: PLCs in, the broker out, and between them one loop that never waits for disk or network.
//!
//! Wiring only. What a turn of the shop gives is put into an envelope for the journal; pictures travel with it and are
//! let go after its commit, so that nothing is told that is not written.

mod backlog;
pub mod door;
pub mod custody;
pub mod history;
mod memory;
mod picture;
mod record;
mod reload;
mod remember;
mod replay;
mod status;

use crate::{
    custody::{receipt, replay::Request},
    event::{GATEWAY_LINE, Stamp, Told, notice},
    io::{
        clock::{Clock, Look, WallWatch, boot_id},
        descriptors, in_words,
        journal::{self, Committed, Envelope, History, Journal, Lost, Marks as MarksFile, Pen, Row, history::Line},
        mqtt, plc,
        systemd::Notify,
    },
    shop::{Input, Marks, Rules, Shop},
    wire::{Names, envelope, payload::picture::Commands},
};
use backlog::Backlog;
use custody::Custody;
use door::{Door, Permits};
use history::{Archive, Made};
use memory::{Kept, Memory};
use picture::Pictures;
use record::Recording;
use reload::Reloading;
pub use reload::{Checking, Fit, Outcome, Reload};
use remember::{changed_rules, latest_anchor, latest_marks, obituary, recall, remember, rules_text, tell_again};
use status::{PlcStatus, StatusBook};
use std::{cell::Cell, collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

/// Observations that wait for the loop: a burst of every PLC at once.
const OBSERVATIONS: usize = 1024;

/// Marks, pictures, recording, status and watchdog are looked after so often. Real time.
const BEAT: Duration = Duration::from_secs(1);

/// Beats between two pictures of the OEE.
const OEE_BEATS: u64 = 10;

/// Beats between two tellings of the counters of PLCs.
const COUNTER_BEATS: u64 = 60;

/// Beats between two digests, if something was told; well within the 30 s that consumers are promised.
const DIGEST_BEATS: u64 = 15;

/// Beats between two writings of the marks to the journal; between, they lie in memory only and cost no flash.
const MARK_BEATS: u64 = 300;

/// A snapshot after so many events …
const SNAPSHOT_EVENTS: u64 = 10_000;

/// … or so many beats, if there was an event.
const SNAPSHOT_BEATS: u64 = 3600;

/// Beats beyond the time that a poll may take, before its absence means that the loop is hung.
const QUIET_BEATS: u64 = 2;

/// How long the last events may take to the disk when the gateway stops.
const LAST_COMMIT: Duration = Duration::from_millis(500);

/// Everything that the daemon is told before it starts.
pub struct Settings {
    /// For the shop.
    pub rules: Rules,
    /// For the world.
    pub names: Names,
    /// One task each.
    pub plcs: Vec<plc::Settings>,
    /// Who reports what it holds.
    pub consumers: Vec<receipt::Rule>,
    /// Where to publish.
    pub mqtt: mqtt::Settings,
    /// Where to keep.
    pub journal: journal::Settings,
    /// Who may send commands.
    pub permits: Permits,
    /// `--record`
    pub record: Option<PathBuf>,
    /// `--clock-speed`; 1 but in a simulation.
    pub clock_speed: u32,
}

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The snapshot cannot be read.
    #[error("the journal's snapshot is not readable by this version")]
    Snapshot(#[source] serde_json::Error),
    /// A file that the broker settings name.
    #[error("[mqtt] cannot be used")]
    Mqtt(#[from] mqtt::Error),
    /// More PLCs than descriptors.
    #[error(transparent)]
    Descriptors(#[from] descriptors::Error),
    /// The recording.
    #[error("the recording could not be written")]
    Record(#[from] crate::io::samples::Error),
    /// An earlier recording is in the way.
    #[error("the recording that stands at {} could not be kept under another name", path.display())]
    KeepRecording {
        /// Of `--record`.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gave no thread.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// A task ended that never should.
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

/// Runs until `stop` resolves or a reload is due, then ends in order within two seconds.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub async fn run(
    settings: Settings,
    notify: Notify,
    stop: impl Future<Output = ()>,
    reload: Option<Reload>,
) -> Result<Outcome, Error> {
    mqtt::check(&settings.mqtt)?;
    let lines = plc::lines(settings.plcs.clone());
    descriptors::allow(lines.len())?;
    let (journal, start) = Journal::open(&settings.journal)?;
    let hold = journal.hold()?;
    let mut marks_file = MarksFile::place(&settings.journal, start.instance);
    let mut receipts_file = MarksFile::of_receipts(&settings.journal, start.instance);
    let (mut known, again) = remember(&start, &settings.rules)?;
    let snapshot_at = start.snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
    let mut archive = Archive::open(&settings.rules, &known, snapshot_at, &start.history, &journal)?;
    let mut behind = history::terms_in_force(&settings.rules);
    recall(&start, &mut known, |told| {
        if archive.is_complete() {
            let lines = archive.enter(told);
            // An older andon may have written the last events: it keeps no history.
            behind.extend(lines.into_iter().filter(|_| Some(told.sequence) > start.history.through));
        }
    });
    let made = match archive.is_complete() {
        true => None,
        false => Some(history::make(settings.journal.data_dir.clone(), &settings.rules, start.last_sequence)?),
    };
    let again = tell_again(&settings.rules.gateway, &mut known, again);
    let rules_text = rules_text(&settings.rules);
    let changed = changed_rules(start.rules.as_deref(), &rules_text);
    let in_memory = marks_file.read().map(|kept| kept.body);
    let mut marks = latest_marks(start.marks.as_deref(), in_memory.as_deref());
    door::recall(&settings.journal.data_dir, &mut marks.lists)?;
    let is_first = known.at == Stamp::MIN && marks == Marks::default();
    let (end, boot) = ((!is_first).then(|| known.at.max(marks.at).plus(1)), boot_id());
    let anchor = latest_anchor(start.marks.as_deref(), in_memory.as_deref(), &boot);
    let clock = Clock::resume(settings.clock_speed, end, &known.wall, anchor.as_ref());
    let mut wall = clock.watch(&known.wall);
    wall.ask();
    let names = Names { wall: known.wall.clone(), ..settings.names };
    let shop = Shop::open(Arc::new(settings.rules), known, &marks);
    let recording = match &settings.record {
        Some(path) => Some(Recording::begin(path, record::columns(shop.rules(), &settings.plcs))?),
        None => None,
    };

    let (committed_in, committed) = mpsc::unbounded_channel();
    let (pen, ending) = journal.start(committed_in)?;
    let (words, words_out) = mpsc::unbounded_channel();
    let (said_in, said) = mpsc::unbounded_channel();
    let (seen_in, seen) = mpsc::channel(OBSERVATIONS);
    let (stop_mqtt, mqtt_stops) = watch::channel(None);

    let status = StatusBook {
        instance: start.instance,
        started_at: clock.now(),
        clock_speed: settings.clock_speed,
        plcs: settings.plcs.iter().map(|plc| (plc.id.clone(), PlcStatus::default())).collect(),
        commands: Commands::default(),
        trouble: None,
        reload_refused: None,
    };
    let will = mqtt::Will {
        topic: names.status_topic(),
        offline: status.will(&names, clock.now()),
        online: status.body(&names, "online", clock.now()),
    };
    let kept = receipts_file.read().map(|kept| kept.body);
    let custody = Custody::open(settings.consumers, &settings.journal.data_dir, &start, kept.as_deref(), clock.now());
    let patient_beats = patient_beats(&settings.plcs, clock);
    let mut tasks = JoinSet::new();
    for line in lines {
        let (clock, out) = (clock, seen_in.clone());
        tasks.spawn(async move {
            plc::run(line, clock, out).await;
            "a PLC's task"
        });
    }
    drop(seen_in);
    let mut filters = names.command_filters();
    filters.push(names.receipt_topic("+"));
    let mut mqtt_task = tokio::spawn(mqtt::run(
        mqtt::Settings { filters, ..settings.mqtt },
        will,
        start.cursor,
        Backlog::of(&settings.journal.data_dir),
        words_out,
        said_in,
        mqtt_stops,
    ));

    let mut house = Gateway {
        clock,
        wall,
        boot,
        recorded_ms: 0,
        pictures: Pictures::new(&shop),
        shop,
        names,
        pen,
        held: None,
        held_since: None,
        words,
        memory: Memory::open(marks_file, receipts_file)?,
        custody,
        recording,
        notify,
        status,
        status_is_old: false,
        acked: start.cursor,
        archive,
        made,
        door: Door::new(settings.permits, settings.journal.data_dir),
        snapshot_at,
        beats: 0,
        beats_at_snapshot: 0,
        polls: 0,
        quiet_beats: 0,
        patient_beats,
        reloading: Reloading::new(reload),
    };
    let lost = start.carried.map(|carried| carried.lost);
    house.open(rules_text, behind, &changed, (lost, again));
    let outcome = house.live(stop, seen, committed, said, &mut tasks, &mut mqtt_task, stop_mqtt).await;
    // The journal's thread has been told; what it could not write is an error.
    let written = match ending.join() {
        Ok(written) => written.map_err(Error::from),
        Err(_) => Err(Error::Ended("the journal's thread")),
    };
    // A start makes a new database of what can be read of it.
    let is_condemned = matches!(written, Err(Error::Journal(journal::Error::Corrupt { .. })));
    let outcome = if is_condemned { Ok(Outcome::Again) } else { outcome };
    if matches!(outcome, Ok(Outcome::Again)) {
        // It falls with the exec: until then nobody else gets at the data folder.
        std::mem::forget(hold);
    }
    match (outcome?, written) {
        // What is not written was never told; the next start finds it in the counters, or says why it cannot.
        (Outcome::Again, Err(error)) => {
            error!(why = in_words(&error), "not all was written before the restart");
            Ok(Outcome::Again)
        }
        (outcome, written) => written.map(|()| outcome),
    }
}

/// How long it may take until some PLC was polled: its pause, then to connect, to be asked and to be asked once again.
fn patient_beats(plcs: &[plc::Settings], clock: Clock) -> u64 {
    let pace = |plc: &plc::Settings| plc.points.iter().map(|(ix, _)| *plc.paces.get(ix).unwrap_or(&plc.poll)).min();
    let longest = plcs.iter().filter_map(|plc| Some(clock.real(pace(plc)?) + plc.timeout * 3)).min();
    longest.map_or(u64::MAX, |longest| longest.as_secs() + QUIET_BEATS)
}

/// What may be let go only after the commit.
enum Passenger {
    Picture {
        topic: String,
        body: Vec<u8>,
    },
    Reply {
        topic: String,
        body: Vec<u8>,
    },
    /// The command is answered: it need not come again.
    Answered {
        ticket: mqtt::Ticket,
        /// The next one waited for it.
        is_awaited: bool,
    },
    /// All that it asks for is on the disk.
    Replay(Request),
}

struct Gateway {
    clock: Clock,
    wall: WallWatch,
    /// The kernel's name of this boot.
    boot: String,
    /// A recording is written in the time of the wall clock as it stood to the timeline at its beginning.
    recorded_ms: i64,
    shop: Shop,
    names: Names,
    pictures: Pictures,
    pen: Pen<Passenger>,
    /// The journal is full to its bound: this one waits, and nothing new is decided until it is taken.
    held: Option<Envelope<Passenger>>,
    held_since: Option<Stamp>,
    words: mpsc::UnboundedSender<mqtt::Word>,
    memory: Memory,
    custody: Custody,
    recording: Option<Recording>,
    notify: Notify,
    status: StatusBook,
    /// Counters have moved since it was told.
    status_is_old: bool,
    acked: u64,
    archive: Archive,
    /// The history of what was told before there was one, as long as it is made.
    made: Option<mpsc::Receiver<Made>>,
    door: Door,
    snapshot_at: u64,
    beats: u64,
    beats_at_snapshot: u64,
    /// Completed since the last beat: what the watchdog lives on.
    polls: u64,
    /// Beats without one.
    quiet_beats: u64,
    /// So many are nothing to worry about: the most frequent PLC may be asked no more often.
    patient_beats: u64,
    reloading: Reloading,
}

impl Gateway {
    fn open(&mut self, rules_text: String, lines: Vec<Line>, changed: &[String], inherited: (Option<Lost>, Vec<Told>)) {
        let now = self.clock.now();
        let history = History { lines, ..History::default() };
        let mut envelope = Envelope { rules: Some(rules_text), history, ..Envelope::default() };
        let (lost, again) = inherited;
        self.enclose(again, &mut envelope);
        self.watch_clock(now, &mut envelope);
        if let Some(lost) = lost {
            let notice = obituary(&lost, self.shop.known().epoch, now);
            let turn = self.shop.turn(Input::Notice(&notice), now);
            self.enclose(turn.told, &mut envelope);
            // With it the new epoch stands on its own feet.
            self.snapshot(&mut envelope);
        }
        self.recorded_ms = self.names.wall.offset_ms();
        for id in changed {
            let machine = (!id.is_empty()).then(|| id.clone());
            let text =
                "what happened before was judged under other rules; an open stop keeps the threshold it began with";
            self.notice(machine, "rules_changed", notice::Severity::Info, text.to_owned(), now, &mut envelope);
        }
        self.clear_gone(&mut envelope);
        let turn = self.shop.turn(Input::Tick, now);
        self.enclose(turn.told, &mut envelope);
        self.reach(&mut envelope);
        self.shop.show_meters();
        // From its first word on, another process of this boot can go on exactly.
        envelope.marks = serde_json::to_string(&self.marks()).ok();
        self.pictures.all(&self.shop, &self.names, now, &mut envelope);
        self.tell_digest(now, &mut envelope);
        self.send(envelope);
        self.notify.ready();
        info!(machines = self.names.machines.len(), plcs = self.status.plcs.len(), "gateway started");
    }

    /// A machine that was renamed or taken out must not stand in the broker as if it still ran.
    fn clear_gone(&self, envelope: &mut Envelope<Passenger>) {
        let told: BTreeSet<(&str, &str)> = self
            .shop
            .known()
            .topics
            .keys()
            .filter_map(|key| key.rsplit_once('/')?.0.split_once('/'))
            .filter(|(line, machine)| match self.names.machines.get(*machine) {
                Some(names) => names.line != *line,
                None => *line != GATEWAY_LINE,
            })
            .collect();
        for (line, machine) in told {
            info!(line, machine, "a machine of the journal is not in the configuration: its pictures are taken down");
            let topics = self.names.picture_topics(line, machine).into_iter();
            // An empty retained message takes the one before away.
            envelope.passengers.extend(topics.map(|topic| Passenger::Picture { topic, body: Vec::new() }));
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn live(
        mut self,
        stop: impl Future<Output = ()>,
        mut seen: mpsc::Receiver<plc::Word>,
        mut committed: mpsc::UnboundedReceiver<Committed<Passenger>>,
        mut said: mpsc::UnboundedReceiver<mqtt::Said>,
        tasks: &mut JoinSet<&'static str>,
        mqtt_task: &mut tokio::task::JoinHandle<()>,
        stop_mqtt: watch::Sender<Option<mqtt::Farewell>>,
    ) -> Result<Outcome, Error> {
        tokio::pin!(stop);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut health = self.pen.health();
        let outcome = loop {
            let wake = self.clock;
            let due = if self.held.is_some() { Stamp::MAX } else { self.shop.next_wake() };
            tokio::select! {
                biased;
                () = &mut stop => break Ok(Outcome::Stopped),
                done = committed.recv() => match done {
                    Some(done) => self.release(done),
                    None => break Err(Error::Ended("the journal's thread")),
                },
                Some(word) = said.recv() => self.hear(word),
                // Before the tick: what was seen happened before what is due now.
                word = seen.recv(), if !tasks.is_empty() => match word {
                    Some(word) => self.see(word),
                    None => break Err(Error::Ended("the last PLC's task")),
                },
                Some(ended) = tasks.join_next() => break Err(Error::Ended(ended.unwrap_or("a PLC's task"))),
                _ = &mut *mqtt_task => break Err(Error::Ended("the broker's task")),
                Ok(()) = health.changed() => {
                    let trouble = health.borrow_and_update().as_ref().map(|trouble| trouble.words.clone());
                    self.status.trouble = trouble;
                    self.tell_status();
                }
                made = made(&mut self.made), if self.held.is_none() => self.keep(made),
                found = self.door.looked() => self.decide(found),
                step = self.reloading.step() => self.reload(step),
                _ = beat.tick() => self.beat(),
                () = wake.sleep_until(due) => self.turn(Input::Tick, wake.now()),
                // Behind everything else: however many knock, PLCs are heard.
                () = std::future::ready(()), if self.held.is_none() && self.door.may_admit() => self.admit(),
            }
            if self.reloading.fit().is_some() {
                break Ok(Outcome::Again);
            }
        };
        let farewell = match (&outcome, self.reloading.fit()) {
            (Ok(Outcome::Again), None | Some(Fit::SamePlace)) => mqtt::Farewell::BackSoon,
            _ => mqtt::Farewell::Offline,
        };
        match &outcome {
            Ok(Outcome::Again) => {
                info!("restarting in place");
                self.notify.reloading();
            }
            _ => self.notify.stopping(),
        }
        tasks.abort_all();
        let farewell = Cell::new(farewell);
        let closed = self.close(&mut committed, &mut said, mqtt_task, (&stop_mqtt, &farewell));
        if !matches!(outcome, Ok(Outcome::Again)) {
            closed.await;
            return outcome;
        }
        tokio::pin!(closed);
        tokio::select! {
            () = &mut closed => return outcome,
            () = &mut stop => {}
        }
        farewell.set(mqtt::Farewell::Offline);
        let is_late = stop_mqtt.is_closed();
        if stop_mqtt.borrow().is_some() {
            stop_mqtt.send_replace(Some(mqtt::Farewell::Offline));
        }
        closed.await;
        // The broker was told that we are back soon: then we are, for as long as it takes to say something else.
        Ok(if is_late { Outcome::Again } else { Outcome::Stopped })
    }

    fn see(&mut self, word: plc::Word) {
        match word {
            plc::Word::Seen(mut observation) => {
                self.polls += 1;
                self.turn(Input::Observed(&observation), observation.at);
                if let Some(recording) = &mut self.recording {
                    // As it was decided: never before what was decided last.
                    observation.at = self.shop.now().plus(self.recorded_ms);
                    recording.take(observation);
                }
            }
            plc::Word::Lost { plc, at, why } => {
                let text = format!("{plc} does not answer: {why}");
                self.plc_changed(plc, false, "plc_lost", notice::Severity::Warning, text, at);
            }
            plc::Word::Back { plc, at, silent_ms } => {
                let text = format!("{plc} answers again after {:.1} s", silent_ms as f64 / 1000.0);
                self.plc_changed(plc, true, "plc_back", notice::Severity::Info, text, at);
            }
            // While the journal takes nothing, the counters still tell it.
            plc::Word::Noted { .. } if self.held.is_some() => {}
            plc::Word::Noted { at, code, text, .. } => {
                let mut envelope = Envelope::default();
                self.notice(None, code, notice::Severity::Warning, text, at, &mut envelope);
                self.send(envelope);
            }
            plc::Word::Counted { plc, counters } => {
                let known = self.status.plcs.entry(plc).or_default();
                self.status_is_old |= known.counters != counters;
                known.counters = counters;
            }
        }
    }

    fn plc_changed(
        &mut self,
        plc: String,
        answers: bool,
        code: &str,
        severity: notice::Severity,
        text: String,
        at: Stamp,
    ) {
        // The first answer after a start is nothing to report.
        let before = self.status.plcs.entry(plc).or_default().answers.replace(answers);
        if (before.is_some() || !answers) && self.held.is_none() {
            let mut envelope = Envelope::default();
            self.notice(None, code, severity, text, at, &mut envelope);
            self.send(envelope);
        }
        self.tell_status();
    }

    fn notice(
        &mut self,
        machine: Option<String>,
        code: &str,
        severity: notice::Severity,
        text: String,
        at: Stamp,
        envelope: &mut Envelope<Passenger>,
    ) {
        if self.held.is_some() {
            return;
        }
        let notice = notice::Event {
            at,
            machine,
            code: code.to_owned(),
            severity,
            text,
            from: None,
            to: None,
            sequences: None,
            clock: None,
        };
        let turn = self.shop.turn(Input::Notice(&notice), at);
        self.enclose(turn.told, envelope);
    }

    /// One turn of the shop, and everything that follows from it.
    fn turn(&mut self, input: Input<'_>, now: Stamp) {
        // What is not decided is seen again later: PLC counters are the log, and the gap becomes `unknown`.
        if self.held.is_some() {
            return;
        }
        let mut envelope = Envelope::default();
        self.watch_clock(now, &mut envelope);
        let turn = self.shop.turn(input, now);
        if turn.told.is_empty() && !turn.is_mark_due && envelope.rows.is_empty() {
            return;
        }
        self.pictures.changed(&self.shop, &self.names, &turn.told, now, &mut envelope);
        self.enclose(turn.told, &mut envelope);
        if turn.is_mark_due {
            envelope.marks = serde_json::to_string(&self.marks()).ok();
        }
        self.send(envelope);
    }

    /// Enters a step of the wall clock before anything is told in the time of that clock.
    fn watch_clock(&mut self, now: Stamp, envelope: &mut Envelope<Passenger>) {
        let Look { step_ms, is_synced } = self.wall.look();
        if step_ms == 0 && is_synced == self.shop.known().wall.is_synced_now() {
            return;
        }
        match (step_ms, is_synced) {
            (0, true) => info!("the wall clock can be trusted from here on"),
            (0, false) => warn!("the wall clock is not set yet: stamps are flagged `unsynced` until it is"),
            _ => warn!(step_ms, "the wall clock was set: no duration changes, stamps follow it"),
        }
        let turn = self.shop.turn(Input::Clock { step_ms, is_synced }, now);
        self.wall.follow(step_ms);
        self.names.wall.clone_from(&self.shop.known().wall);
        self.pictures.all(&self.shop, &self.names, now, envelope);
        self.enclose(turn.told, envelope);
        self.tell_status();
    }

    /// What must survive a crash, with what another process of this boot goes on from.
    fn marks(&self) -> Marks {
        Marks { anchor: Some(self.clock.anchor(&self.boot)), ..self.shop.marks() }
    }

    fn enclose(&mut self, told: Vec<Told>, envelope: &mut Envelope<Passenger>) {
        for told in told {
            envelope.history.lines.extend(self.archive.enter(&told));
            match row(&self.names, &told) {
                Ok(row) => {
                    self.custody.enter(&row);
                    envelope.rows.push(row);
                }
                // The words of this house always have a JSON form.
                Err(error) => error!(sequence = told.sequence, %error, "an event could not be written"),
            }
        }
        let last = self.shop.known().last_sequence();
        let is_old = self.beats - self.beats_at_snapshot >= SNAPSHOT_BEATS;
        if last >= self.snapshot_at + SNAPSHOT_EVENTS || (is_old && last > self.snapshot_at) {
            self.snapshot(envelope);
        }
        self.reach(envelope);
    }

    /// With every line it is written how far the history follows, and with every snapshot, from which a start goes on.
    fn reach(&self, envelope: &mut Envelope<Passenger>) {
        if self.archive.is_complete() && (!envelope.history.lines.is_empty() || envelope.snapshot.is_some()) {
            envelope.history.through = Some(self.shop.known().last_sequence());
        }
    }

    /// What was told before there was a history.
    fn keep(&mut self, made: Option<Made>) {
        let mut envelope = Envelope::default();
        match made {
            Some(Made::Lines(lines)) => envelope.history.lines = lines,
            Some(Made::All(chronicle)) => match self.archive.go_on(chronicle) {
                Some(lines) => {
                    info!("the history of days that are over is made");
                    let through = Some(self.shop.known().last_sequence());
                    envelope.history = History { lines, through };
                }
                None => warn!("more was told meanwhile than can wait: the history is made at the next start"),
            },
            None => self.made = None,
        }
        if envelope.history != History::default() {
            self.send(envelope);
        }
    }

    fn snapshot(&mut self, envelope: &mut Envelope<Passenger>) {
        let last = self.shop.known().last_sequence();
        if let Ok(snapshot) = serde_json::to_string(self.shop.known()) {
            envelope.snapshot = Some((last, snapshot));
            let numbers = self.shop.known().machines.iter().map(|(id, machine)| (id.clone(), machine.last_number));
            envelope.numbers = Some(numbers.collect());
        }
        (self.snapshot_at, self.beats_at_snapshot) = (last, self.beats);
    }

    fn send(&mut self, envelope: Envelope<Passenger>) {
        debug_assert!(self.held.is_none(), "nothing is decided while an envelope is held");
        if let Err(envelope) = self.pen.write(envelope) {
            warn!("the journal cannot keep up: nothing new is decided until it can");
            self.held_since = Some(self.shop.now());
            self.held = Some(envelope);
        }
    }

    /// The journal takes again: the time between was not observed.
    fn send_held(&mut self) {
        let Some(envelope) = self.held.take() else { return };
        match self.pen.write(envelope) {
            Err(envelope) => self.held = Some(envelope),
            Ok(()) => {
                let (from, now) = (self.held_since.take().unwrap_or_default(), self.clock.now());
                let from = self.names.wall.of(from);
                warn!(%from, to = %self.names.wall.of(now), "the journal takes again");
                let text =
                    format!("the journal could take no event since {from}: what happened in between was not observed");
                let mut envelope = Envelope::default();
                self.notice(None, "journal_full", notice::Severity::Error, text, now, &mut envelope);
                self.send(envelope);
            }
        }
    }

    /// After the commit: rows and pictures may be told.
    fn release(&mut self, committed: Committed<Passenger>) {
        if !committed.rows.is_empty() {
            self.say(mqtt::Word::Committed(committed.rows));
        }
        for passenger in committed.passengers {
            match passenger {
                Passenger::Picture { topic, body } => self.say(mqtt::Word::Picture { topic, body }),
                Passenger::Reply { topic, body } => self.say(mqtt::Word::Reply { topic, body }),
                Passenger::Answered { ticket, is_awaited } => {
                    self.say(mqtt::Word::Taken(ticket));
                    self.door.answered(is_awaited);
                }
                Passenger::Replay(request) => self.begin_replay(request),
            }
        }
    }

    fn say(&self, word: mqtt::Word) {
        // Without a broker's task the loop ends by itself.
        let _ = self.words.send(word);
    }

    fn hear(&mut self, said: mqtt::Said) {
        match said {
            mqtt::Said::Acked(sequence) => {
                self.acked = sequence;
                self.pen.cursor(sequence);
            }
            mqtt::Said::Arrived(arrival) if self.names.receipt_of(&arrival.topic).is_some() => {
                self.hear_receipt(&arrival);
            }
            mqtt::Said::Arrived(arrival) => self.door.knock(arrival),
            mqtt::Said::Dropped => {
                self.status.commands.dropped += 1;
                self.status_is_old = true;
            }
            mqtt::Said::Connected { .. } | mqtt::Said::Disconnected { .. } => {}
        }
    }

    fn beat(&mut self) {
        self.beats += 1;
        self.send_held();
        self.reload_if_it_waits();
        let now = self.clock.now();
        self.wall.ask();
        if self.held.is_none() {
            let mut envelope = Envelope::default();
            self.watch_clock(now, &mut envelope);
            if !envelope.rows.is_empty() {
                self.send(envelope);
            }
        }
        // Marks that go to the journal bear what meters are shown to read: no start shows less.
        if self.beats.is_multiple_of(MARK_BEATS) {
            self.shop.show_meters();
        }
        self.look_at_consumers(now);
        if let Ok(marks) = serde_json::to_string(&self.marks()) {
            let receipts = self.custody.news(self.acked);
            if self.memory.keep(Kept { marks: marks.clone(), receipts: receipts.clone() }) {
                self.custody.is_kept(receipts);
            }
            // In trouble a picture would only wait for the disk, one more each beat, and be old when it is shown.
            if self.held.is_none() && self.status.trouble.is_none() {
                let mut envelope = Envelope::default();
                self.pictures.states(&self.shop, &self.names, now, &mut envelope);
                if self.beats % OEE_BEATS == 1 {
                    self.pictures.oees(&self.shop, &self.names, now, &mut envelope);
                }
                if self.beats.is_multiple_of(DIGEST_BEATS) {
                    self.tell_digest(now, &mut envelope);
                }
                if self.beats.is_multiple_of(MARK_BEATS) {
                    Pictures::meters(&self.shop, &self.names, now, &mut envelope);
                    envelope.marks = Some(marks);
                    envelope.receipts = self.custody.take_to_write();
                }
                if envelope.marks.is_some() || !envelope.passengers.is_empty() {
                    self.send(envelope);
                }
            }
        }
        if self.status_is_old && self.beats.is_multiple_of(COUNTER_BEATS) {
            self.tell_status();
        }
        let open = self.shop.machines().filter_map(|machine| machine.known?.book.open_stop()?.downtime).count();
        let backlog = self.shop.known().last_sequence() - self.acked.min(self.shop.known().last_sequence());
        let refused = if self.status.reload_refused.is_some() { "; the last reload was refused" } else { "" };
        self.notify.status(&format!(
            "{} of {} PLCs answer, {open} open downtimes, {backlog} events not yet acknowledged{refused}",
            self.status.plcs.values().filter(|plc| plc.answers == Some(true)).count(),
            self.status.plcs.len()
        ));
        // Fed by progress, not by a timer: a loop that sees nothing of any PLC task is hung.
        self.quiet_beats = if std::mem::take(&mut self.polls) > 0 { 0 } else { self.quiet_beats + 1 };
        if self.quiet_beats <= self.patient_beats {
            self.notify.watchdog();
        }
    }

    fn tell_status(&mut self) {
        self.status_is_old = false;
        let body = self.status.body(&self.names, "online", self.clock.now());
        self.say(mqtt::Word::Status(body));
    }

    /// Everything decided is written, told if the broker listens, and closed.
    async fn close(
        mut self,
        committed: &mut mpsc::UnboundedReceiver<Committed<Passenger>>,
        said: &mut mpsc::UnboundedReceiver<mqtt::Said>,
        mqtt_task: &mut tokio::task::JoinHandle<()>,
        (stop_mqtt, farewell): (&watch::Sender<Option<mqtt::Farewell>>, &Cell<mqtt::Farewell>),
    ) {
        self.door.shut();
        let marks = serde_json::to_string(&self.marks()).ok();
        if let Some(marks) = &marks {
            self.memory.end(Kept { marks: marks.clone(), receipts: self.custody.news(self.acked) });
        }
        let mut last = self.held.take().unwrap_or_default();
        last.marks = marks;
        last.receipts = self.custody.last_words();
        self.tell_digest(self.clock.now(), &mut last);
        self.snapshot(&mut last);
        self.reach(&mut last);
        let _ = self.pen.write(last);
        let deadline = tokio::time::sleep(LAST_COMMIT);
        tokio::pin!(deadline);
        while self.pen.unwritten() > 0 {
            tokio::select! {
                Some(done) = committed.recv() => self.release(done),
                () = &mut deadline => break,
            }
        }
        while let Ok(done) = committed.try_recv() {
            self.release(done);
        }
        stop_mqtt.send_replace(Some(farewell.get()));
        if !mqtt_task.is_finished() {
            let _ = mqtt_task.await;
        }
        while let Ok(word) = said.try_recv() {
            self.hear(word);
        }
        if let Some(recording) = self.recording.take() {
            recording.end();
        }
        info!(last_sequence = self.shop.known().last_sequence(), acknowledged = self.acked, "gateway stopped");
        self.pen.close();
    }
}

/// The next of what is made; for ever where nothing is.
async fn made(from: &mut Option<mpsc::Receiver<Made>>) -> Option<Made> {
    match from {
        Some(from) => from.recv().await,
        None => std::future::pending().await,
    }
}

/// The row of an event: its body as the world is told it, and what the fold reads.
///
/// # Errors
/// Never for the words of this house; `serde_json`'s own otherwise.
pub fn row(names: &Names, told: &Told) -> serde_json::Result<Row> {
    Ok(Row {
        sequence: told.sequence,
        epoch: told.epoch,
        kind: told.event.kind().to_owned(),
        machine: told.event.machine().map(str::to_owned),
        topic: names.event_topic(&told.topic),
        topic_sequence: told.topic_sequence,
        body: envelope::body(names, told)?.into(),
        internal: serde_json::to_string(told)?,
    })
}
