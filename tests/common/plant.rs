//! A small plant that lives by chance, at any speed, into a real journal: what it told, and what the files hold.
#![allow(dead_code, unreachable_pub, reason = "each file takes what it needs")]

use andon::{
    config::{self, Plan},
    event::{
        Stamp, Told,
        command::{Command, Verdict, Wish},
    },
    gateway::{
        self,
        history::{Archive, fetch, terms_in_force},
    },
    io::journal::{Committed, Ending, Envelope, History, Journal, Pen, Reader, Settings},
    shop::{Input, Known, Marks, Rules, Shop},
    signal::{Bad, Observation, PointIx, Reading, Value},
    wire::{MachineNames, Names},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// 2026-10-19T04:00:00Z: a Monday, 06:00 in Berlin, six days before the night of nine hours.
pub const BEGIN: Stamp = Stamp::from_ms(1_792_382_400_000);
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Machines in three shifts, around the clock with orders, and without counters in two shifts; then again.
pub fn config(folder: &Path, machines: usize) -> String {
    let mut toml = format!(
        "day_start = \"06:00\"\n[gateway]\nid = \"gw\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"Europe/Berlin\"\n\
         data_dir = \"{}\"\n\
         [mqtt]\nbrokers = [\"mqtt://127.0.0.1:1\"]\n\
         [[product]]\ncode = \"4711\"\nideal_cycle = \"12s\"\n\
         [[reason]]\ncode = \"jam\"\ntext = \"Jam\"\nclass = \"failure\"\nfaults = [1, 2]\n\
         [[reason]]\ncode = \"tool\"\ntext = \"Tool\"\nclass = \"operational\"\nfaults = [3]\n",
        folder.join("data").display()
    );
    for n in 0..machines {
        let (id, kind) = (name(n), n % 3);
        write!(
            toml,
            "[[plc]]\nid = \"p{n}\"\ntcp = \"127.0.0.1:{}\"\n[plc.points]\nrun = {{ coil = 0 }}\n\
             total = {{ holding = 0, type = \"u32\" }}\nreject = {{ holding = 2, type = \"u32\" }}\n\
             fault = {{ holding = 4 }}\norder = {{ holding = 5 }}\n\
             [[machine]]\nid = \"{id}\"\nline = \"l{}\"\nideal_cycle = \"10s\"\nrun = \"p{n}.run\"\nfault = \"p{n}.fault\"\n\
             no_data = \"5m\"\nsplit_after = \"2h\"\n",
            20_000 + n,
            n % 2
        )
        .unwrap();
        if kind < 2 {
            write!(toml, "total = \"p{n}.total\"\nreject = \"p{n}.reject\"\n").unwrap();
        }
        if kind == 1 {
            writeln!(toml, "order = \"p{n}.order\"").unwrap();
        }
    }
    let of = |kind: usize| (0..machines).filter(move |n| n % 3 == kind).map(|n| format!("\"{}\"", name(n)));
    let mut shift = |kind, id: &str, start: &str, end: &str, pause: &str| {
        let machines = of(kind).collect::<Vec<_>>().join(", ");
        if !machines.is_empty() {
            let week = "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\"]";
            write!(
                toml,
                "[[shift]]\nid = \"{id}\"\n{week}\nstart = \"{start}\"\nend = \"{end}\"\nmachines = [{machines}]\n\
                 breaks = [{{ start = \"{pause}\", end = \"{pause}\" }}]\n"
            )
            .unwrap();
        }
    };
    shift(0, "early", "06:00", "14:00", "09:00");
    shift(0, "late", "14:00", "22:00", "18:00");
    shift(0, "night", "22:00", "06:00", "02:00");
    shift(2, "day", "07:00", "15:30", "12:00");
    shift(2, "evening", "15:30", "23:00", "19:00");
    for (start, end) in
        [("09:00", "09:15"), ("18:00", "18:30"), ("02:00", "02:45"), ("12:00", "12:30"), ("19:00", "19:20")]
    {
        toml = toml.replace(
            &format!("{{ start = \"{start}\", end = \"{start}\" }}"),
            &format!("{{ start = \"{start}\", end = \"{end}\" }}"),
        );
    }
    toml
}

pub fn name(n: usize) -> String {
    format!("m{n}")
}

/// How a plant lives.
#[derive(Clone, Copy)]
pub struct Temper {
    /// Between two looks, at least and at most. Milliseconds.
    pub look_ms: (i64, i64),
    /// Of so many looks one is followed by hours of darkness; 0: none.
    pub dark: i64,
    /// Mean time of a run. Milliseconds.
    pub run_ms: i64,
    /// The PLC names faults.
    pub faults: bool,
}

pub struct Plant {
    pub folder: PathBuf,
    pub rules: Arc<Rules>,
    pub names: Names,
    pub told: Vec<Told>,
    pub now: Stamp,
    temper: Temper,
    machines: Vec<Press>,
    chance: fastrand::Rng,
    desk: Desk,
    snapshot_every: u64,
    snapshot_at: u64,
    /// When marks were written to the journal last.
    marked: Stamp,
    /// It is an andon that keeps no history.
    pub is_older: bool,
}

struct Desk {
    shop: Shop,
    archive: Archive,
    pen: Option<Pen<()>>,
    ending: Option<Ending>,
    told: UnboundedReceiver<Committed<()>>,
}

struct Press {
    points: [PointIx; 5],
    is_running: bool,
    until: Stamp,
    look: Stamp,
    made: Stamp,
    total: i64,
    reject: i64,
    fault: i64,
    order: i64,
}

impl Plant {
    pub fn open(folder: &Path, machines: usize, temper: Temper, seed: u64) -> Plant {
        Plant::open_at(folder, machines, temper, seed, BEGIN)
    }

    pub fn open_at(folder: &Path, machines: usize, temper: Temper, seed: u64, begin: Stamp) -> Plant {
        let toml = config(folder, machines);
        std::fs::write(folder.join("andon.toml"), &toml).unwrap();
        let (plan, _) = config::load_text("plant", &toml).unwrap_or_else(|faults| {
            panic!("{}", faults.iter().map(|fault| fault.render()).collect::<String>());
        });
        let presses = (0..machines).map(|n| Press::of(&plan, n, begin)).collect();
        let names = Names {
            shows_persons: true,
            prefix: plan.prefix.clone(),
            path: plan.rules.path.clone(),
            gateway: plan.rules.gateway.clone(),
            wall: plan.rules.calendar.wall().clone(),
            machines: (plan.rules.machines.iter())
                .map(|m| (m.id.clone(), MachineNames { line: m.line.clone(), asset: m.asset.clone() }))
                .collect(),
        };
        let rules = Arc::new(plan.rules);
        let desk = Desk::open(folder, &rules, &mut Vec::new());
        Plant {
            folder: folder.to_owned(),
            rules,
            names,
            told: Vec::new(),
            now: begin,
            temper,
            machines: presses,
            chance: fastrand::Rng::with_seed(seed),
            desk,
            snapshot_every: 500,
            snapshot_at: 0,
            marked: Stamp::MIN,
            is_older: false,
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Rarer snapshots make longer tails.
    pub fn snapshot_every(&mut self, events: u64) {
        self.snapshot_every = events;
    }

    /// Looks at its machines until then.
    pub fn live(&mut self, until: Stamp) {
        loop {
            let next = self.machines.iter().enumerate().min_by_key(|(_, press)| press.look).unwrap().0;
            let at = self.machines[next].look.max(self.now);
            if at >= until {
                break;
            }
            self.now = at;
            let press = &mut self.machines[next];
            let seen = press.look(at, self.temper, &mut self.chance);
            let turn = self.desk.shop.turn(Input::Observed(&Observation { at, readings: seen }), at);
            if at.since(self.marked) >= 5 * MINUTE_MS {
                self.marked = at;
                let marks = Some(serde_json::to_string(&self.desk.shop.marks()).unwrap());
                self.desk.write(Envelope { marks, ..Envelope::default() });
            }
            self.tell(turn.told);
        }
    }

    /// Somebody corrects something that is no longer in memory. Gives the code of a refusal.
    pub fn command(&mut self, machine: &str, span: (Stamp, Stamp), wish: Wish) -> Result<(), String> {
        let reader = Reader::open(&self.data_dir()).unwrap();
        let rules = self.rules.machines.iter().find(|rules| rules.id == machine).unwrap();
        let fetched = fetch(&reader, rules, span).unwrap();
        let (by, command_id) = ("mes".to_owned(), format!("c{}", self.told.len()));
        let command = Command { command_id, by, comment: None, at: self.now, wish };
        let past = Some(&fetched.past);
        let turn = self.desk.shop.turn(Input::Command { machine: Some(machine), command: &command, past }, self.now);
        self.desk.archive.fetch(machine, fetched.days);
        self.tell(turn.told);
        self.desk.archive.let_go();
        match turn.reply.unwrap().verdict {
            Verdict::Refused(refusal) => Err(refusal.code),
            Verdict::Accepted(_) | Verdict::Stale(_) => Ok(()),
        }
    }

    /// Somebody sets the clock on the wall.
    pub fn set_clock(&mut self, step_ms: i64) {
        let turn = self.desk.shop.turn(Input::Clock { step_ms, is_synced: true }, self.now);
        self.names.wall.clone_from(&self.desk.shop.known().wall);
        self.tell(turn.told);
    }

    /// Waits until everything is on the disk.
    pub fn settle(&mut self) {
        while self.desk.pen.as_ref().unwrap().unwritten() > 0 {
            self.desk.told.blocking_recv().unwrap();
        }
    }

    fn tell(&mut self, told: Vec<Told>) {
        let mut envelope = Envelope::default();
        for told in told {
            envelope.history.lines.extend(self.desk.archive.enter(&told));
            envelope.rows.push(gateway::row(&self.names, &told).unwrap());
            self.told.push(told);
        }
        let last = self.desk.shop.known().last_sequence();
        if last >= self.snapshot_at + self.snapshot_every {
            self.snapshot_at = last;
            envelope.snapshot = Some((last, serde_json::to_string(self.desk.shop.known()).unwrap()));
            envelope.marks = Some(serde_json::to_string(&self.desk.shop.marks()).unwrap());
        }
        if self.desk.archive.is_complete() && (!envelope.history.lines.is_empty() || envelope.snapshot.is_some()) {
            envelope.history.through = Some(last);
        }
        if self.is_older {
            envelope.history = History::default();
        }
        if !envelope.rows.is_empty() {
            self.desk.write(envelope);
        }
    }

    /// Everything is on the disk and the journal closed; with its last marks and snapshot if it ends in order.
    pub fn close(&mut self, is_in_order: bool) {
        if is_in_order {
            let last = self.desk.shop.known().last_sequence();
            let mut envelope = Envelope {
                marks: Some(serde_json::to_string(&self.desk.shop.marks()).unwrap()),
                snapshot: Some((last, serde_json::to_string(self.desk.shop.known()).unwrap())),
                ..Envelope::default()
            };
            envelope.history.through = (self.desk.archive.is_complete() && !self.is_older).then_some(last);
            self.snapshot_at = last;
            self.desk.write(envelope);
        }
        drop(self.desk.pen.take());
        self.desk.ending.take().unwrap().join().unwrap().unwrap();
    }

    /// As a start of the daemon does it.
    pub fn reopen(&mut self) {
        self.desk = Desk::open(&self.folder, &self.rules, &mut self.told);
    }

    pub fn shop(&self) -> &Shop {
        &self.desk.shop
    }

    pub fn known(&self) -> &Known {
        self.desk.shop.known()
    }
}

impl Desk {
    fn open(folder: &Path, rules: &Arc<Rules>, told: &mut Vec<Told>) -> Desk {
        let settings = Settings { data_dir: folder.join("data"), runtime_dir: Some(folder.to_owned()) };
        let (journal, start) = Journal::open(&settings).unwrap();
        let mut known: Known = match &start.snapshot {
            Some((_, snapshot)) => serde_json::from_str(snapshot).unwrap(),
            None => Known::default(),
        };
        let snapshot = start.snapshot.as_ref().map_or(0, |(sequence, _)| *sequence);
        let mut archive = Archive::open(rules, &known, snapshot, &start.history, &journal).unwrap();
        let mut lines = terms_in_force(rules);
        for row in &start.tail {
            let one: Told = serde_json::from_str(&row.internal).unwrap();
            if archive.is_complete() {
                let more = archive.enter(&one);
                lines.extend(more.into_iter().filter(|_| Some(one.sequence) > start.history.through));
            }
            known.apply(&one);
        }
        told.truncate(usize::try_from(start.last_sequence).unwrap());
        let marks: Marks = start.marks.as_ref().map(|marks| serde_json::from_str(marks).unwrap()).unwrap_or_default();
        let shop = Shop::open(rules.clone(), known, &marks);
        let (committed, done) = unbounded_channel();
        let (pen, ending) = journal.start(committed).unwrap();
        let mut desk = Desk { shop, archive, pen: Some(pen), ending: Some(ending), told: done };
        let mut envelope = Envelope::default();
        envelope.history.lines = lines;
        desk.write(envelope);
        desk
    }

    fn write(&mut self, mut envelope: Envelope<()>) {
        // At the bound it waits, as the daemon would hold.
        while let Err(back) = self.pen.as_ref().unwrap().write(envelope) {
            envelope = back;
            self.told.blocking_recv().unwrap();
        }
        while self.told.try_recv().is_ok() {}
    }
}

impl Press {
    fn of(plan: &Plan, n: usize, begin: Stamp) -> Press {
        let point = |name: &str| {
            let name = format!("p{n}.{name}");
            PointIx(plan.points.iter().position(|point| point.name == name).unwrap())
        };
        Press {
            points: ["run", "total", "reject", "fault", "order"].map(point),
            is_running: false,
            until: begin,
            look: begin.plus(i64::try_from(n).unwrap() * 777),
            made: begin,
            total: 100,
            reject: 7,
            fault: 0,
            order: 4711,
        }
    }

    fn look(&mut self, at: Stamp, temper: Temper, chance: &mut fastrand::Rng) -> Vec<(PointIx, Reading)> {
        while at >= self.until {
            self.is_running = !self.is_running;
            let stand_ms = if chance.u8(0..3) == 0 { 4 * temper.run_ms } else { MINUTE_MS };
            self.until = self.until.plus(1 + chance.i64(0..2 * if self.is_running { temper.run_ms } else { stand_ms }));
            self.fault = if self.is_running || chance.bool() || !temper.faults { 0 } else { chance.i64(1..5) };
            if chance.u8(0..12) == 0 {
                self.order = [0, 4711, 4712, 4713][chance.usize(0..4)];
            }
        }
        if self.is_running {
            let came = at.since(self.made).clamp(0, temper.look_ms.1) / 11_000;
            self.total += came;
            self.reject += i64::from(came > 0 && chance.u8(0..20) == 0);
        }
        self.made = at;
        self.look = at.plus(chance.i64(temper.look_ms.0..=temper.look_ms.1));
        if temper.dark > 0 && chance.i64(0..temper.dark) == 0 {
            self.look = self.look.plus(chance.i64(1..30 * HOUR_MS));
        }
        if chance.u8(0..100) == 0 {
            return vec![(self.points[0], Reading::Bad(Bad::Silent))];
        }
        let values = [i64::from(self.is_running), self.total, self.reject, self.fault, self.order];
        let value = |n: usize| if n == 0 { Value::Bool(values[0] != 0) } else { Value::Int(values[n]) };
        (0..5).map(|n| (self.points[n], Reading::Good(value(n)))).collect()
    }
}
