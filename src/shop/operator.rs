//! Who logs on and off in, who works at a machine out: the ledger of operators.

use super::{
    Desk,
    correction::Past,
    known::Machine,
    order::{self, Scene},
    rules::MachineRules,
    statement,
};
use crate::event::{
    Event, Stamp,
    command::{Command, Refusal, Subject},
    operator::{self, Action, Crew, Wish},
};

/// Most people who are logged on at one machine at once.
const CREW: usize = 32;

/// Decides what somebody asks for.
pub fn command(
    desk: &mut Desk<'_>,
    rules: &MachineRules,
    scene: Scene<'_>,
    (command, wish): (&Command, &Wish),
    past: Option<&Past>,
) -> Result<Subject, Refusal> {
    let empty = Machine::default();
    let machine = desk.known.machines.get(&rules.id).unwrap_or(&empty);
    let (mut page, stated) = order::page(machine, past);
    let at = command.at.min(desk.now);
    if at < page.since {
        let text = format!("nothing is remembered of {}", desk.known.wall.of(at));
        return Err(Refusal::new("beyond_journal", text));
    }
    let is_on = |crew: &[String]| crew.contains(&wish.operator);
    let then = page.crew_at(at);
    match wish.action {
        Action::LogOn if is_on(then) => return Err(Refusal::new("logged_on", "this person is logged on".to_owned())),
        Action::LogOn if then.len() >= CREW => {
            return Err(Refusal::new("too_many_operators", format!("{CREW} people are logged on: no more are taken")));
        }
        Action::LogOff if !is_on(then) => {
            return Err(Refusal::new("not_logged_on", "this person is not logged on".to_owned()));
        }
        Action::LogOn | Action::LogOff => {}
    }
    let mut crews = vec![Crew { from: at, operators: then.to_vec() }];
    crews.extend(page.crews.iter().filter(|crew| crew.from > at).cloned());
    // Until this person is known to have come, or to have gone.
    let is_settled = |crew: &Crew| is_on(&crew.operators) == (wish.action == Action::LogOn);
    let until = crews.iter().skip(1).find(|crew| is_settled(crew)).map_or(Stamp::MAX, |crew| crew.from);
    for crew in crews.iter_mut().filter(|crew| crew.from < until) {
        crew.operators.retain(|operator| *operator != wish.operator);
        if wish.action == Action::LogOn {
            crew.operators.push(wish.operator.clone());
        }
    }
    crews.dedup_by(|next, last| next.operators == last.operators);
    let event = Event::Operator(operator::Event {
        machine: rules.id.clone(),
        at,
        decided: desk.now,
        by: command.by.clone(),
        operator: wish.operator.clone(),
        action: wish.action,
        crews,
    });
    page.apply(&event);
    let amended = order::amended(desk, rules, &mut page, (at, until), command);
    desk.tell(event);
    let subject = desk.told.last().map(|told| Subject { id: told.id.to_string(), revision: 1 });
    order::tell_amended(desk, rules, scene.around, amended);
    if at < desk.now {
        statement::review_page(desk, rules, (&page, &stated), (scene.counting, &scene.around.counts), at);
    }
    Ok(subject.unwrap_or(Subject { id: rules.id.clone(), revision: 1 }))
}
