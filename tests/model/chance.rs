//! A seed in, a machine-day out: a configuration and its samples.
//!
//! What it leaves out, because the words leave it open or another test rules it:
//! * Edges that a debounce would swallow: every edge holds and is looked at again after `debounce`; rows are ≥ 1 s apart.
//! * Gaps that begin or end within seconds of an edge, last exactly `no_data`, reach the last row, hide a change of
//!   order, or lie in a stop that is no stop (`counts_in = "none"`).
//! * Parts that show first in a sample of the stop, or in the one that changes the order; torn, jumping and implausible counters.
//! * Products of a machine that counts nothing (when does the new one begin?); orders that come back; changes of product beside times without an order or state codes.
//! * Stops that a state code or a fault splits nearer to their ends than `short_stop`, or where there are breaks.
//! * Counters that are read while the run signal is not.
//! * Shift edges and breaks in the hour that a change of the clock drops or doubles.
//! * Cells of the convention that are `none`.

use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// What a machine-day may hold.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub shifts: bool,
    pub orders: bool,
    pub cells: bool,
    pub codes: bool,
    /// Also where the engine was seen to read the words otherwise: gaps under a product's ideal, an order that changes in
    /// the first sample of a stop, none in the very first sample, a fault after some time without an order, no stop
    /// (`counts_in = "none"`) outside planned hours.
    pub rough: bool,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub toml: String,
    pub csv: String,
}

/// Saturday noons before the clock changes in Berlin, and before it changes in New York.
const CLOCK_CHANGES: [i64; 4] = [1_774_699_200, 1_792_843_200, 1_772_884_800, 1_793_448_000];
const YEAR_BEGINS: i64 = 1_767_225_600;
const HOUR: i64 = 3_600;

const REASONS: &str = r#"
[[reason]]
code = "mech.jam"
class = "failure"
faults = [12, 13]
[[reason]]
code = "elec.test"
class = "failure"
counts_in = "excluded"
faults = [14]
[[reason]]
code = "op.clean"
class = "operational"
counts_in = "performance"
faults = [15]
[[reason]]
code = "mech.slow"
class = "failure"
counts_in = "performance"
faults = [16]
[[reason]]
code = "op.search"
class = "operational"
faults = [17]
[[reason]]
code = "material.none"
class = "external"
faults = [20]
[[reason]]
code = "setup"
class = "changeover"
faults = [21]
[[reason]]
code = "pm"
class = "planned"
faults = [22]
[[reason]]
code = "pm.late"
class = "planned"
counts_in = "availability"
faults = [23]
[[reason]]
code = "op.meeting"
class = "operational"
counts_in = "excluded"
faults = [24]
[[reason]]
code = "elsewhere"
class = "planned"
faults = [25]
machines = ["other"]
[[reason]]
code = "sensor"
class = "failure"
counts_in = "none"
faults = [30]
"#;
/// 25 is limited to another machine, 77 is in no reason.
const FAULTS: [i64; 13] = [12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 77];
const NO_STOP: i64 = 30;

/// Times are seconds since the first row.
struct Script {
    length: i64,
    begins_at: i64,
    short_stop: i64,
    /// In half seconds; `None`: "off".
    no_data: Option<i64>,
    debounce: i64,
    heartbeat: i64,
    /// Times at which it changes between running and standing.
    edges: Vec<i64>,
    runs_first: bool,
    faults: BTreeMap<i64, i64>,
    codes: BTreeMap<i64, i64>,
    orders: BTreeMap<i64, String>,
    gaps: Vec<(i64, i64)>,
    /// Stops in which no gap may lie.
    whole_stops: Vec<(i64, i64)>,
}

impl Script {
    fn stops(&self) -> Vec<(i64, i64)> {
        let skip = usize::from(self.runs_first);
        let edges: Vec<i64> = [0].into_iter().chain(self.edges.iter().copied()).chain([self.length]).collect();
        edges.windows(2).skip(skip).step_by(2).map(|edge| (edge[0], edge[1])).collect()
    }
}

fn pick<T: Copy>(chance: &mut Rng, list: &[T]) -> T {
    list[chance.usize(0..list.len())]
}

fn percent(chance: &mut Rng, percent: u8) -> bool {
    chance.u8(0..100) < percent
}

pub fn scenario(seed: u64, region: Region) -> Scenario {
    let mut chance = Rng::with_seed(seed);
    let chance = &mut chance;
    let zone = pick(chance, &["Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "America/New_York", "UTC"]);
    let length = match chance.u8(0..10) {
        0..3 => chance.i64(HOUR..6 * HOUR),
        3..8 => chance.i64(8 * HOUR..30 * HOUR),
        _ => chance.i64(30 * HOUR..72 * HOUR),
    };
    let begins_at = if percent(chance, 25) {
        pick(chance, &CLOCK_CHANGES) + chance.i64(-12 * HOUR..18 * HOUR)
    } else if percent(chance, 20) {
        YEAR_BEGINS + chance.i64(0..365 * 24) * HOUR
    } else {
        YEAR_BEGINS + chance.i64(0..365 * 24 * HOUR)
    };
    let no_data = if percent(chance, 40) { None } else { Some(pick(chance, &[41, 91, 91, 181, 601])) };
    let heartbeat = match no_data {
        Some(halves) => chance.i64((halves / 6).max(5)..halves / 4 + 1),
        None => chance.i64(20..900),
    };
    let short_stop = pick(chance, &[20, 60, 120, 120, 300, 600]);
    let mut script = Script {
        length,
        begins_at,
        short_stop,
        no_data,
        debounce: chance.i64(0..3),
        heartbeat,
        edges: Vec::new(),
        runs_first: chance.bool(),
        faults: BTreeMap::from([(0, 0)]),
        codes: BTreeMap::new(),
        orders: BTreeMap::new(),
        gaps: Vec::new(),
        whole_stops: Vec::new(),
    };
    run(chance, &mut script, region);
    let with_orders = if region.orders { chance.u8(0..4) } else { 0 };
    let with_codes = region.codes && with_orders == 0 && chance.bool();
    if with_codes {
        name_by_codes(chance, &mut script, region);
    } else {
        name_by_faults(chance, &mut script, with_orders, region);
    }
    let products = change_orders(chance, &mut script, with_orders, region.rough);
    lose_sight(chance, &mut script, region.rough, with_orders);

    let mut toml = String::new();
    if region.shifts && percent(chance, 85) {
        toml += &shifts(chance);
    }
    write!(toml, "[gateway]\nid = \"gw\"\npath = \"acme/leipzig/hall-3\"\ntimezone = \"{zone}\"\n").unwrap();
    toml += "data_dir = \"/tmp/unused\"\n[oee]\n";
    writeln!(toml, "convention = \"{}\"", pick(chance, &["oee.com", "oee.com", "iso22400", "smrp"])).unwrap();
    if region.cells {
        let rows = [
            "failure",
            "operational",
            "unassigned",
            "changeover",
            "external",
            "no_order",
            "planned",
            "break",
            "short_stop",
        ];
        for row in rows.into_iter().filter(|_| chance.u8(0..10) == 0).collect::<Vec<_>>() {
            writeln!(toml, "{row} = \"{}\"", pick(chance, &["availability", "performance", "excluded"])).unwrap();
        }
    }
    let counted = count(chance, &script, &products);
    toml +=
        "[[plc]]\nid = \"plc\"\ntcp = \"127.0.0.1:502\"\n[plc.points]\nrun = { coil = 0 }\nfault = { holding = 0 }\n";
    if with_codes {
        toml += "state = { holding = 1 }\n";
    }
    if with_orders > 0 {
        toml += "order = { holding = 10, type = \"string(8)\" }\n";
    }
    toml += &counted.points;
    toml += "[[machine]]\nid = \"other\"\nline = \"line-2\"\nrun = \"plc.run\"\nno_data = \"off\"\n";
    toml += "[[machine]]\nid = \"press-7\"\nline = \"line-2\"\nrun = \"plc.run\"\nfault = \"plc.fault\"\n";
    writeln!(toml, "debounce = \"{}s\"\nshort_stop = \"{short_stop}s\"", script.debounce).unwrap();
    match no_data {
        Some(halves) => writeln!(toml, "no_data = \"{}ms\"", halves * 500).unwrap(),
        None => toml += "no_data = \"off\"\n",
    }
    // A downtime that opens at once in a break has no duration.
    if percent(chance, 10) && (region.rough || !region.shifts) {
        toml += "open_at = \"fault\"\n";
    }
    toml += &counted.machine;
    if with_orders > 0 {
        toml += "order = \"plc.order\"\n";
        if with_orders == 1 && percent(chance, 70) {
            toml += "order_required = true\n";
        }
    }
    if with_codes {
        toml +=
            "state = \"plc.state\"\n[machine.states]\nrunning = [6]\nexternal = [5]\ndown = [9]\nchangeover = [10]\n";
        toml += "planned_stop = [11]\n";
    }
    toml += REASONS;
    for (code, (_, ideal)) in &products {
        writeln!(toml, "[[product]]\ncode = \"{code}\"\n{ideal}").unwrap();
    }
    Scenario { toml, csv: rows(chance, &script, &counted, with_codes, with_orders > 0) }
}

/// Runs and stops of all lengths, many around the threshold, some beginning or ending on a quarter of an hour.
fn run(chance: &mut Rng, script: &mut Script, region: Region) {
    let short_stop = script.short_stop;
    let (mut at, mut runs) = (0, script.runs_first);
    loop {
        let span = if runs {
            match chance.u8(0..10) {
                0..2 => chance.i64(10..60),
                2..7 => chance.i64(60..1_800),
                _ => chance.i64(1_800..14_400),
            }
        } else {
            match chance.u8(0..20) {
                0..5 => chance.i64(8..short_stop.max(20)),
                5..7 => short_stop + chance.i64(-1..2),
                7..14 => chance.i64(short_stop..4 * short_stop),
                14..19 => chance.i64(600..7_200),
                _ => chance.i64(4 * HOUR..14 * HOUR),
            }
        };
        let mut next = at + span.max(8);
        if percent(chance, 8) {
            next += (-(script.begins_at + next)).rem_euclid(900);
        }
        // No stop with a state code ends within a debounce after a break.
        let past_the_minute = (script.begins_at + next).rem_euclid(60);
        if region.codes && region.shifts && !region.rough && (1..5).contains(&past_the_minute) {
            next += 5;
        }
        if next > script.length - 10 {
            return;
        }
        script.edges.push(next);
        (at, runs) = (next, !runs);
    }
}

fn name_by_faults(chance: &mut Rng, script: &mut Script, with_orders: u8, region: Region) {
    for (from, to) in script.stops() {
        let kind = chance.u8(0..20);
        if kind < 7 || from == 0 {
            continue;
        }
        let margin = script.short_stop + 5;
        let at = match with_orders {
            _ if kind < 15 => from,
            0 => chance.i64(from..to - 2),
            _ if !region.rough && (region.shifts || with_orders == 1) => from,
            // It splits the stop, if that was a changeover so far or there was no order.
            _ if to - from > 2 * margin + 2 => chance.i64(from + margin..to - margin),
            _ => from,
        };
        let code = if percent(chance, 8) && (region.rough || !region.shifts) { NO_STOP } else { pick(chance, &FAULTS) };
        if code == NO_STOP {
            script.whole_stops.push((from, to));
        }
        script.faults.insert(at, code);
        if percent(chance, 20) && to - at > 20 {
            script.faults.insert(chance.i64(at + 5..to - 5), pick(chance, &FAULTS));
        }
        // Cleared with the stop, before or a while after it (it warns while the machine runs).
        let cleared = match chance.u8(0..10) {
            0 if to - at > 20 => chance.i64(at + 10..to),
            _ => to,
        };
        script.faults.retain(|time, _| *time < cleared || *time == 0);
        script.faults.insert(cleared, 0);
    }
    for edge in script.edges.clone() {
        if percent(chance, 2) && with_orders == 0 && !script.faults.range(edge - 2..edge + 12).any(|_| true) {
            // Shown for some seconds, mostly of a run.
            script.faults.insert(edge + 1, 77);
            script.faults.insert(edge + 6, 0);
        }
    }
}

fn name_by_codes(chance: &mut Rng, script: &mut Script, region: Region) {
    script.codes.insert(0, if script.runs_first { 6 } else { 5 });
    for (from, to) in script.stops() {
        let code = pick(chance, &[5, 5, 9, 10, 11, 99]);
        script.codes.insert(from, code);
        script.codes.insert(to, 6);
        let margin = script.short_stop + 5;
        // With a calendar a part of a split stop may be shorter than it looks.
        let has_room = to - from > 2 * margin + 10 && (region.rough || !region.shifts);
        match chance.u8(0..10) {
            0..3 if has_room => {
                script.codes.insert(chance.i64(from + margin..to - margin), pick(chance, &[5, 9, 10, 11]));
                script.whole_stops.push((from, to));
            }
            3..5 if has_room && [5, 10].contains(&code) => {
                script.faults.insert(chance.i64(from + margin..to - margin), pick(chance, &[12, 15, 77]));
                script.faults.insert(to, 0);
                script.whole_stops.push((from, to));
            }
            5..7 if from > 0 => {
                script.faults.insert(from, pick(chance, &FAULTS));
                script.faults.insert(to, 0);
            }
            _ => {}
        }
    }
}

/// Products by code, each with its ideal in ms and as it is written.
type Products = BTreeMap<String, (Option<f64>, String)>;

/// 1: orders without products, and times without an order; 2, 3: products.
fn change_orders(chance: &mut Rng, script: &mut Script, with: u8, is_rough: bool) -> Products {
    let mut products = Products::new();
    if with == 0 {
        return products;
    }
    let mut changes = vec![0];
    for _ in 0..chance.usize(0..7) {
        // Away from edges, but now and then right where a stop begins.
        let at = if is_rough && percent(chance, 20) && !script.edges.is_empty() {
            pick(chance, &script.edges)
        } else {
            chance.i64(30..script.length - 30)
        };
        let is_apart = |other: &i64| (other - at).abs() > 8;
        let fits = script.edges.iter().all(|edge| *edge == at || is_apart(edge)) && changes.iter().all(is_apart);
        if fits && script.length - at > 20 {
            changes.push(at);
        }
    }
    changes.sort_unstable();
    for (number, at) in changes.into_iter().enumerate() {
        let name = match with {
            1 if percent(chance, 30) && (number > 0 || is_rough) => String::new(),
            _ => format!("A-{number}"),
        };
        if with > 1 && percent(chance, 70) {
            let ideal = match chance.u8(0..4) {
                0 => (None, String::new()),
                1 => (Some(60_000.0 / 35.0), "ideal_rate = \"35/min\"".to_owned()),
                _ => {
                    let ms = chance.i64(300..9_000);
                    (Some(ms as f64), format!("ideal_cycle = \"{ms}ms\""))
                }
            };
            products.insert(name.clone(), ideal);
        }
        script.orders.insert(at, name);
    }
    products
}

/// Gaps away from edges and changes of order.
fn lose_sight(chance: &mut Rng, script: &mut Script, is_rough: bool, with_orders: u8) {
    let bridged = script.no_data.map_or(0, |halves| halves / 2);
    // Whether a gap ran through is a question of the order's ideal.
    let most = if with_orders > 1 && !is_rough { 0 } else { 5 };
    for _ in 0..chance.usize(0..=most) {
        let span = match chance.u8(0..4) {
            // Bridged, where silence is what makes a gap.
            0 if bridged > 15 => chance.i64(10..bridged),
            0..3 => bridged + chance.i64(5..1_800),
            _ => bridged + chance.i64(1_800..4 * HOUR),
        };
        for _ in 0..8 {
            let from = chance.i64(10..script.length);
            let to = from + span;
            let near = |at: i64| (from - 8..=from).contains(&at) || (to..=to + 8).contains(&at);
            // Silence that is bridged hides no edge: the parts before it would show with the first still sample. Nor does
            // any hide a change of code.
            let hides = script.edges.iter().any(|edge| (from..=to).contains(edge));
            let fits = to < script.length - bridged - 20
                && !(hides && (span <= bridged || !script.codes.is_empty() || with_orders == 1 && !is_rough))
                && !script.edges.iter().any(|edge| near(*edge) || near(*edge + script.debounce + 2))
                && !script.orders.range(from - 10..to + 10).any(|_| true)
                && !script.faults.range(from - 4..from + 1).any(|_| true)
                && !script.faults.range(to - 1..to + 4).any(|_| true)
                && script.whole_stops.iter().all(|(begin, end)| to + 9 < *begin || *end + 9 < from)
                && script.gaps.iter().all(|(begin, end)| to + 30 < *begin || *end + 30 < from);
            if fits {
                script.gaps.push((from, to));
                break;
            }
        }
    }
}

/// Where a day begins; shifts by id, with the minutes of the day at which they begin and end.
type Pattern = (&'static str, &'static [(&'static str, i64, i64)]);

fn shifts(chance: &mut Rng) -> String {
    const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let patterns: [Pattern; 8] = [
        ("06:00", &[("early", 360, 840), ("late", 840, 1320), ("night", 1320, 1800)]),
        ("00:00", &[("early", 360, 840), ("late", 840, 1320)]),
        ("06:00", &[("long-day", 360, 1080), ("long-night", 1080, 1800)]),
        ("00:00", &[("day", 450, 975)]),
        ("12:00", &[("night", 1320, 1800)]),
        ("22:00", &[("night", 1320, 1800), ("noon", 600, 900)]),
        ("00:00", &[("first-half", 0, 720), ("second-half", 720, 1440)]),
        ("00:00", &[("a", 5, 307), ("b", 410, 733), ("c", 733, 1439)]),
    ];
    let (day_start, shifts) = pick(chance, &patterns);
    let mut toml =
        if day_start == "00:00" && chance.bool() { String::new() } else { format!("day_start = \"{day_start}\"\n") };
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    for (id, from, to) in shifts {
        let days: Vec<&str> = match chance.u8(0..4) {
            0 => WEEK.to_vec(),
            1 | 2 => WEEK[..5].to_vec(),
            _ => WEEK.into_iter().filter(|_| chance.u8(0..3) > 0).collect(),
        };
        write!(toml, "[[shift]]\nid = \"{id}\"\nstart = \"{}\"\nend = \"{}\"\n", clock(*from), clock(*to)).unwrap();
        if days.len() < 7 && !days.is_empty() {
            writeln!(toml, "days = {days:?}").unwrap();
        }
        let mut breaks = Vec::new();
        let mut at = from + chance.i64(30..180);
        while at + 60 < *to && breaks.len() < 3 {
            let ends = at + pick(chance, &[10, 15, 30, 45]);
            // The clock changes between one and four o'clock.
            if !(45..4 * 60).contains(&(at % 1440)) && percent(chance, 70) {
                breaks.push(format!("{{ start = \"{}\", end = \"{}\" }}", clock(at), clock(ends)));
            }
            at = ends + chance.i64(20..240);
        }
        if !breaks.is_empty() {
            writeln!(toml, "breaks = [{}]", breaks.join(", ")).unwrap();
        }
    }
    // Keys of the top stand before the tables: the first table of the rest is [gateway].
    toml
}

/// What the counters show each second, and how they are configured.
struct Counted {
    points: String,
    machine: String,
    names: Vec<&'static str>,
    /// Raw values of each counter by second.
    shown: Vec<Vec<i64>>,
}

fn count(chance: &mut Rng, script: &Script, products: &Products) -> Counted {
    let names: &[&str] = match chance.u8(0..10) {
        0 if products.is_empty() => &[],
        0..3 => &["total"],
        3 | 4 => &["total", "reject"],
        5 | 6 => &["total", "good"],
        _ => &["good", "reject"],
    };
    let parts_per_cycle = if percent(chance, 15) { chance.i64(2..5) } else { 1 };
    let (ideal_ms, mut machine) = match chance.u8(0..10) {
        0 => (None, String::new()),
        1..4 => {
            let rate = pick(chance, &[7, 60, 90, 140]);
            (Some(60_000.0 / rate as f64), format!("ideal_rate = \"{rate}/min\"\n"))
        }
        _ => {
            let ms = chance.i64(400..30_000);
            (Some(ms as f64), format!("ideal_cycle = \"{ms}ms\"\n"))
        }
    };
    if parts_per_cycle > 1 {
        writeln!(machine, "parts_per_cycle = {parts_per_cycle}").unwrap();
    }
    let fastest_ms = products.values().filter_map(|(ms, _)| *ms).chain(ideal_ms).fold(f64::MAX, f64::min);
    if !products.is_empty() && fastest_ms < f64::MAX {
        writeln!(machine, "max_rate = \"{}/min\"", (6.0 * 60_000.0 / fastest_ms).ceil()).unwrap();
    }
    let is_slow = (1_500.0..f64::MAX).contains(&fastest_ms);
    let seconds = usize::try_from(script.length + 1).unwrap();
    let (mut total, mut reject) = (vec![0_i64; seconds], vec![0_i64; seconds]);
    let is_quiet = |at: i64| script.orders.range(at - 2..at + 3).any(|_| true);
    let (mut made, mut scrap, mut due) = (0_i64, 0_i64, 0.0_f64);
    let mut runs = script.runs_first;
    let mut edges = script.edges.iter().copied().peekable();
    let mut speed = chance.f64() * 0.8 + 0.5;
    for second in 0..script.length {
        if edges.next_if_eq(&second).is_some() {
            runs = !runs;
            speed = chance.f64() * 0.8 + 0.5;
        }
        let ends = edges.peek().copied().unwrap_or(script.length);
        if runs && second + 2 < ends && !is_quiet(second) {
            let order = script.orders.range(..=second).next_back().and_then(|(_, order)| products.get(order));
            let cycle_ms = order.and_then(|(ms, _)| *ms).or(ideal_ms).unwrap_or(2_000.0);
            due += speed * 1_000.0 / cycle_ms / parts_per_cycle as f64;
            while due >= 1.0 {
                due -= 1.0;
                made += 1;
                scrap += i64::from(chance.u8(0..100) < 4);
            }
        }
        let next = usize::try_from(second + 1).unwrap();
        (total[next], reject[next]) = (made, scrap);
    }
    let mut counted = Counted { points: String::new(), machine, names: names.to_vec(), shown: Vec::new() };
    // The PLC's counters are set to zero by hand while the machine stands.
    let reset = script.stops().into_iter().find(|(from, to)| {
        to - from > 60 && *from > 60 && script.gaps.iter().all(|(begin, end)| to + 60 < *begin || *end + 60 < *from)
    });
    let reset = reset.filter(|_| percent(chance, 15)).map(|(from, _)| usize::try_from(from + 20).unwrap());
    for (index, name) in names.iter().enumerate() {
        let of = |second: usize| match *name {
            "total" => total[second],
            "good" => total[second] - reject[second],
            _ => reject[second],
        };
        let (form, modulus) = match chance.u8(0..4) {
            0 if is_slow => ("", 65_536),
            1 => (", type = \"u32\", modulus = 2147483647", 2_147_483_647),
            _ => (", type = \"u32\"", 4_294_967_296),
        };
        let base = match reset {
            Some(at) => modulus / 3 - of(at),
            None if chance.bool() => modulus - chance.i64(1..3_000),
            None => chance.i64(0..modulus / 2),
        };
        let raw = |second| match reset {
            Some(at) if second >= at => of(second) - of(at),
            _ => (base + of(second)).rem_euclid(modulus),
        };
        writeln!(counted.points, "{name} = {{ holding = {}{form} }}", 100 + 2 * index).unwrap();
        writeln!(counted.machine, "{name} = \"plc.{name}\"").unwrap();
        counted.shown.push((0..seconds).map(raw).collect());
    }
    counted
}

/// A row at each change, after each debounce, at each heartbeat.
fn rows(chance: &mut Rng, script: &Script, counted: &Counted, with_codes: bool, with_orders: bool) -> String {
    let mut times: BTreeSet<i64> = [0, script.length].into();
    let mut at = 0;
    while at < script.length {
        times.insert(at);
        at += chance.i64(script.heartbeat / 2..=script.heartbeat).max(1);
    }
    for edge in &script.edges {
        times.extend([edge - 1, *edge, edge + script.debounce, edge + script.debounce + 1]);
    }
    times.extend(script.faults.keys().chain(script.codes.keys()));
    for at in script.orders.keys() {
        times.extend([at - 1, *at, at + 1]);
    }
    times.extend(script.gaps.iter().flat_map(|(from, to)| [*from, *to]));
    let mut csv = "time,plc.run,plc.fault".to_owned();
    csv += if with_codes { ",plc.state" } else { "" };
    csv += if with_orders { ",plc.order" } else { "" };
    for name in &counted.names {
        write!(csv, ",plc.{name}").unwrap();
    }
    csv.push('\n');
    let columns = 2 + usize::from(with_codes) + usize::from(with_orders) + counted.names.len();
    let is_sparse = percent(chance, 20);
    let edge = script.edges.first().copied().unwrap_or(16);
    let first_change = script.orders.keys().find(|at| **at > 0).copied().unwrap_or(edge).min(edge);
    let blind_until = if percent(chance, 10) { chance.i64(1..(first_change - 7).max(2)) } else { 0 };
    times.insert(blind_until);
    let gap_kinds: Vec<u8> = script.gaps.iter().map(|_| chance.u8(0..3)).collect();
    for (at, next) in times.iter().zip(times.iter().skip(1).map(Some).chain([None])) {
        if *at < 0 || *at > script.length {
            continue;
        }
        let at_ms = (script.begins_at + at) * 1_000;
        let gap = script.gaps.iter().position(|(from, to)| (from + 1..*to).contains(at));
        if let Some(gap) = gap {
            // Nothing at all, rows without a reading, or failed reads; where only those make a gap, always those.
            let cell = match gap_kinds[gap] {
                _ if script.no_data.is_none() => "!",
                0 => continue,
                1 => "",
                _ => "!",
            };
            writeln!(csv, "{at_ms}{}", format!(",{cell}").repeat(columns)).unwrap();
            continue;
        }
        let latest = |steps: &BTreeMap<i64, i64>| *steps.range(..=at).next_back().unwrap().1;
        let runs = script.runs_first ^ (script.edges.partition_point(|edge| edge <= at) % 2 == 1);
        if (1..blind_until).contains(at) {
            writeln!(csv, "{at_ms}{}", ",".repeat(columns)).unwrap();
            continue;
        }
        let run = if *at < blind_until { String::new() } else { u8::from(runs).to_string() };
        write!(csv, "{at_ms},{run},{}", latest(&script.faults)).unwrap();
        if with_codes {
            write!(csv, ",{}", latest(&script.codes)).unwrap();
        }
        if with_orders {
            let order = script.orders.range(..=at).next_back().unwrap().1;
            write!(csv, ",{}", if order.is_empty() { " " } else { order }).unwrap();
        }
        // Counters may be read more slowly, but not where something changes in the next second.
        let is_bound = script.gaps.iter().any(|(from, to)| from == at || to == at);
        let skips = is_sparse && !is_bound && *at > 0 && next.is_some_and(|next| next - at > 1) && chance.bool();
        for shown in &counted.shown {
            match skips {
                true => csv.push(','),
                false => write!(csv, ",{}", shown[usize::try_from(*at).unwrap()]).unwrap(),
            }
        }
        csv.push('\n');
    }
    csv
}
