//! What a consumer published on `G/receipt/<consumer>` in, its receipt out, or what is wrong with it.

use super::inbound::{COMMAND_BYTES, Text};
use crate::{
    custody::{digest::Total, receipt::Receipt},
    event::Stamp,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `G/receipt/<consumer>`; other keys are passed over.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Body {
    /// `[[consumer]] id`, as in the topic.
    pub consumer: Text<64>,
    /// Made with the consumer's store.
    pub instance: Text<128>,
    /// Of the sequence.
    pub epoch: u32,
    /// Everything on its topics is held up to there.
    pub sequence: u64,
    /// What it has booked by then.
    #[serde(default)]
    pub totals: Option<Vec<Total>>,
}

/// Reads what arrived on the topic of `consumer` at `now`, a time of the wall clock.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(consumer: &str, body: &[u8], now: Stamp) -> Result<Receipt, String> {
    if body.len() > COMMAND_BYTES {
        return Err(format!("it has {} bytes, at most {COMMAND_BYTES} are read", body.len()));
    }
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let body: Body = serde_json::from_value(Value::Object(body)).map_err(|error| error.to_string())?;
    if body.consumer.0 != consumer {
        return Err(format!("it is of `{}`, on the topic of `{consumer}`", body.consumer.0));
    }
    Ok(Receipt {
        consumer: body.consumer.0,
        instance: body.instance.0,
        epoch: body.epoch,
        sequence: body.sequence,
        totals: body.totals,
        shown: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> String {
        match read("mes", body.as_bytes(), Stamp::from_ms(7)) {
            Ok(receipt) => format!("{receipt:?}"),
            Err(why) => why,
        }
    }

    #[test]
    fn a_receipt_is_read_and_what_is_none_is_named() {
        let line = r#"{"machine":"press-7","shift":"2026-11-23/early","times":2,"duration_ms":5}"#;
        let good = format!(
            r#"{{"consumer":"mes","instance":"a","epoch":1,"sequence":9,"totals":[{line}],"at":"from another release"}}"#
        );
        let receipt = read("mes", good.as_bytes(), Stamp::from_ms(7)).unwrap();
        let totals = vec![serde_json::from_str(line).unwrap()];
        let (instance, shown) = ("a".to_owned(), Stamp::from_ms(7));
        let expected = Receipt { consumer: "mes".into(), instance, epoch: 1, sequence: 9, totals: Some(totals), shown };
        assert_eq!(receipt, expected);

        let other = good.replace(r#""consumer":"mes""#, r#""consumer":"cmms""#);
        assert_eq!(said(&other), "it is of `cmms`, on the topic of `mes`");
        assert_eq!(said(""), "EOF while parsing a value at line 1 column 0");
        let negative = good.replace(r#""sequence":9"#, r#""sequence":-9"#);
        assert!(said(&negative).starts_with("invalid value: integer `-9`, expected u64"), "{}", said(&negative));
        let deep = format!("{{\"at\":{}", "[".repeat(10_000));
        assert!(said(&deep).starts_with("recursion limit exceeded"), "{}", said(&deep));
        assert!(said(r#"["mes", "a", 1, 9]"#).starts_with("invalid type: sequence"));
        let much = good.replace(line, &vec![line; 1000].join(","));
        assert!(said(&much).ends_with("bytes, at most 65536 are read"), "{}", said(&much));
    }
}
