//! Looks in, out what an integrator would otherwise look for an hour: a wrong word order, an address off by one, the other table.

use super::picture::number;
use crate::{
    io::plc::{
        Error, Settings,
        probe::{Look, Probe},
    },
    signal::{
        Point,
        decode::decode,
        notation,
        orders::meant_otherwise,
        point::{Area, Reading},
    },
};

const NO_SUCH_ADDRESS: u8 = 0x02;

/// One hint for each point whose value makes no sense in its order but does in another.
pub(super) fn orders(plc: &Settings, looks: &[Look]) -> Vec<String> {
    let points = plc.points.iter().map(|(_, point)| point);
    points.zip(looks).filter_map(|(point, look)| order(point, look.outcome.as_ref().ok()?)).collect()
}

fn order(point: &Point, registers: &[u16]) -> Option<String> {
    let others = meant_otherwise(point, registers);
    let (first, _) = others.first()?;
    let said = match decode(&Point { scale: 1.0, offset: 0.0, ..point.clone() }, registers) {
        Reading::Good(value) => format!("reads {}", number(&value, point.kind)),
        Reading::Bad(_) => format!("is no {}", notation::kind(point.kind)),
    };
    let others: Vec<String> = others
        .iter()
        .map(|(order, value)| format!("{} as {}", number(value, point.kind), notation::order(*order)))
        .collect();
    Some(format!(
        "{} {said} as {}, but {}: try order = \"{}\"",
        point.name,
        notation::order(point.order),
        others.join(", "),
        notation::order(*first),
    ))
}

/// A host that is there, but nobody who answers to this unit.
pub(super) fn unit(plc: &Settings, looks: &[Look]) -> Option<String> {
    let nobody = |look: &Look| {
        look.outcome
            .as_ref()
            .is_err_and(|why| matches!(**why, Error::NoReply { .. } | Error::Refused(_)) && why.is_silence())
    };
    (!looks.is_empty() && looks.iter().all(nobody)).then(|| {
        format!(
            "nobody answers to unit {} there: andon probe --plc {} --scan --range 0-0 finds who does",
            plc.unit, plc.id
        )
    })
}

/// Where the first of the points that have "no such address" might be instead: the neighbouring addresses and the other
/// table of its kind are asked, three reads at most.
pub(super) async fn elsewhere(probe: &mut Probe, plc: &Settings, looks: &[Look]) -> Option<String> {
    let is_refused =
        |look: &&Look| look.outcome.as_ref().is_err_and(|why| matches!(**why, Error::Refused(NO_SUCH_ADDRESS)));
    let place = looks.iter().position(|look| is_refused(&look))?;
    let point = &plc.points[place].1;
    let (area, address, count) = (point.area, point.address, point.kind.registers());
    let lower = address.checked_sub(1).map(|address| (area, address));
    let higher = address.checked_add(1).map(|address| (area, address));
    let mut there = Vec::new();
    for (area, address) in [lower, Some((other(area), address)), higher].into_iter().flatten() {
        if probe.read(area, address, count).await.is_ok() {
            there.push(format!("{} {address} ({})", area.word(), notation::reference(area, address)));
        }
    }
    let refused = looks.iter().filter(is_refused).count();
    let all = refused == looks.len();
    if !all && there.is_empty() {
        return None;
    }
    let whom = if all { format!("every point of {}", plc.id) } else { point.name.clone() };
    let answers = if there.is_empty() { String::new() } else { format!(", but {} answers", there.join(" and ")) };
    let (table, below) = (area.word(), address.saturating_sub(1));
    Some(format!(
        "{whom} was refused with 02, no such address{answers}. A manual that counts from 1 and says {address} means \
         {table} = {below}, which may be written ref = \"{}\"; andon probe --scan finds what is there",
        notation::reference(area, below),
    ))
}

/// The other table of the same width.
fn other(area: Area) -> Area {
    match area {
        Area::Coil => Area::Discrete,
        Area::Discrete => Area::Coil,
        Area::Holding => Area::Input,
        Area::Input => Area::Holding,
    }
}
