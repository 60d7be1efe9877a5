//! Receipts and committed events in, digests and replays out: the proof of delivery, wired.
//!
//! A digest travels in an envelope like a picture: it is told when all that it speaks of is on the disk. Receipts are kept
//! in memory each second and in the journal with the marks: one that is lost is sent again.

use super::{Envelope, Gateway, Passenger, replay::Replays};
use crate::{
    custody::{
        chain::{self, Link},
        digest::{Digest, Total, totals},
        receipt::{Receipts, Rule, Standing, Word},
    },
    event::Stamp,
    io::{
        journal::{Row, Start},
        mqtt::{self, Arrival},
    },
    shop::{Machine, Shop},
    wire::{payload, receipt},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use tracing::{error, info, warn};

/// What lies in memory of receipts: as fresh as a second.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InMemory {
    /// The broker's acknowledgement.
    pub acked: u64,
    /// By consumer.
    pub receipts: BTreeMap<String, Standing>,
}

impl InMemory {
    /// Of what was kept, on the disk and in memory, the later for each consumer.
    pub fn latest(disk: &BTreeMap<String, String>, memory: Option<&str>) -> InMemory {
        let mut latest: InMemory = memory.and_then(|memory| serde_json::from_str(memory).ok()).unwrap_or_default();
        for (consumer, body) in disk {
            match serde_json::from_str::<Standing>(body) {
                Ok(kept) => {
                    let standing = latest.receipts.entry(consumer.clone()).or_default();
                    // The same, but for what is only in memory.
                    if kept.since > standing.since || standing.held.is_empty() {
                        *standing = kept;
                    }
                }
                Err(error) => warn!(consumer, %error, "a receipt could not be read: the next one will do"),
            }
        }
        latest
    }
}

/// What the gateway knows of the delivery.
pub(super) struct Custody {
    pub(super) receipts: Receipts,
    pub(super) replays: Replays,
    /// The chain at the last event told.
    link: Link,
    first_available: u64,
    /// As told last.
    digest: Option<Digest>,
    /// As kept in memory last.
    kept: Option<String>,
}

impl Custody {
    pub(super) fn open(rules: Vec<Rule>, data_dir: &Path, start: &Start, memory: Option<&str>, now: Stamp) -> Custody {
        let latest = InMemory::latest(&start.receipts, memory);
        Custody {
            receipts: Receipts::open(rules, latest.receipts, now),
            replays: Replays::of(data_dir),
            link: start.link,
            first_available: start.first_available,
            digest: None,
            kept: None,
        }
    }

    /// One more was told.
    pub(super) fn enter(&mut self, row: &Row) {
        self.link = chain::link(&self.link, &row.body);
    }

    /// What is to lie in memory, if it is other than what lies there.
    pub(super) fn news(&self, acked: u64) -> Option<String> {
        let receipts = self.receipts.all().map(|(rule, standing)| (rule.id.clone(), standing.clone())).collect();
        let body = serde_json::to_string(&InMemory { acked, receipts }).ok();
        if body == self.kept { None } else { body }
    }

    /// It lies there.
    pub(super) fn is_kept(&mut self, receipts: Option<String>) {
        if receipts.is_some() {
            self.kept = receipts;
        }
    }

    /// What is to be written with the next marks: without totals, which are many and come with each receipt.
    pub(super) fn take_to_write(&mut self) -> Vec<(String, String)> {
        let written = |(consumer, mut standing): (String, Standing)| {
            standing.held.iter_mut().for_each(|held| held.totals = None);
            Some((consumer, serde_json::to_string(&standing).ok()?))
        };
        self.receipts.take_fresh().into_iter().filter_map(written).collect()
    }

    /// All of it, for whoever looks while the gateway is away.
    pub(super) fn last_words(&self) -> Vec<(String, String)> {
        let all = self.receipts.all();
        all.filter_map(|(rule, standing)| Some((rule.id.clone(), serde_json::to_string(standing).ok()?))).collect()
    }
}

impl Gateway {
    /// If it is other than the one before.
    pub(super) fn tell_digest(&mut self, now: Stamp, envelope: &mut Envelope<Passenger>) {
        let digest = digest(&self.shop, self.custody.link, self.custody.first_available);
        if self.custody.digest.as_ref() == Some(&digest) {
            return;
        }
        let body = serde_json::to_vec(&payload::digest::data(now, &self.names, &digest));
        match body {
            Ok(body) => {
                envelope.passengers.push(Passenger::Picture { topic: self.names.digest_topic(), body });
                self.custody.digest = Some(digest);
            }
            // The words of this house always have a JSON form.
            Err(error) => error!(%error, "the digest could not be written"),
        }
    }

    /// A consumer says what it holds. It need not be written before it is taken: what is lost is sent again.
    pub(super) fn hear_receipt(&mut self, arrival: &Arrival) {
        self.say(mqtt::Word::Taken(arrival.ticket));
        let Some(consumer) = self.names.receipt_of(&arrival.topic) else { return };
        // While the journal takes nothing, nothing is noticed either.
        if self.held.is_some() {
            return;
        }
        let now = self.clock.now();
        let receipt = match arrival.is_retained {
            true => Err("it lay retained at the broker, from who knows when: send it without `retain`".to_owned()),
            false => receipt::read(consumer, &arrival.body, self.names.wall.of(now)),
        };
        let known = self.shop.known();
        let words = match receipt {
            Ok(receipt) => self.custody.receipts.take(receipt, now, (known.epoch, known.last_sequence())),
            Err(why) => self.custody.receipts.refuse(consumer, why).into_iter().collect(),
        };
        self.say_of_consumers(&words, now);
    }

    /// Who is silent for too long.
    pub(super) fn look_at_consumers(&mut self, now: Stamp) {
        if self.held.is_none() {
            let words = self.custody.receipts.lapse(now);
            self.say_of_consumers(&words, now);
        }
    }

    /// Notices, with the receipts that they speak of.
    pub(super) fn say_of_consumers(&mut self, words: &[Word], now: Stamp) {
        if words.is_empty() {
            return;
        }
        let mut envelope = Envelope::default();
        for word in words {
            info!(code = word.code(), "{word}");
            if let Word::Ahead { says: (epoch, _), .. } = word {
                self.pen.ahead(*epoch);
            }
            self.notice(None, word.code(), word.severity(), word.to_string(), now, &mut envelope);
        }
        envelope.receipts = self.custody.take_to_write();
        self.send(envelope);
    }
}

/// All that was told by now.
pub fn digest(shop: &Shop, chain: Link, first_available: u64) -> Digest {
    let known = shop.known();
    Digest {
        epoch: known.epoch,
        last_sequence: known.last_sequence(),
        first_available,
        tails: known.topics.clone(),
        totals: shop.machines().flat_map(|machine| last_totals(machine, shop.now())).collect(),
        chain,
    }
}

/// Of the last shift that ended and the one that goes on, where the gateway remembers all of it.
fn last_totals(machine: Machine<'_>, now: Stamp) -> Vec<Total> {
    let Some(book) = machine.known.map(|known| &known.book) else { return Vec::new() };
    let Some(begins) = book.begins() else { return Vec::new() };
    let (calendar, shown) = (&machine.rules.calendar, machine.rules.calendar.wall().of(now));
    let is_whole = |from, to| calendar.wall().hull(from, to).0 >= book.since;
    let periods: Vec<_> = calendar
        .shifts(begins.max(book.since), now.plus(1))
        .filter(|period| period.from <= shown && is_whole(period.from, period.to))
        .collect();
    let ended = periods.iter().rposition(|period| period.to <= shown);
    let running = periods.iter().rposition(|period| period.to > shown);
    let mut shifts: Vec<String> = Vec::with_capacity(2);
    for index in [ended, running].into_iter().flatten() {
        if !shifts.contains(&periods[index].id) {
            shifts.push(periods[index].id.clone());
        }
    }
    totals(&machine.rules.id, shifts, book.stops.iter())
}
