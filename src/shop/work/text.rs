//! A request in, the words that a technician reads out: a title, and a description in lines of plain text.

use crate::{
    event::{
        Stamp,
        stop::Class,
        work::{Occurrence, Problem, Request},
    },
    shop::{
        Rules,
        rules::{MachineRules, WorkRule},
    },
};

/// Most characters of a title: what the short text of a notification holds in the usual systems.
const TITLE: usize = 40;

/// Stops that a description lists.
const LISTED: usize = 5;

/// The machine and its problem.
pub(super) fn title(request: &Request) -> String {
    let mut text = format!("{}: {}", request.machine, request.text.split_whitespace().collect::<Vec<_>>().join(" "));
    if request.occurrences() > 1 && !matches!(request.problem, Problem::Meter(_)) {
        let times = format!(", {} times", request.occurrences());
        text = cut(&text, TITLE - times.chars().count()) + &times;
    }
    cut(&text, TITLE)
}

/// What, since when, how long, how often, what was lost, and which rule asks.
pub(super) fn description(rules: &Rules, machine: &MachineRules, request: &Request, now: Stamp) -> String {
    let clock = |at: Stamp| machine.calendar.local(machine.calendar.wall().of(at));
    let mut lines =
        vec![format!("Machine {} in {}/{}, asset {}", request.machine, rules.path, machine.line, request.asset)];
    lines.push(problem(request));
    if let Some(stop) = request.stops.last() {
        let lasted = span(stop.duration_ms);
        lines.push(match stop.ended_at {
            Some(ended) => {
                format!("Stood from {} to {}, {lasted} in planned hours", clock(stop.started_at), clock(ended))
            }
            None => format!("Stands since {}, {lasted} in planned hours by {}", clock(stop.started_at), clock(now)),
        });
        if let Some(downtime) = stop.downtime {
            lines.push(format!(
                "Downtime {}/{}, class {}, shift {}",
                stop.machine,
                downtime.number,
                class(stop.class),
                stop.shift
            ));
        }
        lines.extend(making(stop));
    }
    if request.occurrences() > 1 {
        lines.push(format!("It happened {} times; the last ones:", request.occurrences()));
        let listed = request.standing().collect::<Vec<_>>();
        let one = |stop: &&Occurrence| format!("- {} for {}", clock(stop.started_at), span(stop.duration_ms));
        lines.extend(listed.iter().rev().take(LISTED).map(one));
    }
    if let Some(parts) = request.lost_parts() {
        lines.push(format!("About {parts} parts lost at the ideal rate"));
    }
    if let Some(run_ms) = request.meters.run_ms {
        let cycles = request.meters.cycles.map_or(String::new(), |cycles| format!(", {cycles} cycles"));
        lines.push(format!("Meters: {} run hours{cycles}", run_ms / 3_600_000));
    }
    lines.extend(request.remarks.iter().map(|remark| format!("Remark: {}", remark.trim())));
    if let Some(by) = &request.by {
        lines.push(format!("Asked for by {by}"));
    }
    for name in &request.rules {
        let rule = rules.work.requests.iter().find(|rule| rule.name == *name);
        lines
            .push(rule.map_or_else(|| format!("Rule \"{name}\""), |rule| format!("Rule \"{name}\": {}", limits(rule))));
    }
    lines.join("\n")
}

fn problem(request: &Request) -> String {
    let mut text = match &request.problem {
        Problem::Reason(code) => format!("{} ({code})", request.text.trim()),
        Problem::Fault(_) | Problem::Asked(_) => request.text.trim().to_owned(),
        Problem::Unassigned if request.by.is_none() => "Stopped, nobody has said why".to_owned(),
        Problem::Unassigned => request.text.trim().to_owned(),
        Problem::Meter(_) => format!("Service is due: {}", request.text),
    };
    if let Some(fault) = request.fault.filter(|_| !matches!(request.problem, Problem::Fault(_))) {
        text += &format!(", fault {fault}");
    }
    if !request.other_faults.is_empty() {
        let others: Vec<String> = request.other_faults.iter().map(ToString::to_string).collect();
        text += &format!(", later also {}", others.join(", "));
    }
    format!("Problem: {text}")
}

fn making(stop: &Occurrence) -> Option<String> {
    let words = [("order", &stop.order), ("product", &stop.product), ("lot", &stop.lot)];
    let known = words.into_iter().filter_map(|(word, name)| Some(format!("{word} {}", name.as_ref()?)));
    let known: Vec<String> = known.collect();
    (!known.is_empty()).then(|| format!("Made then: {}", known.join(", ")))
}

fn limits(rule: &WorkRule) -> String {
    let mut limits = Vec::new();
    limits.extend(rule.after_ms.map(|after_ms| format!("a stop of {}", span(after_ms))));
    limits.extend(rule.times.map(|times| format!("{times} stops within {}", span(rule.within_ms))));
    limits.extend(rule.run_hours.map(|hours| format!("every {hours} run hours")));
    limits.extend(rule.cycles.map(|cycles| format!("every {cycles} cycles")));
    let of_class = rule.class.map_or(String::new(), |of| format!(", class {}", class(of)));
    format!("{}{of_class}", limits.join(" or "))
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Failure => "failure",
        Class::Operational => "operational",
        Class::Changeover => "changeover",
        Class::Planned => "planned",
        Class::External => "external",
        Class::Unassigned => "unassigned",
    }
}

/// `2 h 5 min`, `10 min`, `1 min 30 s`, `45 s`.
fn span(ms: i64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let parts = [(hours, "h"), (minutes, "min"), (if hours > 0 { 0 } else { seconds }, "s")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}")).collect();
    if parts.is_empty() { format!("{ms} ms") } else { parts.join(" ") }
}

/// At most so many characters; where some are cut off it says so.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}
