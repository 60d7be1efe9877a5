//! Random lives of counters: a simulated press knows how many parts it made; what is counted is that, or its bounds hold it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use andon::{
    books::{Book, Counting, window::window},
    config::load_text,
    event::{Event, Ideal, Stamp, part::Counts},
    shop::{Input, Known, Marks, Rules, Shop},
    signal::{
        Observation, PointIx, Reading, Value,
        counter::{Counter, CounterRule, What},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// The splitmix64 sequence: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `from` to `to`, both included.
    fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from((to - from).max(0)).unwrap() + 1;
        from + i64::try_from(self.next() % width).unwrap()
    }

    fn once_in(&mut self, times: i64) -> bool {
        self.between(1, times) == 1
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.between(0, i64::try_from(list.len()).unwrap() - 1)).unwrap()]
    }
}

/// Modulus, whether the register is signed, and what its low word holds if it is two registers.
const KINDS: [(i64, bool, Option<i64>); 10] = [
    (1 << 16, false, None),
    (1 << 16, true, None),
    (10_000, false, None),
    (1 << 32, false, Some(1 << 16)),
    (1 << 32, true, Some(1 << 16)),
    (100_000_000, false, Some(10_000)),
    (2_147_483_647, false, Some(1 << 16)),
    (i64::MAX, false, Some(1 << 16)),
    (1_000, false, None),
    (50_000, false, None),
];

/// A press and the counter of its PLC, as they really are.
struct Press {
    modulus: i64,
    is_signed: bool,
    low_word: Option<i64>,
    /// Some PLCs tell when their counter starts at 0 again.
    flag: Option<bool>,
    cycle_ms: i64,
    next_part: i64,
    made: i64,
    value: i64,
    /// Value before and after the low word was last carried over, since the last look.
    carry: Option<(i64, i64)>,
}

impl Press {
    fn run_until(&mut self, at: i64, dice: &mut Dice) {
        while self.next_part <= at {
            let old = self.value;
            self.made += 1;
            self.value += 1;
            if self.value == self.modulus {
                self.value = 0;
                self.flag = self.flag.map(|_| true);
            }
            if self.low_word.is_some_and(|low| self.value % low == 0) {
                self.carry = Some((old, self.value));
            }
            let stands = if dice.once_in(100) { dice.between(1, 40) * self.cycle_ms } else { 0 };
            self.next_part += dice.between(self.cycle_ms / 2 + 1, self.cycle_ms * 2) + stands;
        }
    }

    fn raw(&self, value: i64) -> i64 {
        if self.is_signed && value >= self.modulus / 2 { value - self.modulus } else { value }
    }
}

/// What the gateway reads, and what is true then.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: i64,
    raw: i64,
    flag: Option<bool>,
    made: i64,
    is_torn: bool,
}

/// One life of a counter.
#[derive(Debug)]
struct Life {
    modulus: i64,
    max_rate: Option<Ideal>,
    gap_ms: i64,
    poll_ms: i64,
    looks: Vec<Look>,
    /// Somebody set or reset it, or a read was torn.
    is_disturbed: bool,
}

impl Life {
    fn about(&self) -> String {
        let Life { modulus, max_rate, gap_ms, poll_ms, .. } = self;
        format!("modulus {modulus}, {max_rate:?}, gap {gap_ms} ms, poll {poll_ms} ms")
    }

    /// The most that the machine can be believed to make in a time, by the rule of the design, with room to spare.
    fn most(&self, elapsed_ms: i64) -> i64 {
        match self.max_rate {
            Some(rate) => (elapsed_ms * rate.parts / rate.ms + 1).max(2),
            None if elapsed_ms > self.gap_ms => self.modulus / 2,
            None => (self.modulus / 2).min(5_000),
        }
    }

    /// `None`: something came about that leaves no trace at all (a reset, and then just as many parts as before), and that
    /// nobody could see.
    fn live(dice: &mut Dice, looks: usize) -> Option<Life> {
        let (modulus, is_signed, low_word) = dice.of(&KINDS);
        let cycle_ms = dice.of(&[50, 86, 400, 1_000, 6_000, 20_000]);
        let poll_ms = dice.of(&[100, 200, 500, 1_000, 5_000, 10_000]);
        let max_rate = (modulus < 10_000 || !dice.once_in(6)).then(|| Ideal::new(cycle_ms, 4).unwrap());
        let start = match dice.between(0, 3) {
            0 => modulus - dice.between(1, 300).min(modulus / 2),
            1 => dice.between(0, 50),
            2 => low_word.map_or(modulus / 3, |low| low - dice.between(1, 60)),
            _ => dice.between(0, modulus - 1),
        };
        let mut press = Press {
            modulus,
            is_signed,
            low_word,
            flag: dice.once_in(2).then(|| dice.once_in(4)),
            cycle_ms,
            next_part: dice.between(1, cycle_ms),
            made: 0,
            value: start,
            carry: None,
        };
        let gap_ms = dice.of(&[5_000, 30_000]).max(3 * poll_ms);
        let mut life = Life { modulus, max_rate, gap_ms, poll_ms, looks: Vec::new(), is_disturbed: false };
        let flag_first = dice.once_in(2);
        let (has_gaps, is_touched) = dice.of(&[(false, false), (true, false), (false, true), (true, true)]);
        let (mut at, mut quiet_looks, mut torn_left) = (1_000, 0, 0);
        while life.looks.len() < looks {
            let is_end = life.looks.len() + 14 > looks;
            let may_act = quiet_looks > 10 && !is_end && torn_left == 0;
            let mut step_ms = poll_ms;
            let is_gap = may_act && has_gaps && dice.once_in(40);
            if is_gap {
                step_ms = life.gap_ms + dice.between(1, 3_000) * dice.of(&[1, cycle_ms]);
            } else if may_act && dice.once_in(20) {
                step_ms *= dice.between(2, 3);
            }
            let late_ms = (poll_ms / 10).min(15);
            let next = at + step_ms;
            let mut disturbed = false;
            if is_gap {
                disturbed = is_touched && life.disturb_in_gap(&mut press, dice, at, next - late_ms)?;
            } else if may_act && is_touched && dice.once_in(25) {
                press.run_until(dice.between(at, next - late_ms), dice);
                disturbed = life.disturb(&mut press, dice);
            }
            let mut reads = [next - dice.between(0, late_ms), next - dice.between(0, late_ms)];
            reads.sort_unstable();
            press.run_until(reads[0], dice);
            let mut flag = press.flag;
            let (mut value, mut made, carry) = (press.value, press.made, press.carry.take());
            press.run_until(reads[1], dice);
            match flag_first {
                true => (value, made) = (press.value, press.made),
                false => flag = press.flag,
            }
            let shows_the_same = |last: &Look| last.raw == press.raw(value) && last.made != made;
            if is_gap && life.looks.last().is_some_and(shows_the_same) {
                return None;
            }
            let mut raw = press.raw(value);
            let mut is_torn = false;
            if torn_left > 0 {
                (raw, is_torn) = (life.looks.last().unwrap().raw, true);
                torn_left -= 1;
            } else if let (Some(low), Some((old, _))) = (low_word, carry)
                && may_act
                && step_ms == poll_ms
                && !disturbed
                && life.most(12 * poll_ms) < low - 200
            {
                let (high, low) = if dice.once_in(2) { (value, old) } else { (old, value) }.map_words(low);
                let torn = high + low;
                if (torn - value).abs() > 200 {
                    (raw, is_torn) = (press.raw(torn), true);
                    torn_left = dice.between(0, 2);
                    life.is_disturbed = true;
                }
            }
            quiet_looks = if is_gap || disturbed || is_torn { 0 } else { quiet_looks + 1 };
            life.is_disturbed |= disturbed;
            at = next;
            life.looks.push(Look { at, raw, flag, made, is_torn });
        }
        Some(life)
    }

    /// Somebody resets or sets the counter between two looks; whether it was done: only where it shows.
    fn disturb(&self, press: &mut Press, dice: &mut Dice) -> bool {
        let margin = self.most(12 * self.poll_ms.min(self.gap_ms / 12)).max(self.most(3 * self.poll_ms) * 4) + 2;
        let (value, end) = (press.value, self.modulus - margin);
        if dice.once_in(2) {
            let is_told = press.flag == Some(false);
            let shows = value > margin && (is_told || value < end);
            if shows {
                press.value = 0;
            }
            return shows;
        }
        let to = dice.between(0, self.modulus - 1);
        let jump = (i128::from(to) - i128::from(value)).rem_euclid(i128::from(self.modulus));
        let is_far = i128::from(margin) < jump && jump < i128::from(end);
        let shows = is_far && (margin..end).contains(&to) && value < end;
        if shows {
            press.value = to;
        }
        shows
    }

    /// Nobody looks: it may be reset, more than once, or set; the flag may be cleared.
    fn disturb_in_gap(&self, press: &mut Press, dice: &mut Dice, from: i64, to: i64) -> Option<bool> {
        let before = press.value;
        let resets = dice.between(-1, 2).max(0);
        let mut moments: Vec<i64> = (0..resets).map(|_| dice.between(from, to)).collect();
        moments.sort_unstable();
        for moment in moments {
            press.run_until(moment, dice);
            press.value = 0;
            if dice.once_in(2) {
                press.flag = press.flag.map(|_| false);
            }
        }
        if resets > 0 {
            press.run_until(to, dice);
            // Without a rate a rise is a rise.
            return (self.max_rate.is_some() || press.value < before).then_some(true);
        }
        press.run_until(dice.between(from, to), dice);
        if dice.once_in(4) {
            press.flag = press.flag.map(|_| false);
            return Some(true);
        }
        if dice.once_in(3) {
            let margin = self.most(to - from + 13 * self.poll_ms).saturating_mul(2).saturating_add(2);
            let (end, value) = (self.modulus - margin, press.value);
            let target = dice.between(0, self.modulus - 1);
            let jump = (i128::from(target) - i128::from(before)).rem_euclid(i128::from(self.modulus));
            let is_far = i128::from(margin) < jump && jump < i128::from(end);
            if is_far && (margin..end).contains(&target) && before < end && value >= before {
                press.value = target;
                return Some(true);
            }
        }
        Some(false)
    }
}

trait Words {
    /// The high word of the first, the low word of the second.
    fn map_words(self, low: i64) -> (i64, i64);
}

impl Words for (i64, i64) {
    fn map_words(self, low: i64) -> (i64, i64) {
        (self.0 / low * low, self.1 % low)
    }
}

#[test]
fn whatever_happens_to_a_counter_its_parts_are_exact_or_bounded() {
    const LIVES: u64 = 10_000;
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut say = |what: &'static str| *seen.entry(what).or_default() += 1;
    for seed in 0..LIVES {
        let mut dice = Dice(seed);
        let Some(life) = Life::live(&mut dice, 120) else {
            say("left no trace");
            continue;
        };
        let rule = CounterRule { modulus: life.modulus, max_rate: life.max_rate, gap_ms: life.gap_ms };
        let mut counter = Counter::new(rule, None);
        // Made at the last look that was believed; of a torn one nothing is asked until the true value is back.
        let (mut believed, mut torn_cycles) = (life.looks[0].made, None);
        let (mut counted, mut least, mut most) = (0, 0, Some(0));
        for (index, look) in life.looks.iter().enumerate() {
            let place = || {
                format!(
                    "seed {seed}, look {index}: {:?}\n{}",
                    &life.looks[index.saturating_sub(5)..=index],
                    life.about()
                )
            };
            counter.see_flag(look.flag, Stamp::from_ms(look.at));
            let credit = counter.see(look.raw, Stamp::from_ms(look.at));
            (counted, least) = (counted + credit.cycles, least + credit.least);
            most = most.zip(credit.most).map(|(most, more)| most + more);
            match credit.what {
                What::First | What::Doubt => {
                    assert_eq!(credit.cycles, 0);
                    continue;
                }
                What::TooFast { .. } => panic!("too fast: {}", place()),
                What::Counted => {}
                What::Reset { .. } => say("reset"),
                What::Adjusted { .. } => say("set"),
                What::Returned { .. } => say("returned"),
            }
            assert!(
                credit.what == What::Counted || life.is_disturbed,
                "nothing happened to it: {credit:?} {}",
                place()
            );
            if look.is_torn {
                torn_cycles = Some(torn_cycles.unwrap_or(0) + credit.cycles);
                continue;
            }
            let truth = look.made - believed;
            believed = look.made;
            if let Some(cycles) = torn_cycles.take() {
                assert_eq!(cycles + credit.cycles, truth, "after a torn read {credit:?} {}", place());
                continue;
            }
            let holds = credit.least <= truth && credit.most.is_none_or(|most| truth <= most);
            assert!(holds && credit.least <= credit.cycles, "{truth} made, {credit:?} {}", place());
            if credit.is_exact() {
                assert_eq!(credit.cycles, truth, "{}", place());
                say("exact look");
            } else {
                say("bounded look");
            }
        }
        let truth = life.looks.last().unwrap().made - life.looks[0].made;
        assert!(least <= truth && most.is_none_or(|most| truth <= most), "seed {seed}: {least} {truth} {most:?}");
        if most == Some(least) {
            assert_eq!(counted, truth, "seed {seed}");
            say("exact life");
        } else {
            say("bounded life");
        }
        let wrapped = life
            .looks
            .windows(2)
            .any(|pair| pair[1].raw.rem_euclid(life.modulus) < pair[0].raw.rem_euclid(life.modulus));
        if wrapped && !life.is_disturbed {
            say("rolled over");
        }
    }
    println!("{seen:?}");
    let at_least = |what: &str, times: u64| assert!(seen.get(what).is_some_and(|n| *n >= times), "{what}: {seen:?}");
    at_least("exact life", LIVES / 4);
    at_least("bounded life", LIVES / 10);
    for what in ["reset", "set", "rolled over"] {
        at_least(what, LIVES / 20);
    }
    at_least("returned", 50);
    assert!(seen["left no trace"] < LIVES / 20, "{seen:?}");
    assert!(seen["bounded look"] * 20 < seen["exact look"], "bounds are rare: {seen:?}");
}

/// A machine whose run signal holds and whose parts one counter counts, as a whole gateway sees it.
const GATEWAY: &str = r#"
[gateway]
id = "gw"
path = "acme/hall"
timezone = "UTC"
[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
poll = "{poll}ms"
[plc.points]
run = { coil = 0 }
ovf = { coil = 1 }
total = { holding = 0, type = "u64", modulus = {modulus}{overflow} }
[[machine]]
id = "press"
line = "line"
run = "plc.run"
total = "plc.total"
ideal_cycle = "{cycle}ms"
no_data = "{gap}ms"
"#;

#[test]
fn windows_count_what_was_made_or_bound_it() {
    const LIVES: u64 = 200;
    const DAY_MS: i64 = 86_400_000;
    let (mut exact, mut bounded) = (0, 0);
    for seed in 0..LIVES {
        let mut dice = Dice(seed ^ 0x5EED);
        let Some(life) = Life::live(&mut dice, 120) else { continue };
        let Some(rate) = life.max_rate else { continue };
        let has_flag = life.looks[0].flag.is_some();
        let text = GATEWAY
            .replace("{poll}", &life.poll_ms.to_string())
            .replace("{modulus}", &life.modulus.to_string())
            .replace("{overflow}", if has_flag { ", overflow = \"ovf\"" } else { "" })
            .replace("{cycle}", &rate.ms.to_string())
            .replace("{gap}", &life.gap_ms.to_string());
        let plan = load_text("andon.toml", &text).unwrap_or_else(|faults| panic!("{}", faults[0].render())).0;
        let point = |name: &str| PointIx(plan.points.iter().position(|point| point.name == name).unwrap());
        let (run, ovf, total) = (point("plc.run"), point("plc.ovf"), point("plc.total"));
        let mut shop = Shop::open(Arc::new(plan.rules.clone()), Known::default(), &Marks::default());
        let mut book = Book::default();
        let start = 1_795_413_600_000;
        for look in &life.looks {
            let at = Stamp::from_ms(start + look.at);
            let mut readings = vec![
                (run, Reading::Good(Value::Bool(true))),
                (total, Reading::Good(Value::Int(look.raw.rem_euclid(life.modulus)))),
            ];
            readings.extend(look.flag.map(|flag| (ovf, Reading::Good(Value::Bool(flag)))));
            for told in shop.turn(Input::Observed(&Observation { at, readings }), at).told {
                book.apply(&told.event);
            }
        }
        let latest = *shop.machines().next().unwrap().counts();
        let as_of = shop.now().plus(1);
        let by = plan.rules.measure(&plan.rules.machines[0], Counting::Read, as_of, Some(&latest));
        let shown = |from: i64, to: i64| {
            let before = |at: i64| {
                life.looks.iter().rev().find(|look| look.at < at).map_or(life.looks[0].made, |look| look.made)
            };
            before(to) - before(from)
        };
        // The whole, and the halves around any look that is far from everything that happens.
        let end = life.looks.last().unwrap().at + 1;
        let mut windows = vec![(0, DAY_MS.max(end))];
        let hour_ms = 3_600_000;
        for hour in 1..=end / hour_ms {
            let edge = hour * hour_ms;
            let around = life.looks.windows(9).find(|looks| looks[4].at < edge && edge <= looks[5].at);
            let is_calm = around.is_some_and(|looks| {
                looks.windows(2).all(|pair| {
                    pair[1].at - pair[0].at == life.poll_ms
                        && (0..1_000).contains(&(pair[1].raw - pair[0].raw))
                        && !pair[1].is_torn
                })
            });
            if is_calm {
                windows.extend([(0, edge), (edge, DAY_MS.max(end))]);
            }
        }
        for (from, to) in windows {
            let truth = shown(from, to);
            let window = window(&book, Stamp::from_ms(start + from), Stamp::from_ms(start + to), &by).unwrap();
            match window.parts_bounds {
                None => {
                    assert_eq!(window.counts.total, truth, "seed {seed}, {from} to {to}: {}", life.about());
                    exact += 1;
                }
                Some(bounds) => {
                    let holds = bounds.min <= truth && bounds.max.is_none_or(|max| truth <= max);
                    assert!(holds, "seed {seed}, {from} to {to}: {truth} made, {bounds:?}: {}", life.about());
                    bounded += 1;
                }
            }
        }
    }
    println!("{exact} exact, {bounded} bounded");
    assert!(exact > 50 && bounded > 80, "{exact} exact, {bounded} bounded");
}

/// A gateway with one machine, whose run signal holds, and these counters; one look a second.
struct Hall {
    shop: Shop,
    rules: Arc<Rules>,
    points: Vec<String>,
    told: Vec<Event>,
    second: i64,
}

impl Hall {
    fn with(counters: &[&str]) -> Hall {
        let points: String = (0..).zip(counters).map(|(ix, name)| format!("{name} = {{ holding = {ix} }}\n")).collect();
        Hall::of(&points, counters)
    }

    fn of(points: &str, counters: &[&str]) -> Hall {
        let roles: String = counters.iter().map(|name| format!("{name} = \"plc.{name}\"\n")).collect();
        let text = GATEWAY
            .replace("{poll}", "1000")
            .replace("{gap}", "5000")
            .replace("{cycle}", "1000")
            .replace("total = { holding = 0, type = \"u64\", modulus = {modulus}{overflow} }\n", points)
            .replace("total = \"plc.total\"\n", &roles);
        let plan = load_text("andon.toml", &text).unwrap_or_else(|faults| panic!("{}", faults[0].render())).0;
        let rules = Arc::new(plan.rules.clone());
        let shop = Shop::open(Arc::clone(&rules), Known::default(), &Marks::default());
        let points = plan.points.iter().map(|point| point.name.clone()).collect();
        Hall { shop, rules, points, told: Vec::new(), second: 0 }
    }

    /// A look at points, a second after the last.
    fn look(&mut self, values: &[(&str, i64)]) -> Counts {
        let at = Stamp::from_ms(1_795_413_600_000 + self.second * 1000);
        self.second += 1;
        let place = |name: &str| PointIx(self.points.iter().position(|point| point[4..] == *name).unwrap());
        let values = values.iter().chain(&[("run", 1)]);
        let readings = values.map(|(name, value)| (place(name), Reading::Good(Value::Int(*value)))).collect();
        let turn = self.shop.turn(Input::Observed(&Observation { at, readings }), at);
        self.told.extend(turn.told.into_iter().map(|told| told.event));
        *self.shop.machines().next().unwrap().counts()
    }

    fn notices(&self) -> Vec<&str> {
        self.told
            .iter()
            .filter_map(|event| if let Event::Notice(notice) = event { Some(notice.code.as_str()) } else { None })
            .collect()
    }
}

#[test]
fn any_two_counters_give_the_same_parts_and_no_count_ever_falls() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        // The counter of the sorted parts moves a look or two after that of all.
        let lag = usize::try_from(dice.between(0, 2)).unwrap();
        let mut made = vec![(0, 0)];
        for _ in 0..60 {
            let (good, reject) = *made.last().unwrap();
            made.push((good + dice.between(0, 2), reject + i64::from(dice.once_in(4))));
        }
        made.extend([*made.last().unwrap(); 3]);
        let (good, reject) = *made.last().unwrap();
        for pair in [["total", "good"], ["total", "reject"], ["good", "reject"]] {
            let mut hall = Hall::with(&pair);
            let mut before = Counts::default();
            for look in 0..made.len() {
                let late = made[look.saturating_sub(lag)];
                let raw = |name: &str| match name {
                    "total" => made[look].0 + made[look].1,
                    "good" => late.0,
                    _ => late.1,
                };
                let counts = hall.look(&pair.map(|name| (name, 60_000 + raw(name))));
                assert_eq!(counts.total, counts.good + counts.reject, "seed {seed} {pair:?}");
                let falls = counts.total < before.total || counts.good < before.good || counts.reject < before.reject;
                assert!(!falls, "seed {seed} {pair:?}: {before:?} {counts:?}");
                before = counts;
            }
            let total = good + reject;
            assert_eq!(before.total, total, "seed {seed} {pair:?}");
            // What a late counter let pass for the other kind stays that, until as many more have come.
            let late = if pair[0] == "total" { i64::try_from(lag).unwrap() * 3 } else { 0 };
            assert!((before.reject - reject).abs() <= late, "seed {seed} {pair:?}: {before:?}, {reject} rejects");
            assert_eq!(before.rework, 0);
        }
        let mut hall = Hall::with(&["total"]);
        let last = made.iter().fold(Counts::default(), |_, (good, reject)| hall.look(&[("total", good + reject)]));
        assert_eq!((last.total, last.good, last.reject), (good + reject, good + reject, 0), "seed {seed}");
    }
}

#[test]
fn counters_that_contradict_each_other_are_said_after_ten_looks_and_the_derived_count_is_held() {
    let mut hall = Hall::with(&["total", "good"]);
    hall.look(&[("total", 500), ("good", 400)]);
    hall.look(&[("total", 503), ("good", 402)]);
    let held = hall.look(&[("total", 503), ("good", 404)]);
    assert_eq!((held.total, held.good, held.reject), (3, 2, 1), "a fourth good part of three");
    for _ in 0..9 {
        assert_eq!(hall.look(&[("total", 503), ("good", 404)]), held);
    }
    assert!(hall.notices().is_empty());
    for _ in 0..20 {
        assert_eq!(hall.look(&[("total", 503), ("good", 404)]), held);
    }
    assert_eq!(hall.notices(), ["counters_disagree"]);
    let made_good = hall.look(&[("total", 506), ("good", 405)]);
    assert_eq!((made_good.total, made_good.good, made_good.reject), (6, 5, 1));
}

#[test]
fn a_crash_between_a_mark_and_an_event_makes_no_false_reject() {
    let mut hall = Hall::with(&["total", "good"]);
    hall.look(&[("total", 500), ("good", 400)]);
    hall.look(&[("total", 501), ("good", 401)]);
    let marks = hall.shop.marks();
    hall.look(&[("total", 501), ("good", 402)]);
    // An hour ends: the counts are told while the good counter is a part ahead.
    let edge = hall.shop.now().plus(3_600_000);
    let told = hall.shop.turn(Input::Tick, edge).told;
    assert!(!told.is_empty());
    hall.shop = Shop::open(Arc::clone(&hall.rules), hall.shop.known().clone(), &marks);
    hall.second += 3_600;
    let counts = hall.look(&[("total", 502), ("good", 402)]);
    assert_eq!((counts.total, counts.good, counts.reject), (2, 2, 0));
}

#[test]
fn an_overflow_flag_tells_a_rollover_from_a_reset() {
    let points = "total = { holding = 0, type = \"u16\", overflow = \"full\" }\nfull = { coil = 9 }\n";
    let falls = |flag: i64| {
        let mut hall = Hall::of(points, &["total"]);
        hall.look(&[("total", 65_534), ("full", 0)]);
        hall.look(&[("total", 65_535), ("full", 0)]);
        hall.look(&[("total", 1), ("full", flag)]);
        let total = hall.look(&[("total", 2), ("full", flag)]).total;
        (total, hall.notices().join(" "))
    };
    assert_eq!(falls(1), (4, String::new()));
    assert_eq!(falls(0), (3, "counter_reset".to_owned()));
}

#[test]
fn a_counter_faster_than_its_rate_is_said_once() {
    let mut hall = Hall::with(&["total"]);
    let last = (0..60).map(|look| hall.look(&[("total", 1_000 + look * 50)])).last().unwrap();
    assert_eq!((last.total, hall.notices()), (0, vec!["counter_too_fast"]));
}

#[test]
fn a_reset_in_a_gap_is_told_with_bounds() {
    let mut hall = Hall::with(&["total"]);
    hall.look(&[("total", 5_000)]);
    hall.look(&[("total", 5_001)]);
    hall.second += 99;
    hall.look(&[("total", 40)]);
    hall.look(&[("total", 41)]);
    let bounds = hall.told.iter().find_map(|event| match event {
        Event::Part(andon::event::part::Event::Counted(counted)) => {
            counted.bounds.map(|bounds| (counted.counts.total, bounds))
        }
        _ => None,
    });
    let (total, bounds) = bounds.unwrap();
    // One before the gap; 4 a second in 100 s, and one at the edge; one after.
    assert_eq!((total, bounds.min, bounds.max), (42, 42, Some(1 + 401 + 1)));
}
