//! The mirror in, the plan out: references resolved, keys held against each other. What is absent because the shape cut it out is not blamed again.

use super::{
    NamedPoint, Plan,
    fault::{Fault, Severity, Sources, nearest},
    mirror::{
        self, At, Connect, Machine, Mirror, Mqtt, OpenAt, Persons, Plc, PointSpec, Points, Product, Reason, Serial,
    },
    word::{Millis, Rate, Silence},
};
use crate::{
    books::{Calendar, Cell, Ideal, Oee},
    custody::receipt,
    event::stop::CountsIn,
    gateway::door::Permits,
    io::{self, plc::Channel},
    shop::rules::{
        Counter, Counters, LineRule, MachineRules, Operand, ProcessRule, ProductRule, ReasonRule, Rules, RunRule,
        StateRule, WorkRule, WorkRules,
    },
    signal::{
        Point, PointIx,
        expression::{self, Expression},
        point::{Area, Kind},
    },
};
use jiff::tz::TimeZone;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

/// `stop_after` where nothing is said: so many ideal cycles, but never shorter than a moment.
const STOP_AFTER_CYCLES: i64 = 3;
const STOP_AFTER_LEAST_MS: i64 = 10_000;

/// `max_rate` where nothing is said: so many times the ideal rate.
const MAX_RATE_TIMES: i64 = 4;

/// A PLC is redundant at two addresses.
const MOST_HOSTS: usize = 2;

/// Units 1 to 247; 0 is the broadcast, which nobody answers.
const MOST_SERIAL_UNIT: u8 = 247;

/// Process values of one machine: each is a few hundred bytes of every order event.
const MOST_PROCESS: usize = 16;

/// Meters are read no more often: each reading is an event a machine.
const METER_LEAST_MS: i64 = 60_000;

/// MQTT's keep-alive is 16 bits of seconds.
const KEEP_ALIVE_MOST_MS: i64 = 65_535_000;

/// Makes the plan, if nothing that is wrong stands in its way.
pub(super) fn meaning(mirror: &Mirror, sources: &Sources, faults: &mut Vec<Fault>) -> Option<Plan> {
    let mut reader = Reader { sources, faults, points: BTreeMap::new(), plcs: BTreeMap::new(), plc_unnamed: false };
    let (plcs, points) = reader.plcs(mirror);
    let zone = mirror.gateway.timezone.as_ref().map_or(TimeZone::UTC, |zone| zone.0.clone());
    let calendar = Calendar::new(zone, mirror.day_start.0);
    let machines = reader.machines(mirror, &calendar);
    let reasons = reader.reasons(mirror);
    let mqtt = reader.mqtt(&mirror.mqtt, mirror.gateway.id.as_ref().map(|id| id.0.clone()).unwrap_or_default());
    reader.machine_lines(mirror);
    reader.oee(&mirror.oee);
    reader.work_requests(mirror);
    reader.meter_every(&mirror.meter_every);
    reader.not_yet(mirror);
    if reader.faults.iter().any(|fault| fault.severity == Severity::Fault) {
        return None;
    }
    let gateway = &mirror.gateway;
    let rules = Rules {
        gateway: gateway.id.as_ref()?.0.clone(),
        path: gateway.path.as_ref()?.0.clone(),
        calendar,
        oee: oee(&mirror.oee),
        final_after_ms: mirror.final_after.0,
        meter_every_ms: mirror.meter_every.0,
        products: products(&mirror.product),
        reasons,
        machines,
        lines: lines(&mirror.line),
        work: work(mirror),
    };
    let data_dir = gateway.data_dir.value.clone();
    let (permits, consumers) = (permits(mirror), consumers(&mirror.consumer));
    let shows_persons = *mirror.privacy.operator == Persons::Id;
    let prefix = mirror.mqtt.prefix.0.clone();
    Some(Plan { rules, plcs, mqtt, permits, prefix, data_dir, points, consumers, shows_persons })
}

fn permits(mirror: &Mirror) -> Permits {
    let verbs = |consumer: &mirror::Consumer| consumer.may.iter().map(|verb| verb.value.word().to_owned()).collect();
    let may = mirror.consumer.iter().filter_map(|consumer| Some((consumer.id.as_ref()?.0.clone(), verbs(consumer))));
    Permits {
        may: may.collect(),
        from: mirror.commands.from.iter().map(|name| name.value.clone()).collect(),
        until_ms: mirror.corrections.until.0,
    }
}

pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    pub(super) faults: &'a mut Vec<Fault>,
    /// Every point by `plc.point`, also faulty ones.
    points: BTreeMap<String, Entry>,
    /// PLCs by id.
    plcs: BTreeMap<&'a str, &'a Plc>,
    /// Some PLC has no usable id: an unknown one may be that.
    plc_unnamed: bool,
}

/// A point by its name.
#[derive(Clone)]
struct Entry {
    index: PointIx,
    /// `None` if it is faulty, which has been said.
    point: Option<Point>,
    poll: Millis,
    /// The flag that rises when it starts at 0 again.
    overflow: Option<PointIx>,
}

impl<'a> Reader<'a> {
    pub(super) fn fault(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        what: String,
        hint: impl Into<Option<String>>,
    ) {
        self.faults.push(self.sources.fault(code, span, what).hint(hint));
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        what: String,
        hint: impl Into<Option<String>>,
    ) {
        self.faults.push(self.sources.fault(code, span, what).hint(hint).only_a_warning());
    }

    /// Says each id that is given twice, and where first.
    fn unique<'t>(&mut self, key: &str, table: &str, ids: impl Iterator<Item = (&'t str, &'t Range<usize>)>) {
        let mut first: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
        for (id, span) in ids {
            if let Some(earlier) = first.get(id) {
                let what = format!("{table} `{id}` stands twice, first at {}", self.sources.place(earlier));
                self.fault("duplicate", span, what, format!("give each {table} its own {key}"));
            } else {
                first.insert(id, span);
            }
        }
    }

    /// Meters are read at the hours of the wall clock, so an interval divides a day.
    fn meter_every(&mut self, every: &At<Silence>) {
        const DAY_MS: i64 = 86_400_000;
        let fits = |ms: i64| ms >= METER_LEAST_MS && DAY_MS % ms == 0;
        if every.0.is_some_and(|ms| !fits(ms)) {
            let what = "`meter_every` does not divide a day".to_owned();
            let hint = "from \"1m\" to \"24h\": 5m, 15m, 1h, 8h …, or \"off\"".to_owned();
            self.fault("meter-every", &every.span, what, hint);
        }
    }

    // PLCs and points

    fn plcs(&mut self, mirror: &'a Mirror) -> (Vec<io::plc::Settings>, Vec<NamedPoint>) {
        let lines = self.lines(&mirror.serial);
        let plcs = &mirror.plc;
        self.unique("id", "PLC", plcs.iter().filter_map(|plc| plc.id.as_ref()).map(|id| (id.0.as_str(), &id.span)));
        self.plc_unnamed = plcs.iter().any(|plc| plc.id.is_none());
        for plc in plcs {
            if let Some(id) = &plc.id {
                self.plcs.entry(&id.0).or_insert(plc);
            }
        }
        let (mut settings, mut all) = (Vec::new(), Vec::new());
        for (index, plc) in plcs.iter().enumerate() {
            let id = plc.id.as_ref().map(|id| id.0.as_str()).unwrap_or_default();
            let channel = self.channel(plc, &lines);
            self.paces(plc);
            let (mut points, mut paces) = (Vec::new(), BTreeMap::new());
            let map = self.map_of(plc);
            for (name, spec) in &map.points.0 {
                let name = format!("{id}.{}", name.value);
                let point = self.point(&name, spec, plc);
                let place = PointIx(all.len());
                let poll = spec.poll.as_ref().unwrap_or(&plc.poll);
                if let Some(point) = &point {
                    if poll.value != plc.poll.value {
                        paces.insert(place, duration(**poll));
                    }
                    all.push(NamedPoint { name: name.clone(), plc: index, point: point.clone() });
                    points.push((place, point.clone()));
                }
                self.points.entry(name).or_insert(Entry { index: place, point, poll: **poll, overflow: None });
            }
            self.overflows(id, &map.points, plc.points_from.is_none());
            settings.push(io::plc::Settings {
                id: id.to_owned(),
                channel,
                hangs_up: *plc.connect == Connect::Poll,
                unit: *plc.unit,
                poll: duration(*plc.poll),
                paces,
                timeout: duration(*plc.timeout),
                max_registers: *plc.max_registers,
                max_gap: *plc.max_gap,
                points,
            });
        }
        self.loads(&mirror.serial, plcs, &settings);
        (settings, all)
    }

    /// Counters that name the flag of their overflow, once all points of the PLC are known.
    fn overflows(&mut self, id: &str, points: &Points, is_own: bool) {
        for (name, spec) in &points.0 {
            let Some(at) = &spec.overflow else { continue };
            let (counter, flag) = (format!("{id}.{}", name.value), format!("{id}.{}", at.value));
            let before = self.faults.len();
            let overflow = self.overflow(&counter, &flag, at);
            if !is_own {
                // It was said of the PLC whose points they are.
                self.faults.truncate(before);
            }
            if let Some(entry) = self.points.get_mut(&counter) {
                entry.overflow = overflow;
            }
        }
    }

    fn overflow(&mut self, counter: &str, flag: &str, at: &At<String>) -> Option<PointIx> {
        if at.contains('.') {
            let what = format!("`overflow` names a point of the same PLC, not `{}`", at.value);
            self.fault("bad-value", &at.span, what, "write its name alone, like \"good_ovf\"".to_owned());
            return None;
        }
        let Some(entry) = self.points.get(flag).cloned() else {
            self.unknown_point(&At { value: flag.to_owned(), span: at.span.clone() });
            return None;
        };
        let of = self.points.get(counter).and_then(|of| of.point.clone());
        if of.as_ref().is_some_and(|of| Wants::Counter.objection(of).is_some()) {
            let what = format!("`{counter}` counts nothing that could overflow");
            self.fault("contradiction", &at.span, what, "take `overflow` away, or give it an integer type".to_owned());
            return None;
        }
        let is_bit = matches!(entry.point.as_ref()?.kind, Kind::Bool { .. });
        if !is_bit {
            let what = format!("`{flag}` cannot be an overflow flag: its type does not fit");
            let hint = "a coil, a discrete input, or `bit` of a register".to_owned();
            self.fault("contradiction", &at.span, what, hint);
            return None;
        }
        Some(entry.index)
    }

    fn channel(&mut self, plc: &At<Plc>, lines: &BTreeMap<&str, Option<io::plc::Serial>>) -> Channel {
        let tcp = plc.tcp.as_ref().map(|at| ("tcp", &at.span));
        let framed = plc.rtu_over_tcp.as_ref().map(|at| ("rtu_over_tcp", &at.span));
        let serial = plc.serial.as_ref().map(|at| ("serial", &at.span));
        let ways: Vec<_> = [tcp, framed, serial].into_iter().flatten().collect();
        if let [(first, _), .., (last, span)] = ways[..] {
            let what = format!("the PLC has `{first}` and `{last}`");
            self.fault("contradiction", span, what, "keep one of them".to_owned());
        }
        let header = plc.id.as_ref().map_or(&plc.span, |id| &id.span);
        if ways.is_empty() && !plc.cut {
            let what = "the PLC has no address".to_owned();
            let hint = "add `tcp = \"192.168.0.7:502\"`, or `rtu_over_tcp`, or `serial`".to_owned();
            self.fault("missing-key", header, what, hint);
        }
        if *plc.connect == Connect::Poll && serial.is_some() {
            let what = "`connect` is for TCP, a serial line stays open".to_owned();
            self.warning("no-effect", &plc.connect.span, what, "take it away".to_owned());
        }
        if let Some(hosts) = &plc.tcp
            && (hosts.0.is_empty() || hosts.0.len() > MOST_HOSTS)
        {
            let what = format!("`tcp` has {} addresses", hosts.0.len());
            self.fault("out-of-range", &hosts.span, what, "one, or two of a redundant PLC".to_owned());
        }
        if let Some(line) = &plc.serial {
            match lines.get(line.as_str()) {
                Some(Some(serial)) => {
                    if *plc.unit == 0 || *plc.unit > MOST_SERIAL_UNIT {
                        let what = format!("no unit on a serial line has the number {}", *plc.unit);
                        self.fault("out-of-range", &plc.unit.span, what, "from 1 to 247".to_owned());
                    }
                    return Channel::Serial(serial.clone());
                }
                Some(None) => {}
                None => {
                    let hint = match nearest(line, lines.keys().copied()) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None if lines.is_empty() => "there is no [[serial]]".to_owned(),
                        None => format!("there are: {}", join(lines.keys().copied())),
                    };
                    let what = format!("unknown serial line `{}`", line.value);
                    self.fault("unknown-serial", &line.span, what, hint);
                }
            }
        }
        if let Some(host) = &plc.rtu_over_tcp {
            return Channel::RtuOverTcp { host: host.0.clone() };
        }
        let hosts = plc.tcp.as_ref().map(|tcp| tcp.0.iter().map(|host| host.0.clone()).collect());
        Channel::Tcp { hosts: hosts.unwrap_or_default() }
    }

    /// The serial lines by id; `None` for one that is faulty, which has been said.
    fn lines(&mut self, lines: &'a [At<Serial>]) -> BTreeMap<&'a str, Option<io::plc::Serial>> {
        let ids = lines.iter().filter_map(|line| line.id.as_ref()).map(|id| (id.0.as_str(), &id.span));
        self.unique("id", "serial line", ids);
        let devices = lines.iter().filter_map(|line| line.device.as_ref());
        let devices = devices.map(|at| (at.value.to_str().unwrap_or_default(), &at.span));
        self.unique("device", "device", devices);
        let mut known = BTreeMap::new();
        for line in lines {
            let Some(id) = &line.id else { continue };
            if *line.data_bits == 7 {
                let what = "RTU frames want 8 data bits".to_owned();
                self.fault("out-of-range", &line.data_bits.span, what, "data_bits = 8".to_owned());
            }
            let serial = line.device.as_ref().map(|device| io::plc::Serial {
                device: device.value.clone(),
                baud: *line.baud,
                data_bits: *line.data_bits,
                parity: (*line.parity).into(),
                stop_bits: *line.stop_bits,
                echo: *line.echo,
                gap: line.gap.0,
            });
            known.entry(id.0.as_str()).or_insert(serial);
        }
        known
    }

    /// A serial line carries so many bytes and no more.
    fn loads(&mut self, lines: &'a [At<Serial>], plcs: &[At<Plc>], settings: &[io::plc::Settings]) {
        for line in lines {
            let Some(id) = &line.id else { continue };
            let on_it = plcs.iter().zip(settings).filter(|(plc, _)| plc.serial.as_ref().is_some_and(|at| **at == id.0));
            let Some(load) = io::plc::load(on_it.map(|(_, settings)| settings)) else { continue };
            let requests = format!("{}.{}", load.requests_in_ten / 10, load.requests_in_ten % 10);
            let what = format!(
                "{requests} requests a second take {} ms of each second on `{}` ({} baud)",
                load.busy_ms, id.value.0, *line.baud
            );
            let hint = "poll less often, raise `baud`, or spread the PLCs over several lines".to_owned();
            match load.busy_ms {
                1001.. => self.fault("overload", &id.span, what, hint),
                701.. => self.warning("overload", &id.span, what, hint),
                _ => {}
            }
        }
    }

    fn paces(&mut self, plc: &Plc) {
        let points = plc.points.0.iter().filter_map(|(_, spec)| spec.poll.as_ref());
        let points = points.map(|poll| ("poll", poll));
        for (key, pace) in [("poll", &plc.poll), ("timeout", &plc.timeout)].into_iter().chain(points) {
            if pace.0 == 0 {
                self.fault("out-of-range", &pace.span, format!("`{key}` may not be 0"), "at least \"1ms\"".to_owned());
            }
        }
    }

    /// The PLC whose map of points this one has.
    fn map_of(&mut self, plc: &'a Plc) -> &'a Plc {
        let Some(from) = &plc.points_from else { return plc };
        if let Some((name, _)) = plc.points.0.first() {
            let what = "the PLC has `points_from` and points of its own".to_owned();
            self.fault("contradiction", &name.span, what, "keep one of them".to_owned());
        }
        let other = self.plcs.get(from.as_str()).copied();
        match other {
            Some(other) if other.points_from.is_none() => other,
            Some(_) => {
                let what = format!("`{}` has no points of its own", from.value);
                self.fault("bad-value", &from.span, what, "name the PLC that has `[plc.points]`".to_owned());
                plc
            }
            None => {
                self.unknown_plc(from, from);
                plc
            }
        }
    }

    fn unknown_plc(&mut self, id: &str, at: &At<String>) {
        if !self.plc_unnamed {
            let hint = match nearest(id, self.plcs.keys().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if self.plcs.is_empty() => "there is no [[plc]]".to_owned(),
                None => format!("there are: {}", join(self.plcs.keys().copied())),
            };
            self.fault("unknown-plc", &at.span, format!("unknown PLC `{id}`"), hint);
        }
    }

    fn point(&mut self, name: &str, spec: &At<PointSpec>, plc: &Plc) -> Option<Point> {
        let before = self.faults.len();
        let (area, address, span) = self.place(name, spec)?;
        let kind = if area.is_bits() { self.bit_area(area, spec) } else { self.register(spec) };
        if u32::from(address) + u32::from(kind.registers()) > 1 << 16 {
            let what = format!("`{name}` ends beyond address 65535");
            self.fault("out-of-range", &span, what, format!("it takes {} registers", kind.registers()));
        }
        if kind.registers() > *plc.max_registers {
            let what =
                format!("`{name}` takes {} registers, `max_registers` is {}", kind.registers(), *plc.max_registers);
            let at = spec.kind.as_ref().map_or(&span, |kind| &kind.span);
            self.fault("contradiction", at, what, "a point is never split over two requests".to_owned());
        }
        self.bending(spec, kind);
        let modulus = spec.modulus.as_ref().map(|modulus| (**modulus, &modulus.span));
        match (modulus, kind.modulus()) {
            (Some((_, at)), None) => {
                self.fault(
                    "contradiction",
                    at,
                    "`modulus` is for counters".into(),
                    "take it away, or give the point an integer type".to_owned(),
                );
            }
            (Some((modulus, at)), Some(most)) if modulus > most => {
                let what = format!("a counter of this type never reaches {modulus}");
                self.fault("out-of-range", at, what, format!("at most {most}"));
            }
            _ => {}
        }
        let point = Point {
            name: name.to_owned(),
            area,
            address,
            kind,
            order: spec.order.as_ref().map(|order| (**order).into()).unwrap_or_default(),
            invert: spec.invert.as_ref().is_some_and(|invert| **invert),
            hold_ms: spec.hold.as_ref().map_or(0, |hold| hold.0),
            scale: spec.scale.as_ref().map_or(1.0, |scale| **scale),
            offset: spec.offset.as_ref().map_or(0.0, |offset| **offset),
            modulus: modulus.map(|(modulus, _)| modulus),
        };
        let sound = !spec.cut && self.faults[before..].iter().all(|fault| fault.severity == Severity::Warning);
        sound.then_some(point)
    }

    /// The one table and address that a point names.
    fn place(&mut self, name: &str, spec: &At<PointSpec>) -> Option<(Area, u16, Range<usize>)> {
        let plain = [
            (Area::Coil, &spec.coil),
            (Area::Discrete, &spec.discrete),
            (Area::Holding, &spec.holding),
            (Area::Input, &spec.input),
        ];
        let mut places: Vec<(Area, u16, Range<usize>)> = plain
            .into_iter()
            .filter_map(|(area, address)| address.as_ref().map(|at| (area, **at, at.span.clone())))
            .collect();
        for (area, address, span) in &places {
            // 40101 of a manual, written where 100 is wanted, would read some other register without a word.
            let (first, digit) = match area {
                Area::Discrete => (10_001, 1),
                Area::Input => (30_001, 3),
                Area::Holding => (40_001, 4),
                Area::Coil => continue,
            };
            if (first..first + 9_999).contains(address) {
                let what = format!("{} = {address} is counted from 0", area.word());
                let hint = format!(
                    "if it is register {address} of the manual, write ref = \"{address}\" (the {digit} names the table)"
                );
                self.warning("looks-like-a-reference", span, what, hint);
            }
        }
        places.extend(spec.reference.as_ref().map(|at| (at.area, at.address, at.span.clone())));
        match places.as_slice() {
            [one] => Some(one.clone()),
            [] => {
                if !spec.cut {
                    let what = format!("the point `{name}` lies in no table");
                    let hint = "one of coil, discrete, holding, input or ref, like { holding = 100 }".to_owned();
                    self.fault("missing-key", &spec.span, what, hint);
                }
                None
            }
            [_, second, ..] => {
                let what = format!("the point `{name}` lies in two tables");
                self.fault(
                    "contradiction",
                    &second.2,
                    what,
                    "keep one of coil, discrete, holding, input and ref".to_owned(),
                );
                None
            }
        }
    }

    fn bit_area(&mut self, area: Area, spec: &PointSpec) -> Kind {
        let strangers = [
            ("type", spec.kind.as_ref().map(|at| &at.span)),
            ("bit", spec.bit.as_ref().map(|at| &at.span)),
            ("order", spec.order.as_ref().map(|at| &at.span)),
        ];
        for (key, span) in strangers {
            if let Some(span) = span {
                let what = format!("`{key}` on a {}, which is one bit", area.word());
                self.fault(
                    "contradiction",
                    span,
                    what,
                    format!("take `{key}` away, or read a holding or input register"),
                );
            }
        }
        Kind::Bool { bit: None }
    }

    fn register(&mut self, spec: &PointSpec) -> Kind {
        let kind = spec.kind.as_ref().map_or(Kind::U16, |kind| kind.0);
        let Some(bit) = &spec.bit else { return kind };
        if kind.registers() > 1 || kind == Kind::Bcd16 || matches!(kind, Kind::Text(_)) {
            let what = "`bit` takes one bit of a 16-bit register, `type` says otherwise".to_owned();
            self.fault("contradiction", &bit.span, what, "take `type` away, or `bit`".to_owned());
        }
        Kind::Bool { bit: Some(**bit) }
    }

    /// `invert`, `hold`, `scale` and `offset` bend values of some kinds only.
    fn bending(&mut self, spec: &PointSpec, kind: Kind) {
        let is_bool = matches!(kind, Kind::Bool { .. });
        let is_text = matches!(kind, Kind::Text(_));
        if let Some(invert) = &spec.invert
            && !is_bool
        {
            let hint = "add `bit`, or type = \"bool\" for \"not zero\"".to_owned();
            self.fault("contradiction", &invert.span, "`invert` is for bits".into(), hint);
        }
        if let Some(hold) = &spec.hold
            && !is_bool
            && kind.modulus().is_none()
        {
            self.fault("contradiction", &hold.span, "`hold` is for a run signal".into(), "take it away".to_owned());
        }
        for (key, at) in [("scale", &spec.scale), ("offset", &spec.offset)] {
            if let Some(at) = at
                && (is_bool || is_text)
            {
                self.fault("contradiction", &at.span, format!("`{key}` is for numbers"), "take it away".to_owned());
            }
        }
        if let Some(scale) = spec.scale.as_ref().filter(|scale| scale.value == 0.0) {
            self.fault("out-of-range", &scale.span, "`scale = 0` makes every value the same".into(), None);
        }
    }

    // Machines

    fn machines(&mut self, mirror: &'a Mirror, calendar: &Calendar) -> Vec<MachineRules> {
        let ids = mirror.machine.iter().filter_map(|machine| machine.id.as_ref());
        self.unique("id", "machine", ids.map(|id| (id.0.as_str(), &id.span)));
        if mirror.machine.is_empty() && !mirror.cut {
            let what = "there is no [[machine]]: points are read, nothing is derived from them".to_owned();
            self.warning("nothing-to-do", &(0..0), what, None);
        }
        let calendars = self.calendars(mirror, calendar);
        let machines = mirror.machine.iter().zip(calendars);
        machines.filter_map(|(machine, calendar)| self.machine(machine, calendar)).collect()
    }

    fn machine(&mut self, machine: &At<Machine>, calendar: Arc<Calendar>) -> Option<MachineRules> {
        let ideal = self.ideal(&machine.ideal_cycle.as_ref().map(|c| (c.0, &c.span)), &machine.ideal_rate);
        let mut roles = Roles::default();
        let combined = machine.run.as_ref().filter(|run| expression::is_expression(run));
        let plain = if combined.is_none() { &machine.run } else { &None };
        let run = self.role(&mut roles, "run", plain, Wants::Flag);
        let combined = combined.and_then(|text| self.expression(text));
        let total = self.role(&mut roles, "total", &machine.total, Wants::Counter);
        let good = self.role(&mut roles, "good", &machine.good, Wants::Counter);
        let reject = self.role(&mut roles, "reject", &machine.reject, Wants::Counter);
        let fault = self.role(&mut roles, "fault", &machine.fault, Wants::Code);
        let state = self.role(&mut roles, "state", &machine.state, Wants::Code);
        let order = self.role(&mut roles, "order", &machine.order, Wants::Number);
        let product = self.role(&mut roles, "product", &machine.product, Wants::Number);
        let process = self.process(machine, &mut roles);
        self.counted(machine);
        self.thresholds(machine, ideal);
        let state = self.states(machine, state);
        let counting: Vec<&Entry> = [&total, &good, &reject].into_iter().flatten().collect();
        // An edge is seen when the slowest of the points that decide it is read.
        let poll = match (&machine.run, &machine.state) {
            (Some(_), _) => run.as_ref().map(|run| run.poll).or(combined.as_ref().map(|(_, poll)| *poll)),
            (None, Some(_)) => state.as_ref().map(|state| Millis(state.poll_ms)),
            (None, None) => counting.iter().map(|at| at.poll).max(),
        };
        self.silence(machine, poll.max(state.as_ref().map(|state| Millis(state.poll_ms))));
        let run = match (&machine.run, &run, &machine.state) {
            (Some(_), None, _) => combined.map(|(run, _)| run),
            (Some(_), run, _) => run.as_ref().map(|run| RunRule::Signal {
                point: run.index,
                hold_ms: run.point.as_ref().map_or(0, |point| point.hold_ms),
            }),
            (None, _, Some(_)) => state.is_some().then_some(RunRule::State),
            (None, _, None) => self.stop_after(machine, ideal).map(|stop_after_ms| RunRule::Counts { stop_after_ms }),
        };
        let id = machine.id.as_ref()?.0.clone();
        Some(MachineRules {
            asset: machine.asset.as_ref().map_or_else(|| id.clone(), |asset| asset.value.clone()),
            id,
            line: machine.line.as_ref()?.0.clone(),
            calendar,
            ideal,
            run: run?,
            counters: Counters { total: counter(total), good: counter(good), reject: counter(reject) },
            fault: fault.map(|fault| fault.index),
            state,
            order: order.map(|order| order.index),
            product: product.map(|product| product.index),
            order_required: *machine.order_required,
            split_after_ms: machine.split_after.as_ref().map(|after| after.0),
            debounce_ms: machine.debounce.0,
            debounce_run_ms: machine.debounce_run.as_ref().map_or(machine.debounce.0, |debounce| debounce.0),
            short_stop_ms: machine.short_stop.0,
            open_at_fault: *machine.open_at == OpenAt::Fault,
            no_data_ms: machine.no_data.0,
            poll_ms: poll.map_or(0, |poll| poll.0),
            max_rate: self.max_rate(machine, ideal),
            parts_per_cycle: *machine.parts_per_cycle,
            process,
        })
    }

    /// Only a reason can say that there was no stop at all.
    fn oee(&mut self, oee: &mirror::Oee) {
        for (_, counts_in) in cells(oee) {
            if let Some(counts_in) = counts_in.as_ref().filter(|counts_in| counts_in.value == CountsIn::None) {
                let what =
                    "a loss counts somewhere: only a [[reason]] can say that there was no stop at all".to_owned();
                self.fault("contradiction", &counts_in.span, what, "availability, performance or excluded".to_owned());
            }
        }
    }

    /// Process values: any number will do.
    fn process(&mut self, machine: &Machine, roles: &mut Roles) -> Vec<ProcessRule> {
        let mut rules = Vec::with_capacity(machine.process.0.len());
        for (name, at) in machine.process.0.iter().take(MOST_PROCESS) {
            let Some(entry) = self.role(roles, "process", &Some(at.clone()), Wants::Value) else { continue };
            rules.push(ProcessRule { name: name.value.clone(), point: entry.index, poll_ms: entry.poll.0 });
        }
        if let Some((name, _)) = machine.process.0.get(MOST_PROCESS) {
            let what = format!("a machine has at most {MOST_PROCESS} process values");
            self.fault("out-of-range", &name.span, what, "leave out what no lot must prove".to_owned());
        }
        rules
    }

    fn ideal(&mut self, cycle: &Option<(Ideal, &Range<usize>)>, rate: &Option<At<Rate>>) -> Option<Ideal> {
        if let (Some(_), Some(rate)) = (cycle, rate) {
            let what = "`ideal_cycle` and `ideal_rate` say the same thing twice".to_owned();
            self.fault("contradiction", &rate.span, what, "keep one of them".to_owned());
        }
        cycle.map(|(ideal, _)| ideal).or(rate.as_ref().map(|rate| rate.0))
    }

    /// The point of a role, if it is known and can play it.
    fn role(&mut self, roles: &mut Roles, role: &'static str, at: &Option<At<String>>, wants: Wants) -> Option<Entry> {
        let at = at.as_ref()?;
        let name = at.as_str();
        if expression::is_expression(name) {
            let what = format!("`{role}` names one point; only `run` may combine several");
            self.fault("bad-value", &at.span, what, "write it like \"press-plc.good\"".to_owned());
            return None;
        }
        let Some(entry) = self.points.get(name).cloned() else {
            self.unknown_point(at);
            return None;
        };
        if let Some(other) = roles.0.insert(name.to_owned(), role) {
            let what = format!("`{name}` is `{other}` and `{role}` of the same machine");
            self.fault("contradiction", &at.span, what, "each role has a point of its own".to_owned());
        }
        let point = entry.point.as_ref()?;
        if let Some((what, hint)) = wants.objection(point) {
            self.fault("contradiction", &at.span, format!("`{name}` cannot be `{role}`: {what}"), hint.to_owned());
            return None;
        }
        Some(entry)
    }

    /// Points that are the run signal together, and how often the slowest of them is read.
    fn expression(&mut self, at: &At<String>) -> Option<(RunRule, Millis)> {
        // The text stands as it is between its quotes, unless it holds escapes.
        let offset = self.sources.slice(&at.span).find(at.as_str());
        let place = |part: &Range<usize>| match offset {
            Some(offset) => at.span.start + offset + part.start..at.span.start + offset + part.end,
            None => at.span.clone(),
        };
        let parsed = match expression::parse(at) {
            Ok(parsed) => parsed,
            Err(flaw) => {
                self.fault("bad-value", &place(&flaw.at), flaw.what, flaw.hint);
                return None;
            }
        };
        let before = self.faults.len();
        for mention in &parsed.mentions {
            let name = &parsed.operands[mention.operand];
            let named = At { value: name.clone(), span: place(&mention.at) };
            let Some(entry) = self.points.get(name).cloned() else {
                self.unknown_point(&named);
                continue;
            };
            let Some(point) = &entry.point else { continue };
            let (wants, what) = if mention.is_compared {
                (Wants::Counter, format!("`{name}` cannot be compared"))
            } else {
                (Wants::Flag, format!("`{name}` is no condition"))
            };
            if let Some((why, hint)) = wants.objection(point) {
                let is_bit = mention.is_compared && matches!(point.kind, Kind::Bool { .. });
                let (why, hint) = if is_bit {
                    ("it is a bit", format!("write `{name}` or `!{name}`"))
                } else {
                    (why, hint.to_owned())
                };
                self.fault("contradiction", &named.span, format!("{what}: {why}"), hint);
            }
        }
        let entries = parsed.operands.iter().map(|name| self.points.get(name).cloned());
        let entries: Vec<Entry> = entries.collect::<Option<_>>()?;
        let poll = entries.iter().map(|entry| entry.poll).max()?;
        let operand = |entry: Entry| {
            let point = entry.point?;
            Some(Operand { point: entry.index, name: point.name, hold_ms: point.hold_ms })
        };
        let operands: Vec<Operand> = entries.into_iter().map(operand).collect::<Option<_>>()?;
        (self.faults.len() == before).then_some(())?;
        // One point in parentheses or blanks is one point.
        let rule = match (parsed.expression, operands.as_slice()) {
            (Expression::Holds(_), [only]) => RunRule::Signal { point: only.point, hold_ms: only.hold_ms },
            (expression, _) => RunRule::Expression { expression, operands },
        };
        Some((rule, poll))
    }

    fn unknown_point(&mut self, at: &At<String>) {
        let name = at.as_str();
        let Some((plc, point)) = name.split_once('.') else {
            let same = self.points.keys().find(|known| known.ends_with(&format!(".{name}")));
            let hint =
                same.map_or("write it like \"press-plc.run\"".to_owned(), |known| format!("did you mean `{known}`?"));
            self.fault("unknown-point", &at.span, format!("`{name}` names no PLC"), hint);
            return;
        };
        let Some(settings) = self.plcs.get(plc).copied() else {
            self.unknown_plc(plc, at);
            return;
        };
        let prefix = format!("{plc}.");
        let known: Vec<&str> = self.points.keys().filter_map(|known| known.strip_prefix(&prefix)).collect();
        if known.is_empty() && settings.cut {
            return;
        }
        let hint = match nearest(point, known.iter().copied()) {
            Some(known) => format!("did you mean `{plc}.{known}`?"),
            None if known.is_empty() => format!("`{plc}` has no points"),
            None => format!("`{plc}` has: {}", join(known.into_iter())),
        };
        self.fault("unknown-point", &at.span, format!("unknown point `{name}`"), hint);
    }

    /// Any two of total, good and reject; or total alone.
    fn counted(&mut self, machine: &At<Machine>) {
        match (&machine.total, &machine.good, &machine.reject) {
            (Some(_), Some(_), Some(reject)) => {
                let what = "total, good and reject are one too many: the third follows from two".to_owned();
                self.fault("contradiction", &reject.span, what, "keep the two that the PLC counts itself".to_owned());
            }
            (None, Some(good), None) if !machine.cut => {
                let hint = "if it counts every part name it `total`, else add `reject` or `total`".to_owned();
                self.fault("contradiction", &good.span, "`good` alone does not say how many were made".into(), hint);
            }
            (None, None, Some(reject)) if !machine.cut => {
                let hint = "add `good` or `total`".to_owned();
                self.fault(
                    "contradiction",
                    &reject.span,
                    "`reject` alone does not say how many were made".into(),
                    hint,
                );
            }
            (None, None, None) if machine.run.is_none() && machine.state.is_none() && !machine.cut => {
                let what = "the machine has neither `run` nor a counter: nothing could be derived".to_owned();
                let hint = "add `run = \"plc.point\"`, or a counter as `total`".to_owned();
                self.fault("missing-key", &machine_span(machine), what, hint);
            }
            _ => {}
        }
    }

    fn thresholds(&mut self, machine: &At<Machine>, ideal: Option<Ideal>) {
        if *machine.short_stop < *machine.debounce {
            let at = if machine.short_stop.is_written() { &machine.short_stop } else { &machine.debounce };
            let what = "`short_stop` is shorter than `debounce`: no short stop could be seen".to_owned();
            let hint = format!("short_stop is {} ms, debounce {} ms", machine.short_stop.0, machine.debounce.0);
            self.fault("contradiction", &at.span, what, hint);
        }
        if *machine.open_at == OpenAt::Fault && machine.fault.is_none() && !machine.cut {
            let what = "`open_at = \"fault\"` without a `fault` point".to_owned();
            self.fault("contradiction", &machine.open_at.span, what, "add `fault = \"plc.point\"`".to_owned());
        }
        if let (Some(most), Some(ideal)) = (&machine.max_rate, ideal)
            && i128::from(most.0.parts) * i128::from(ideal.ms) < i128::from(ideal.parts) * i128::from(most.0.ms)
        {
            let what = "`max_rate` is below the ideal rate: good parts would not be counted".to_owned();
            self.fault("contradiction", &most.span, what, "leave it out for 4 × the ideal rate".to_owned());
        }
    }

    fn states(&mut self, machine: &At<Machine>, state: Option<Entry>) -> Option<StateRule> {
        let states = match (&machine.states, &machine.state) {
            (None, None) => return None,
            (None, Some(at)) => {
                let what = "nothing says what the values of `state` mean".to_owned();
                let hint = "add [machine.states] with lists like running = [6]".to_owned();
                match machine.run {
                    _ if machine.cut => {}
                    Some(_) => self.warning("no-effect", &at.span, what, hint),
                    None => self.fault("missing-key", &at.span, what, hint),
                }
                return None;
            }
            (Some(states), _) => states,
        };
        let lists = [&states.running, &states.down, &states.changeover, &states.planned_stop, &states.external];
        let mut seen = BTreeSet::new();
        for value in lists.into_iter().flatten() {
            if !seen.insert(**value) {
                let what = format!("state {} means two things", **value);
                self.fault("contradiction", &value.span, what, "name each value once".to_owned());
            }
        }
        let Some(at) = &machine.state else {
            if !machine.cut {
                let what = "[machine.states] without `state`".to_owned();
                self.fault("missing-key", &machine_span(machine), what, "add `state = \"plc.point\"`".to_owned());
            }
            return None;
        };
        if machine.run.is_none() && states.running.is_empty() && !machine.cut {
            let what = "without `run`, `running` in [machine.states] must say when it runs".to_owned();
            self.fault("missing-key", &at.span, what, "add `running = [6]`, or `run`".to_owned());
        }
        let state = state?;
        let codes = |list: &[At<i64>]| list.iter().map(|code| **code).collect();
        Some(StateRule {
            point: state.index,
            poll_ms: state.poll.0,
            running: codes(&states.running),
            down: codes(&states.down),
            changeover: codes(&states.changeover),
            planned_stop: codes(&states.planned_stop),
            external: codes(&states.external),
        })
    }

    fn silence(&mut self, machine: &At<Machine>, poll: Option<Millis>) {
        if let (Some(no_data), Some(poll)) = (machine.no_data.0, poll)
            && no_data <= poll.0
        {
            let at = if machine.no_data.is_written() { machine.no_data.span.clone() } else { machine_span(machine) };
            let what =
                format!("`no_data` ({no_data} ms) is not longer than `poll` ({} ms) of the point that decides", poll.0);
            self.fault("contradiction", &at, what, "give it several polls, or \"off\"".to_owned());
        }
    }

    fn stop_after(&mut self, machine: &At<Machine>, ideal: Option<Ideal>) -> Option<i64> {
        let counts = [&machine.total, &machine.good, &machine.reject].into_iter().any(Option::is_some);
        match (&machine.stop_after, ideal) {
            (Some(after), Some(ideal)) if after.0 < ideal.cycle_ms() => {
                let what = "`stop_after` is shorter than one ideal cycle: it would stand after every part".to_owned();
                self.fault("contradiction", &after.span, what, "some ideal cycles, like the default of 3".to_owned());
                None
            }
            (Some(after), _) if after.0 == 0 => {
                self.fault("out-of-range", &after.span, "`stop_after` may not be 0".into(), None);
                None
            }
            (Some(after), _) => Some(after.0),
            (None, Some(ideal)) => Some(ideal.time_ms(STOP_AFTER_CYCLES).max(STOP_AFTER_LEAST_MS)),
            (None, None) => {
                if counts && !machine.cut {
                    let what = "without `run` and without an ideal, `stop_after` must say when it stands".to_owned();
                    let hint = "add `stop_after`, `ideal_rate` or `ideal_cycle`".to_owned();
                    self.fault("missing-key", &machine_span(machine), what, hint);
                }
                None
            }
        }
    }

    fn max_rate(&mut self, machine: &Machine, ideal: Option<Ideal>) -> Option<Ideal> {
        let decides = machine.run.as_ref().map(|_| "run").or(machine.state.as_ref().map(|_| "state"));
        if let (Some(after), Some(decides)) = (&machine.stop_after, decides) {
            let what = format!("`stop_after` has no effect beside `{decides}`: the signal decides");
            self.warning("no-effect", &after.span, what, None);
        }
        match &machine.max_rate {
            Some(rate) => Some(rate.0),
            None => ideal.and_then(|ideal| Ideal::new(ideal.ms, ideal.parts.saturating_mul(MAX_RATE_TIMES))),
        }
    }

    // Reasons and the rest

    fn reasons(&mut self, mirror: &'a Mirror) -> Vec<ReasonRule> {
        let codes = mirror.reason.iter().filter_map(|reason| reason.code.as_ref());
        self.unique("code", "reason", codes.map(|code| (code.as_str(), &code.span)));
        let mut named: Vec<(i64, &Reason, &Range<usize>)> = Vec::new();
        for reason in &mirror.reason {
            self.machines_known(&reason.machines, mirror);
            for fault in &reason.faults {
                if fault.value == 0 {
                    let what = "fault code 0 means that there is no fault".to_owned();
                    self.fault("out-of-range", &fault.span, what, "take the 0 away".to_owned());
                }
                let other = named.iter().find(|(code, other, _)| {
                    *code == fault.value && !std::ptr::eq(*other, reason) && share_a_machine(other, reason)
                });
                if let Some((_, other, span)) = other.filter(|_| fault.value != 0) {
                    let first = other.code.as_ref().map(|code| code.as_str()).unwrap_or_default();
                    let what =
                        format!("fault {} names `{first}` already, at {}", fault.value, self.sources.place(span));
                    self.fault("contradiction", &fault.span, what, "limit one of them with `machines`".to_owned());
                }
                named.push((fault.value, reason, &fault.span));
            }
        }
        mirror.reason.iter().filter_map(reason_rule).collect()
    }

    pub(super) fn machines_known(&mut self, names: &[At<String>], mirror: &Mirror) {
        let known: Vec<&str> =
            mirror.machine.iter().filter_map(|machine| machine.id.as_ref()).map(|id| id.0.as_str()).collect();
        if known.len() < mirror.machine.len() {
            return; // one without a usable id may be meant
        }
        for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
            let hint = match nearest(name, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("there are: {}", join(known.iter().copied())),
            };
            self.fault("unknown-machine", &name.span, format!("unknown machine `{}`", name.value), hint);
        }
    }

    fn reasons_known(&mut self, codes: &[At<String>], mirror: &Mirror) {
        let known: Vec<&str> =
            mirror.reason.iter().filter_map(|reason| reason.code.as_ref()).map(|code| code.as_str()).collect();
        if known.len() < mirror.reason.len() {
            return; // one without a usable code may be meant
        }
        for code in codes.iter().filter(|code| !known.contains(&code.as_str())) {
            let hint = match nearest(code, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if known.is_empty() => "there is no [[reason]]".to_owned(),
                None => format!("there are: {}", join(known.iter().copied())),
            };
            self.fault("unknown-reason", &code.span, format!("unknown reason `{}`", code.value), hint);
        }
    }

    fn mqtt(&mut self, mqtt: &Mqtt, client_id: String) -> io::mqtt::Settings {
        if mqtt.brokers.is_empty() && !mqtt.cut {
            let hint = "name one, like \"mqtt://127.0.0.1:1883\"".to_owned();
            self.fault("out-of-range", &mqtt.brokers.span, "`brokers` names no broker".into(), hint);
        }
        if !mqtt.cut {
            let needs = [
                ("password_file", &mqtt.password_file, "username", mqtt.username.is_some()),
                ("key_file", &mqtt.key_file, "cert_file", mqtt.cert_file.is_some()),
                ("cert_file", &mqtt.cert_file, "key_file", mqtt.key_file.is_some()),
            ];
            for (key, at, needed, there) in needs {
                if let Some(at) = at.as_ref().filter(|_| !there) {
                    let what = format!("`{key}` without `{needed}`");
                    self.fault("missing-key", &at.span, what, format!("add `{needed}`"));
                }
            }
            if let Some(file) = mqtt.ca_file.as_ref().or(mqtt.cert_file.as_ref())
                && !mqtt.brokers.iter().any(|broker| broker.0.tls)
            {
                let what = "certificates are given, but no broker is reached over TLS".to_owned();
                self.warning("no-effect", &file.span, what, "write mqtts:// for TLS".to_owned());
            }
        }
        let keep_alive = &mqtt.keep_alive;
        if keep_alive.0 % 1_000 != 0 || !(1_000..=KEEP_ALIVE_MOST_MS).contains(&keep_alive.0) {
            let what = "`keep_alive` wants whole seconds".to_owned();
            self.fault("out-of-range", &keep_alive.span, what, "from \"1s\" to \"65535s\"".to_owned());
        }
        io::mqtt::Settings {
            brokers: mqtt.brokers.iter().map(|broker| broker.0.clone()).collect(),
            client_id,
            username: mqtt.username.as_ref().map(|at| at.value.clone()),
            password_file: mqtt.password_file.as_ref().map(|at| at.value.clone()),
            ca_file: mqtt.ca_file.as_ref().map(|at| at.value.clone()),
            cert_file: mqtt.cert_file.as_ref().map(|at| at.value.clone()),
            key_file: mqtt.key_file.as_ref().map(|at| at.value.clone()),
            keep_alive: duration(**keep_alive),
            filters: Vec::new(),
            is_expected: false,
        }
    }

    // Lines

    fn machine_lines(&mut self, mirror: &'a Mirror) {
        self.unique("id", "line", mirror.line.iter().filter_map(|l| l.id.as_ref()).map(|id| (id.0.as_str(), &id.span)));
        for line in &mirror.line {
            if let Some(id) = &line.id {
                self.lines_known([(id.0.as_str(), &id.span)], mirror);
            }
            self.machines_known(line.bottleneck.as_slice(), mirror);
            let (Some(id), Some(bottleneck)) = (&line.id, &line.bottleneck) else { continue };
            let is_it = |machine: &&At<Machine>| machine.id.as_ref().is_some_and(|id| id.0 == bottleneck.value);
            let its_line = mirror.machine.iter().find(is_it).and_then(|machine| machine.line.as_ref());
            if let Some(other) = its_line.filter(|other| other.0 != id.0) {
                let what = format!("`{}` stands in line `{}`, not in `{}`", bottleneck.value, other.0, id.0);
                let of_it =
                    mirror.machine.iter().filter(|machine| machine.line.as_ref().is_some_and(|at| at.0 == id.0));
                let of_it = join(of_it.filter_map(|machine| machine.id.as_ref()).map(|id| id.0.as_str()));
                let hint = (!of_it.is_empty()).then(|| format!("in `{}` stand: {of_it}", id.0));
                self.fault("contradiction", &bottleneck.span, what, hint);
            }
        }
    }

    /// Says each line that no machine stands in.
    pub(super) fn lines_known<'t>(
        &mut self,
        lines: impl IntoIterator<Item = (&'t str, &'t Range<usize>)>,
        mirror: &Mirror,
    ) {
        if mirror.machine.iter().any(|machine| machine.line.is_none()) {
            return; // it may be that one's
        }
        let known: BTreeSet<&str> =
            mirror.machine.iter().filter_map(|machine| machine.line.as_ref()).map(|line| line.0.as_str()).collect();
        for (name, span) in lines.into_iter().filter(|(name, _)| !known.contains(name)) {
            let hint = match nearest(name, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None if known.is_empty() => "there is no [[machine]]".to_owned(),
                None => format!("the machines' lines are: {}", join(known.iter().copied())),
            };
            self.fault("unknown-line", span, format!("no machine stands in line `{name}`"), hint);
        }
    }

    /// Rules that never fire, or name what there is not.
    fn work_requests(&mut self, mirror: &'a Mirror) {
        self.unique(
            "name",
            "work request",
            mirror.work_request.iter().filter_map(|w| w.name.as_ref()).map(|name| (name.as_str(), &name.span)),
        );
        for rule in mirror.work_request.iter().filter(|rule| !rule.cut) {
            let name = rule.name.as_ref().map_or(&rule.span, |name| &name.span);
            self.machines_known(&rule.machines, mirror);
            self.reasons_known(&rule.reasons, mirror);
            for fault in rule.faults.iter().filter(|fault| ***fault == 0) {
                let what = "fault 0 is no fault".to_owned();
                self.fault("out-of-range", &fault.span, what, "take it away".to_owned());
            }
            match (&rule.times, &rule.within) {
                (Some(times), None) => {
                    self.fault(
                        "missing-key",
                        &times.span,
                        "`times` without `within`".into(),
                        "add `within = \"8h\"`".to_owned(),
                    );
                }
                (None, Some(within)) => {
                    self.fault(
                        "missing-key",
                        &within.span,
                        "`within` without `times`".into(),
                        "add `times = 3`".to_owned(),
                    );
                }
                (None, None) if rule.after.is_none() && rule.run_hours.is_none() && rule.cycles.is_none() => {
                    let hint = "add after, times and within, run_hours or cycles".to_owned();
                    self.fault("missing-key", name, "the rule never fires".into(), hint);
                }
                _ => {}
            }
        }
    }

    /// What this release does not act on is still held to account, so that the next one may.
    fn not_yet(&mut self, mirror: &'a Mirror) {
        self.unique(
            "id",
            "consumer",
            mirror.consumer.iter().filter_map(|c| c.id.as_ref()).map(|id| (id.0.as_str(), &id.span)),
        );
        self.unique(
            "code",
            "product",
            mirror.product.iter().filter_map(|p| p.code.as_ref()).map(|code| (code.as_str(), &code.span)),
        );
        for consumer in &mirror.consumer {
            self.machines_known(&consumer.machines, mirror);
        }
        for product in &mirror.product {
            self.ideal(&product.ideal_cycle.as_ref().map(|c| (c.0, &c.span)), &product.ideal_rate);
        }
    }
}

fn consumers(consumers: &[mirror::Consumer]) -> Vec<receipt::Rule> {
    let rule = |consumer: &mirror::Consumer| {
        Some(receipt::Rule {
            id: consumer.id.as_ref()?.0.clone(),
            kinds: consumer.kinds.iter().map(|kind| kind.word().to_owned()).collect(),
            machines: consumer.machines.iter().map(|machine| machine.value.clone()).collect(),
            max_lag_ms: consumer.max_lag.0,
        })
    };
    consumers.iter().filter_map(rule).collect()
}

fn cells(oee: &mirror::Oee) -> [(Cell, &Option<At<CountsIn>>); 9] {
    [
        (Cell::Failure, &oee.failure),
        (Cell::Operational, &oee.operational),
        (Cell::Unassigned, &oee.unassigned),
        (Cell::Changeover, &oee.changeover),
        (Cell::External, &oee.external),
        (Cell::NoOrder, &oee.no_order),
        (Cell::Planned, &oee.planned),
        (Cell::Break, &oee.pause),
        (Cell::ShortStop, &oee.short_stop),
    ]
}

fn oee(oee: &mirror::Oee) -> Oee {
    let cells = cells(oee);
    let overrides = cells.into_iter().filter_map(|(cell, counts_in)| Some((cell, **counts_in.as_ref()?))).collect();
    Oee { convention: *oee.convention, overrides }
}

fn lines(lines: &[mirror::Line]) -> Vec<LineRule> {
    let rule = |line: &mirror::Line| {
        let bottleneck = line.bottleneck.as_ref().map(|machine| machine.value.clone());
        Some(LineRule { id: line.id.as_ref()?.0.clone(), bottleneck })
    };
    lines.iter().filter_map(rule).collect()
}

fn work(mirror: &Mirror) -> WorkRules {
    let rule = |rule: &At<mirror::WorkRequest>| {
        let texts = |texts: &[At<String>]| texts.iter().map(|text| text.value.clone()).collect();
        Some(WorkRule {
            name: rule.name.as_ref()?.value.clone(),
            class: rule.class.as_ref().map(|class| **class),
            reasons: texts(&rule.reasons),
            faults: rule.faults.iter().map(|fault| **fault).collect(),
            machines: texts(&rule.machines),
            after_ms: rule.after.as_ref().map(|after| after.0),
            times: rule.times.as_ref().and_then(|times| usize::try_from(**times).ok()),
            within_ms: rule.within.as_ref().map_or(0, |within| within.0),
            run_hours: rule.run_hours.as_ref().map(|hours| **hours),
            cycles: rule.cycles.as_ref().map(|cycles| **cycles),
            priority: *rule.priority,
        })
    };
    let words =
        mirror.priority_map.as_ref().map(|words| words.iter().map(|word| word.value.clone()).collect::<Vec<_>>());
    WorkRules {
        requests: mirror.work_request.iter().filter_map(rule).collect(),
        reopen_after_ms: mirror.reopen_after.0,
        priority_map: words.and_then(|words| words.try_into().ok()),
        names_persons: *mirror.privacy.operator == Persons::Id,
    }
}

fn products(products: &[Product]) -> Vec<ProductRule> {
    let rule = |product: &Product| {
        let ideal =
            product.ideal_cycle.as_ref().map(|cycle| cycle.0).or(product.ideal_rate.as_ref().map(|rate| rate.0));
        Some(ProductRule { code: product.code.as_ref()?.value.clone(), ideal })
    };
    products.iter().filter_map(rule).collect()
}

/// Points that a machine uses, and as what.
#[derive(Default)]
struct Roles(BTreeMap<String, &'static str>);

/// What a role asks of its point.
#[derive(Clone, Copy)]
enum Wants {
    /// A bit, or a whole number that is not zero.
    Flag,
    /// A whole number that rises.
    Counter,
    /// A whole number.
    Code,
    /// A whole number or a text.
    Number,
    /// Anything but a text.
    Value,
}

impl Wants {
    /// Why a point cannot be that.
    fn objection(self, point: &Point) -> Option<(&'static str, &'static str)> {
        let is_integer = point.kind.modulus().is_some();
        let fits = match self {
            Wants::Flag | Wants::Code => is_integer || matches!(point.kind, Kind::Bool { .. }),
            Wants::Counter => is_integer,
            Wants::Number => is_integer || matches!(point.kind, Kind::Text(_)),
            Wants::Value => !matches!(point.kind, Kind::Text(_)),
        };
        if !fits {
            let hint = match self {
                Wants::Flag => "a coil, a discrete input, `bit` of a register, or an integer type",
                Wants::Counter | Wants::Code => "give it an integer type, like type = \"u32\"",
                Wants::Number => "give it an integer type or string(n)",
                Wants::Value => "give it a type that is a number",
            };
            return Some(("its type does not fit", hint));
        }
        if !matches!(self, Wants::Value) && (point.scale, point.offset) != (1.0, 0.0) {
            return Some((
                "`scale` and `offset` make it a real number",
                "take them away; `parts_per_cycle` multiplies counts",
            ));
        }
        None
    }
}

fn counter(entry: Option<Entry>) -> Option<Counter> {
    let Entry { index, point, poll, overflow } = entry?;
    let point = point?;
    let modulus = point.modulus.or(point.kind.modulus())?;
    Some(Counter { point: index, modulus, name: point.name, poll_ms: poll.0, overflow })
}

fn reason_rule(reason: &Reason) -> Option<ReasonRule> {
    let code = reason.code.as_ref()?.value.clone();
    Some(ReasonRule {
        text: reason.text.as_ref().map_or_else(|| code.clone(), |text| text.value.clone()),
        code,
        class: **reason.class.as_ref()?,
        counts_in: reason.counts_in.as_ref().map(|counts_in| **counts_in),
        faults: reason.faults.iter().map(|fault| **fault).collect(),
        machines: reason.machines.iter().map(|name| name.value.clone()).collect(),
    })
}

/// No list of machines means all.
fn share_a_machine(a: &Reason, b: &Reason) -> bool {
    a.machines.is_empty()
        || b.machines.is_empty()
        || a.machines.iter().any(|name| b.machines.iter().any(|other| other.value == name.value))
}

/// Where to point when a machine as a whole is meant.
fn machine_span(machine: &At<Machine>) -> Range<usize> {
    machine.id.as_ref().map_or(&machine.span, |id| &id.span).clone()
}

fn duration(ms: Millis) -> Duration {
    Duration::from_millis(u64::try_from(ms.0).unwrap_or(0))
}

/// As many names as a line holds.
pub(super) fn join<'t>(names: impl Iterator<Item = &'t str>) -> String {
    const MOST: usize = 12;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > MOST { " …" } else { "" };
    format!("{}{more}", names[..names.len().min(MOST)].join(", "))
}
