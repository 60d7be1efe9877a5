//! `scrap`: good parts that were none.

use super::Text;
use crate::event::command::{Refusal, Scrap as Kind, Wish};
use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of the verb.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scrap {
    /// How many parts; negative takes back.
    quantity: i64,
    /// What becomes of them.
    #[serde(default)]
    kind: Word,
    /// Why, in the words of the sender's own catalogue: passed through.
    #[serde(default)]
    code: Option<Text<64>>,
    /// The order whose parts they are; when left out, what ran at that time.
    #[serde(default)]
    order: Option<Text<64>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// They are scrapped.
    #[default]
    Scrap,
    /// They are to be worked over.
    Rework,
    /// Scrap, or what was to be worked over, was worked over: it adds to the yield of its order, never to quality.
    Reworked,
}

pub(super) fn wish(keys: Scrap) -> Result<Wish, Refusal> {
    let kind = match keys.kind {
        Word::Scrap => Kind::Scrap,
        Word::Rework => Kind::Rework,
        Word::Reworked => Kind::Reworked,
    };
    let text = |text: Option<Text<64>>| text.map(|text| text.0);
    Ok(Wish::Scrap { quantity: keys.quantity, kind, code: text(keys.code), order: text(keys.order) })
}
