//! `operator`: somebody logs on or off at a machine.

use super::Text;
use crate::event::{
    command::{Refusal, Wish},
    operator::{self, Action},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of the verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The id of a person; it leaves the gateway only with `[privacy] operator = "id"`.
    operator: Text<64>,
    /// On or off.
    action: Action,
}

#[allow(clippy::unnecessary_wraps, reason = "as every verb")]
pub(super) fn wish(keys: Operator) -> Result<Wish, Refusal> {
    Ok(Wish::Operator(operator::Wish { operator: keys.operator.0, action: keys.action }))
}
