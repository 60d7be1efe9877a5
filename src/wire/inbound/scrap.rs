//! `scrap`: good parts that were none.

use crate::event::command::{Refusal, Scrap as Kind, Wish};
use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of the verb.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scrap {
    /// How many parts; negative takes back.
    quantity: i64,
    /// What becomes of them.
    #[serde(default)]
    kind: Word,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// They are scrapped.
    #[default]
    Scrap,
    /// They are to be worked over.
    Rework,
}

pub(super) fn wish(keys: Scrap) -> Result<Wish, Refusal> {
    let kind = match keys.kind {
        Word::Scrap => Kind::Scrap,
        Word::Rework => Kind::Rework,
    };
    Ok(Wish::Scrap { quantity: keys.quantity, kind })
}
