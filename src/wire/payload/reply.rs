//! `andon.reply.v1`

use crate::{
    event::command::{Reply, Subject, Verdict},
    wire::About,
};
use schemars::JsonSchema;
use serde::Serialize;

/// What was made of a command, or of one that was made something of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReplyResult")]
pub enum Outcome {
    /// It was done.
    Accepted,
    /// Nothing was changed.
    Refused,
    /// It was answered before, and its answer is repeated.
    Duplicate,
    /// A later one of its kind was done already.
    Stale,
}

/// What became of a command.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reply")]
pub struct Data<'a> {
    #[serde(flatten)]
    about: About<'a>,
    /// As sent; `null` where it could not be read.
    command_id: Option<&'a str>,
    /// The last level of the command's topic.
    verb: &'a str,
    result: Outcome,
    /// A word for programs: `accepted`, `stale`, or why it was refused; new ones may come.
    code: &'a str,
    /// A sentence for people; `null` where nothing was wrong.
    text: Option<&'a str>,
    /// What was changed: the `subject` of the events that follow from it.
    subject: Option<&'a str>,
    /// Of the subject after it.
    revision: Option<u64>,
}

impl Outcome {
    /// What a verdict is called.
    pub fn of(verdict: &Verdict, is_repeated: bool) -> Outcome {
        match verdict {
            _ if is_repeated => Outcome::Duplicate,
            Verdict::Accepted(_) => Outcome::Accepted,
            Verdict::Stale(_) => Outcome::Stale,
            Verdict::Refused(_) => Outcome::Refused,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Refused => "refused",
            Outcome::Duplicate => "duplicate",
            Outcome::Stale => "stale",
        }
    }
}

/// The `data` of the answer.
pub fn data<'a>(about: About<'a>, reply: &'a Reply, is_repeated: bool) -> Data<'a> {
    let (code, text, subject) = match &reply.verdict {
        Verdict::Accepted(subject) => ("accepted", None, subject.as_ref()),
        Verdict::Stale(subject) => ("stale", None, Some(subject)),
        Verdict::Refused(refusal) => (refusal.code.as_str(), Some(refusal.text.as_str()), None),
    };
    Data {
        about,
        command_id: reply.command_id.as_deref(),
        verb: &reply.verb,
        result: Outcome::of(&reply.verdict, is_repeated),
        code,
        text,
        subject: subject.map(|Subject { id, .. }| id.as_str()),
        revision: subject.map(|subject| subject.revision),
    }
}
