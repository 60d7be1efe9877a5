//! The PLC's word on what it makes in, orders that begin and end out: the ledger of orders.

use super::{Desk, rules::MachineRules, stop};
use crate::{
    books::{Counting, Measure, window},
    event::{
        Event, Stamp,
        cycle::Spell,
        order::{self, Change, Order},
        part::{Counts, Raw},
    },
};
use serde::{Deserialize, Serialize};

/// What a PLC says that it makes; without an order where both are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// The number of the order.
    pub order: Option<String>,
    /// The number of the product.
    pub product: Option<String>,
}

/// From `at` on it makes something else.
#[derive(Clone, Debug)]
pub struct Switch {
    /// What.
    pub to: Making,
    /// The first instant of it.
    pub at: Stamp,
    /// The counts of all parts that showed before.
    pub counts: Counts,
    /// The counters then.
    pub raw: Raw,
    /// Cycles that are not told yet.
    pub cycles: Vec<Spell>,
}

impl Making {
    /// The order as the rules know it; a product without an order is an order of its own name.
    fn order(&self, desk: &Desk<'_>) -> Option<Order> {
        let number = self.order.as_ref().or(self.product.as_ref())?;
        let is_known = |code: &&String| desk.rules.products.iter().any(|product| product.code == **code);
        let product = self.product.as_ref().or(self.order.as_ref().filter(is_known));
        let rule = product.and_then(|code| desk.rules.products.iter().find(|product| product.code == *code));
        Some(Order {
            order: number.clone(),
            product: product.cloned(),
            lot: None,
            ideal: rule.and_then(|product| product.ideal),
        })
    }
}

/// The PLC names another order: the one before ends, the next begins.
pub fn switch(desk: &mut Desk<'_>, rules: &MachineRules, around: &stop::Around, counting: Counting, switch: &Switch) {
    let next = switch.to.order(desk);
    let before = desk.known.machines.get(&rules.id).and_then(|machine| machine.order.clone());
    if before.as_ref().map(|(_, order)| order) == next.as_ref() {
        return;
    }
    let now = desk.now;
    let event = |change, order: Order, from, window| order::Event {
        machine: rules.id.clone(),
        change,
        at: switch.at,
        decided: now,
        by: "plc".to_owned(),
        order,
        from,
        window,
        counts: switch.counts,
        raw: switch.raw.clone(),
    };
    if let Some((from, order)) = before {
        let by = desk.rules.measure(rules, counting, switch.at, Some(&switch.counts));
        let by = Measure { cycles: &switch.cycles, ..by };
        let machine = desk.known.machines.get(&rules.id);
        let window = machine.and_then(|machine| window::window(&machine.book, from, switch.at, &by));
        let ended = event(Change::Ended, order, from, window.map(Box::new));
        desk.tell(Event::Order(Box::new(ended)));
    }
    if let Some(order) = next {
        let started = event(Change::Started, order, switch.at, None);
        desk.tell(Event::Order(Box::new(started)));
        stop::between_products(desk, rules, around, switch.at);
    }
}
