//! `G/digest`: what has been told, for consumers to hold their books against; and the last word of a replay.

use crate::{
    custody::{
        digest::{Digest, Total},
        replay::Missing,
    },
    event::Stamp,
    wire::{Names, Time},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What has been told by now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Digest")]
pub struct Data<'a> {
    /// Of this picture.
    at: Time,
    /// From 1; a new one begins only when a journal was lost.
    epoch: u32,
    /// The last event of this epoch.
    last_sequence: u64,
    /// The first event that can still be had.
    first_available: u64,
    /// The last `topicsequence` of each topic, by `{line}/{machine}/{kind}` or `_gateway/{gateway}/{kind}`.
    tails: &'a BTreeMap<String, u64>,
    /// Of the running shift (or day) of each machine and of the last that ended.
    totals: &'a [Total],
    /// SHA-256 over the chain before and the bytes of the last event, in hexadecimal.
    chain: String,
}

/// `G/digest`
pub fn data<'a>(at: Stamp, names: &Names, digest: &'a Digest) -> Data<'a> {
    Data {
        at: names.time(at),
        epoch: digest.epoch,
        last_sequence: digest.last_sequence,
        first_available: digest.first_available,
        tails: &digest.tails,
        totals: &digest.totals,
        chain: hex(&digest.chain),
    }
}

/// As auditors write it.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A replay is over.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReplayDone")]
pub struct Done<'a> {
    /// Everything that was asked for was sent or is named as missing.
    done: bool,
    /// As asked.
    command_id: &'a str,
    /// Events that were sent.
    count: u64,
    /// What is not in the journal any more.
    missing: Vec<Range<'a>>,
    /// Where it is not done: ask again.
    why: Option<&'a str>,
}

/// Events that cannot be had any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MissingRange")]
struct Range<'a> {
    /// The topic's key.
    topic: &'a str,
    /// The first `topicsequence`.
    from: u64,
    /// The last.
    to: u64,
    /// `pruned` on purpose, or `lost`.
    why: &'static str,
}

/// The last word of a replay on `G/replay/<consumer>`.
///
/// # Errors
/// Never for the words of this house; `serde_json`'s own otherwise.
pub fn done(command_id: &str, count: u64, missing: &[Missing], why: Option<&str>) -> serde_json::Result<Vec<u8>> {
    let missing = missing.iter();
    let missing =
        missing.map(|Missing { topic, from, to, why }| Range { topic, from: *from, to: *to, why: why.word() });
    let missing = missing.collect();
    serde_json::to_vec(&Done { done: why.is_none(), command_id, count, missing, why })
}
