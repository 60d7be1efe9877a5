//! Metrics in, Sparkplug B payloads out: the messages of `proto/sparkplug_b.proto`.

/// What `build.rs` makes of the schema.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/org.eclipse.tahu.protobuf.rs"));
}

pub use schema::{DataType, Payload, payload};

#[cfg(test)]
mod tests {
    use super::{
        DataType, Payload,
        payload::{MetaData, Metric, PropertySet, PropertyValue, metric, property_value},
    };
    use prost::Message;

    fn metric(name: &str, datatype: DataType, value: metric::Value) -> Metric {
        Metric { name: Some(name.into()), datatype: Some(datatype as u32), value: Some(value), ..Metric::default() }
    }

    #[test]
    fn a_payload_reads_back_as_it_was_written() {
        let unit = PropertyValue {
            r#type: Some(DataType::String as u32),
            value: Some(property_value::Value::StringValue("parts".into())),
            ..PropertyValue::default()
        };
        let payload = Payload {
            timestamp: Some(1_795_419_243_200),
            metrics: vec![
                metric("press-7/state", DataType::String, metric::Value::StringValue("running".into())),
                Metric {
                    alias: Some(7),
                    properties: Some(PropertySet { keys: vec!["engUnit".into()], values: vec![unit] }),
                    metadata: Some(MetaData {
                        description: Some("since its first mark".into()),
                        ..MetaData::default()
                    }),
                    ..metric("press-7/good", DataType::UInt64, metric::Value::LongValue(u64::MAX))
                },
                metric("press-7/oee", DataType::Double, metric::Value::DoubleValue(0.7479)),
                Metric { is_null: Some(true), ..metric("press-7/fault", DataType::Int32, metric::Value::IntValue(0)) },
            ],
            seq: Some(255),
            ..Payload::default()
        };
        assert_eq!(Payload::decode(payload.encode_to_vec().as_slice()).unwrap(), payload);
    }

    /// Bytes written by hand from the specification's field numbers: a round trip alone would not see a wrong number.
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let payload = Payload {
            timestamp: Some(1),
            metrics: vec![Metric {
                alias: Some(2),
                ..metric("a", DataType::Boolean, metric::Value::BooleanValue(true))
            }],
            seq: Some(3),
            ..Payload::default()
        };
        #[rustfmt::skip]
        let bytes = [
            0x08, 1,                // timestamp = 1
            0x12, 9,                // metrics = 2, nine bytes
                0x0a, 1, b'a',      //   name = 1
                0x10, 2,            //   alias = 2
                0x20, 11,           //   datatype = 4: Boolean
                0x70, 1,            //   boolean_value = 14
            0x18, 3,                // seq = 3
        ];
        assert_eq!(payload.encode_to_vec(), bytes);
    }
}
