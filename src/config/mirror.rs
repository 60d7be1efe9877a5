//! The configuration file as Rust types: the one source of its keys, types, ranges, defaults and descriptions.
//!
//! `andon schema config` prints it, [`super::shape`] checks a file against it and fills its defaults in, so nothing else
//! states a default. The `format`s of [`super::word`] are ours.

use super::word::{
    BrokerUrl, Clock, Cycle, Gap, HostPort, Levels, Millis, Moment, Name, OnDate, PointKind, Prefix, Rate, Reference,
    Silence, Zone,
};
use crate::{
    books::{Convention, calendar::Weekday},
    event::stop::{Class, CountsIn},
    io,
    signal::point,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::transform_subschemas};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::{borrow::Cow, fmt, ops::Deref, ops::Range, path::PathBuf};

/// A value and where it was written; an empty span is a default.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    /// Somebody wrote it; it is no default.
    pub(super) fn is_written(&self) -> bool {
        !self.span.is_empty()
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(At { span: spanned.span(), value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The JSON Schema (2020-12) of the configuration.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.with_transform(strict).into_generator().into_root_schema_for::<Mirror>().to_value()
}

/// What the derive cannot say: TOML has no null, tables have no further keys, and what has a default is not required.
fn strict(schema: &mut Schema) {
    transform_subschemas(&mut strict, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(types) = object.get_mut("type")
        && let Some(all) = types.as_array_mut()
    {
        all.retain(|name| name != "null");
        if let [only] = all.as_slice() {
            *types = only.clone();
        }
    }
    if let Some(words) = object.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(either)) = object.remove("anyOf") {
        let some = either.into_iter().filter(|one| one.get("type").is_none_or(|name| name != "null"));
        for (key, value) in some.filter_map(|one| one.as_object().cloned()).flatten() {
            object.entry(key).or_insert(value);
        }
    }
    let Some(properties) = object.get("properties").and_then(Value::as_object).cloned() else { return };
    if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|key| key.as_str().is_some_and(|key| properties[key].get("default").is_none()));
        if required.is_empty() {
            object.remove("required");
        }
    }
    object.entry("additionalProperties").or_insert(false.into());
}

/// The configuration of an andon gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "andon configuration")]
pub(super) struct Mirror {
    /// Local time at which a day begins; "06:00" puts the night shift wholly in one day.
    #[schemars(extend("default" = "00:00"))]
    pub(super) day_start: At<Clock>,
    /// How long after its end a window that still waits for something becomes final.
    #[schemars(extend("default" = "12h"))]
    pub(super) final_after: At<Millis>,
    /// How often the meters of assets are read, at the hours of the wall clock; `off`: there are none.
    #[schemars(extend("default" = "1h"))]
    pub(super) meter_every: At<Silence>,
    /// Running time after which an unanswered work request no longer holds back the next one.
    #[schemars(extend("default" = "8h"))]
    pub(super) reopen_after: At<Millis>,
    /// What the CMMS calls priorities 1 to 4; in work requests beside the number.
    #[schemars(length(min = 4, max = 4), extend("examples" = [["1-very high", "2-high", "3-medium", "4-low"]]))]
    pub(super) priority_map: Option<At<Vec<At<String>>>>,
    /// This gateway.
    pub(super) gateway: Gateway,
    /// The brokers that it publishes to.
    #[schemars(extend("default" = {}))]
    pub(super) mqtt: Mqtt,
    /// Where losses go.
    #[schemars(extend("default" = {}))]
    pub(super) oee: Oee,
    /// Corrections by people.
    #[schemars(extend("default" = {}))]
    pub(super) corrections: Corrections,
    /// What may leave the gateway.
    #[schemars(extend("default" = {}))]
    pub(super) privacy: Privacy,
    /// Who may send commands.
    #[schemars(extend("default" = {}))]
    pub(super) commands: Commands,
    /// Serial lines that several PLCs share.
    #[schemars(extend("default" = []))]
    pub(super) serial: Vec<At<Serial>>,
    /// PLCs and their points.
    #[schemars(extend("default" = []))]
    pub(super) plc: Vec<At<Plc>>,
    /// Machines.
    #[schemars(extend("default" = []))]
    pub(super) machine: Vec<At<Machine>>,
    /// Lines of machines.
    #[schemars(extend("default" = []))]
    pub(super) line: Vec<Line>,
    /// Products with an ideal of their own.
    #[schemars(extend("default" = []))]
    pub(super) product: Vec<Product>,
    /// Shifts; none at all: planned to run around the clock.
    #[schemars(extend("default" = []))]
    pub(super) shift: Vec<At<Shift>>,
    /// Dates on which no shift starts; a machine without shifts is not planned to run on these days.
    #[schemars(extend("default" = []))]
    pub(super) holiday: Vec<At<Holiday>>,
    /// Times inside shifts in which machines are to stand: maintenance, meetings.
    #[schemars(extend("default" = []))]
    pub(super) planned_stop: Vec<At<PlannedStop>>,
    /// Reasons of stops.
    #[schemars(extend("default" = []))]
    pub(super) reason: Vec<Reason>,
    /// Rules that ask for maintenance.
    #[schemars(extend("default" = []))]
    pub(super) work_request: Vec<At<WorkRequest>>,
    /// Systems that report what they hold.
    #[schemars(extend("default" = []))]
    pub(super) consumer: Vec<Consumer>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// This gateway.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Gateway {
    /// MQTT client id and `source` of every event.
    #[schemars(required, extend("examples" = ["gw-hall-3"]))]
    pub(super) id: Option<At<Name>>,
    /// ISA-95 enterprise/site/area; levels of every topic.
    #[schemars(required, extend("examples" = ["acme/leipzig/hall-3"]))]
    pub(super) path: Option<At<Levels>>,
    /// IANA time zone of the plant; days and shifts follow its rules.
    #[schemars(required, extend("examples" = ["Europe/Berlin"]))]
    pub(super) timezone: Option<At<Zone>>,
    /// Folder of the journal.
    #[schemars(length(min = 1), extend("default" = "/var/lib/andon"))]
    pub(super) data_dir: At<PathBuf>,
}

/// The brokers that it publishes to.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Mqtt {
    /// mqtt:// or mqtts://, tried in order.
    #[schemars(extend("default" = ["mqtt://127.0.0.1:1883"]))]
    pub(super) brokers: At<Vec<At<BrokerUrl>>>,
    /// First part of every topic; may be empty.
    #[schemars(extend("default" = "andon/v1"))]
    pub(super) prefix: At<Prefix>,
    /// User name at the broker.
    #[schemars(length(min = 1))]
    pub(super) username: Option<At<String>>,
    /// File whose first line is the password.
    #[schemars(length(min = 1))]
    pub(super) password_file: Option<At<PathBuf>>,
    /// PEM file of the authorities that the broker's certificate must come from; without it the system's.
    #[schemars(length(min = 1))]
    pub(super) ca_file: Option<At<PathBuf>>,
    /// PEM file of the client certificate chain.
    #[schemars(length(min = 1))]
    pub(super) cert_file: Option<At<PathBuf>>,
    /// PEM file of the client certificate's key.
    #[schemars(length(min = 1))]
    pub(super) key_file: Option<At<PathBuf>>,
    /// MQTT keep-alive, in whole seconds.
    #[schemars(extend("default" = "30s"))]
    pub(super) keep_alive: At<Millis>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// Where losses go: a convention, each cell of which may be overridden.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Oee {
    /// Whose rules.
    #[schemars(extend("default" = "oee.com"))]
    pub(super) convention: At<Convention>,
    /// Stops of class failure.
    pub(super) failure: Option<At<CountsIn>>,
    /// Stops of class operational.
    pub(super) operational: Option<At<CountsIn>>,
    /// Stops that nobody has given a reason.
    pub(super) unassigned: Option<At<CountsIn>>,
    /// Set-up.
    pub(super) changeover: Option<At<CountsIn>>,
    /// Starved or blocked.
    pub(super) external: Option<At<CountsIn>>,
    /// Without an order.
    pub(super) no_order: Option<At<CountsIn>>,
    /// Planned stops.
    pub(super) planned: Option<At<CountsIn>>,
    /// Breaks.
    #[serde(rename = "break")]
    pub(super) pause: Option<At<CountsIn>>,
    /// Stops below `short_stop`.
    pub(super) short_stop: Option<At<CountsIn>>,
}

/// Corrections by people.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Corrections {
    /// How far back a correction may reach.
    #[schemars(extend("default" = "30d"))]
    pub(super) until: At<Millis>,
}

/// What may leave the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Privacy {
    /// Whether ids of persons do; those that may not stand in no record.
    #[schemars(extend("default" = "off"))]
    pub(super) operator: At<Persons>,
}

/// Whether ids of persons leave the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Persons {
    /// In events, pictures and replies.
    Id,
    /// Nowhere.
    Off,
}

/// Who may send commands, besides `[[consumer]]`s.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Commands {
    /// Names that a command's `by` may bear: they may send every command about a machine.
    #[schemars(extend("default" = []))]
    pub(super) from: Vec<At<String>>,
}

/// A serial line that several `[[plc]]` share.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Serial {
    /// What `[[plc]] serial` names.
    #[schemars(required, extend("examples" = ["rs485"]))]
    pub(super) id: Option<At<Name>>,
    /// Its device file.
    #[schemars(required, length(min = 1), extend("examples" = ["/dev/serial/by-id/usb-FTDI"]))]
    pub(super) device: Option<At<PathBuf>>,
    /// Bits per second.
    #[schemars(range(min = 300, max = 4_000_000), extend("default" = 19200))]
    pub(super) baud: At<u32>,
    /// Data bits.
    #[schemars(range(min = 7, max = 8), extend("default" = 8))]
    pub(super) data_bits: At<u8>,
    /// Parity.
    #[schemars(extend("default" = "even"))]
    pub(super) parity: At<Parity>,
    /// Stop bits.
    #[schemars(range(min = 1, max = 2), extend("default" = 1))]
    pub(super) stop_bits: At<u8>,
    /// The adapter hears itself.
    #[schemars(extend("default" = false))]
    pub(super) echo: At<bool>,
    /// Silence between frames; "auto" is 3.5 characters.
    #[schemars(extend("default" = "auto"))]
    pub(super) gap: At<Gap>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Parity {
    None,
    Even,
    Odd,
}

impl From<Parity> for io::plc::Parity {
    fn from(parity: Parity) -> io::plc::Parity {
        match parity {
            Parity::None => io::plc::Parity::None,
            Parity::Even => io::plc::Parity::Even,
            Parity::Odd => io::plc::Parity::Odd,
        }
    }
}

/// One host, or the two of a redundant PLC.
#[derive(Debug)]
pub(super) struct Hosts(pub(super) Vec<HostPort>);

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hosts, D::Error> {
        struct OneOrMore;
        impl<'de> de::Visitor<'de> for OneOrMore {
            type Value = Hosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("host:port, or an array of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hosts, E> {
                let host = HostPort::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(Hosts(vec![host]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Hosts, A::Error> {
                let mut hosts = Vec::new();
                while let Some(host) = items.next_element()? {
                    hosts.push(host);
                }
                Ok(Hosts(hosts))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Hosts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let host = generator.subschema_for::<HostPort>();
        let mut schema = host.clone();
        schema.insert("type".into(), serde_json::json!(["string", "array"]));
        schema.insert("items".into(), host.to_value());
        schema.insert("minItems".into(), 1.into());
        schema
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Connect {
    /// The connection is kept.
    Keep,
    /// It is closed after each poll, for devices that cannot keep one.
    Poll,
}

/// A PLC and its points.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Plc {
    /// First part of the names of its points.
    #[schemars(required, extend("examples" = ["press-plc"]))]
    pub(super) id: Option<At<Name>>,
    /// host:port of Modbus TCP; an array of two for a redundant PLC.
    pub(super) tcp: Option<At<Hosts>>,
    /// host:port of a gateway that takes RTU frames over TCP.
    pub(super) rtu_over_tcp: Option<At<HostPort>>,
    /// A `[[serial]]` line.
    pub(super) serial: Option<At<String>>,
    /// Whether the connection is kept between two polls.
    #[schemars(extend("default" = "keep"))]
    pub(super) connect: At<Connect>,
    /// Modbus unit id.
    #[schemars(extend("default" = 1))]
    pub(super) unit: At<u8>,
    /// Time between two looks at the same point.
    #[schemars(extend("default" = "200ms"))]
    pub(super) poll: At<Millis>,
    /// How long one request may take.
    #[schemars(extend("default" = "1s"))]
    pub(super) timeout: At<Millis>,
    /// Most registers in one request; some devices take fewer than Modbus allows.
    #[schemars(range(min = 1, max = 125), extend("default" = 125))]
    pub(super) max_registers: At<u16>,
    /// Most unused registers read along to save a request.
    #[schemars(range(max = 124), extend("default" = 8))]
    pub(super) max_gap: At<u16>,
    /// The map of points is that of this PLC.
    pub(super) points_from: Option<At<String>>,
    /// Its points by name.
    #[schemars(extend("default" = {}))]
    pub(super) points: Points,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// Points of process values by name, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Process(pub(super) Vec<(At<String>, At<String>)>);

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Process, D::Error> {
        struct InOrder;
        impl<'de> de::Visitor<'de> for InOrder {
            type Value = Process;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of points")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Process, A::Error> {
                let mut process = Process::default();
                while let Some(name) = map.next_key::<At<String>>()? {
                    if name.value == super::word::CUT {
                        map.next_value::<bool>()?;
                    } else {
                        process.0.push((name, map.next_value()?));
                    }
                }
                Ok(process)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Process {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Process".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<Name>();
        schemars::json_schema!({ "type": "object", "propertyNames": name, "additionalProperties": { "type": "string" } })
    }
}

/// Points by name, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Points(pub(super) Vec<(At<String>, At<PointSpec>)>);

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Points, D::Error> {
        struct InOrder;
        impl<'de> de::Visitor<'de> for InOrder {
            type Value = Points;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of points")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Points, A::Error> {
                let mut points = Points::default();
                while let Some(name) = map.next_key::<At<String>>()? {
                    if name.value == super::word::CUT {
                        map.next_value::<bool>()?;
                    } else {
                        points.0.push((name, map.next_value()?));
                    }
                }
                Ok(points)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Points {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Points".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<Name>();
        let point = generator.subschema_for::<PointSpec>();
        schemars::json_schema!({ "type": "object", "propertyNames": name, "additionalProperties": point })
    }
}

/// One value of a PLC: exactly one of coil, discrete, holding, input (counted from 0) and ref (counted from 1).
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PointSpec {
    /// Address of a coil.
    pub(super) coil: Option<At<u16>>,
    /// Address of a discrete input.
    pub(super) discrete: Option<At<u16>>,
    /// Address of a holding register.
    pub(super) holding: Option<At<u16>>,
    /// Address of an input register.
    pub(super) input: Option<At<u16>>,
    /// Reference as in the manual, "40101": the table in its first digit, the number counted from 1.
    #[serde(rename = "ref")]
    pub(super) reference: Option<At<Reference>>,
    /// u16 (when left out), i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32, bool, or string(n) of n characters.
    #[serde(rename = "type")]
    pub(super) kind: Option<At<PointKind>>,
    /// One bit of a 16-bit register; 0 is the lowest.
    #[schemars(range(max = 15))]
    pub(super) bit: Option<At<u8>>,
    /// Order of the bytes, A the highest; "ABCD" when left out.
    pub(super) order: Option<At<ByteOrder>>,
    /// Logical not.
    pub(super) invert: Option<At<bool>>,
    /// How long a true lasts after the last true sample (a blinking lamp).
    pub(super) hold: Option<At<Millis>>,
    /// value = raw × scale + offset
    pub(super) scale: Option<At<f64>>,
    /// value = raw × scale + offset
    pub(super) offset: Option<At<f64>>,
    /// Time between two looks at this point; that of the PLC when left out.
    pub(super) poll: Option<At<Millis>>,
    /// Where a counter starts at 0 again; by its type when left out.
    #[schemars(range(min = 2))]
    pub(super) modulus: Option<At<i64>>,
    /// Point of the same PLC, a bit, that rises when this counter starts at 0 again: it tells a rollover from a reset.
    #[schemars(length(min = 1), extend("examples" = ["good_ovf"]))]
    pub(super) overflow: Option<At<String>>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ByteOrder {
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

impl From<ByteOrder> for point::Order {
    fn from(order: ByteOrder) -> point::Order {
        match order {
            ByteOrder::Abcd => point::Order::Abcd,
            ByteOrder::Cdab => point::Order::Cdab,
            ByteOrder::Badc => point::Order::Badc,
            ByteOrder::Dcba => point::Order::Dcba,
        }
    }
}

/// A machine: what says that it runs, what counts its parts, and from when on a stop is a downtime.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Machine {
    /// Last level of its topics.
    #[schemars(required, extend("examples" = ["press-7"]))]
    pub(super) id: Option<At<Name>>,
    /// Its line; last but one level of its topics.
    #[schemars(required, extend("examples" = ["line-2"]))]
    pub(super) line: Option<At<Name>>,
    /// Key in the asset register of the CMMS; the id when left out.
    #[schemars(length(min = 1))]
    pub(super) asset: Option<At<String>>,
    /// Ideal time per part. With neither this nor ideal_rate: no performance, quality and OEE.
    pub(super) ideal_cycle: Option<At<Cycle>>,
    /// Ideal parts per time, "700/min".
    pub(super) ideal_rate: Option<At<Rate>>,
    /// Point that says that it runs, or several as in "plc.auto && !plc.fault"; when left out `state` or counts decide.
    pub(super) run: Option<At<String>>,
    /// Point that counts all parts.
    pub(super) total: Option<At<String>>,
    /// Point that counts good parts.
    pub(super) good: Option<At<String>>,
    /// Point that counts scrap.
    pub(super) reject: Option<At<String>>,
    /// Point that names the PLC's fault; 0: none.
    pub(super) fault: Option<At<String>>,
    /// Point that names the PLC's state: of which class a stop is, and without `run` whether it runs.
    pub(super) state: Option<At<String>>,
    /// Which values of `state` mean what; any other: it stands, nobody knows why.
    pub(super) states: Option<States>,
    /// Point that names the order; empty or 0: none. An order that is named like a `[[product]]` is one of that product.
    pub(super) order: Option<At<String>>,
    /// Point that names the product; empty or 0: none.
    pub(super) product: Option<At<String>>,
    /// A run edge must hold this long; it is dated from its first sample.
    #[schemars(extend("default" = "1s"))]
    pub(super) debounce: At<Millis>,
    /// A run must hold this long to end a stop; `debounce` when left out.
    pub(super) debounce_run: Option<At<Millis>>,
    /// Shorter stops are performance loss; from here on a stop is a downtime.
    #[schemars(extend("default" = "120s"))]
    pub(super) short_stop: At<Millis>,
    /// Silence after which the state is unknown; "off": only a failed read is, at once.
    #[schemars(extend("default" = "5s"))]
    pub(super) no_data: At<Silence>,
    /// Most plausible parts per time; 4 × the ideal rate when left out.
    pub(super) max_rate: Option<At<Rate>>,
    /// Without `run`: time without a part from which on it stands; the longer of 3 × the ideal and 10 s when left out.
    pub(super) stop_after: Option<At<Millis>>,
    /// A downtime that lasts so long is split, so that its parts can have reasons of their own; never when left out.
    pub(super) split_after: Option<At<Millis>>,
    /// When a downtime opens: when it reaches `short_stop`, or at once when the PLC names a fault.
    #[schemars(extend("default" = "short_stop"))]
    pub(super) open_at: At<OpenAt>,
    /// A stop without an order is external.
    #[schemars(extend("default" = false))]
    pub(super) order_required: At<bool>,
    /// Parts that one count stands for.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1))]
    pub(super) parts_per_cycle: At<i64>,
    /// Points of process values by the name that orders show them under, { temperature = "press-plc.temp" }: min, mean and
    /// max of each lot.
    #[schemars(extend("default" = {}))]
    pub(super) process: Process,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// When a downtime opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OpenAt {
    /// When it reaches `short_stop`.
    ShortStop,
    /// At once when the PLC names a fault.
    Fault,
}

/// Which values of the state point mean what.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct States {
    /// It runs.
    #[schemars(extend("default" = []))]
    pub(super) running: Vec<At<i64>>,
    /// It stands, unplanned.
    #[schemars(extend("default" = []))]
    pub(super) down: Vec<At<i64>>,
    /// It is being set up.
    #[schemars(extend("default" = []))]
    pub(super) changeover: Vec<At<i64>>,
    /// It stands as planned.
    #[schemars(extend("default" = []))]
    pub(super) planned_stop: Vec<At<i64>>,
    /// Starved or blocked.
    #[schemars(extend("default" = []))]
    pub(super) external: Vec<At<i64>>,
}

/// A line of machines.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Line {
    /// As in `[[machine]] line`.
    #[schemars(required, extend("examples" = ["line-2"]))]
    pub(super) id: Option<At<Name>>,
    /// The machine whose figures are the line's.
    pub(super) bottleneck: Option<At<String>>,
}

/// A product with an ideal of its own.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Product {
    /// Its number.
    #[schemars(required, length(min = 1), extend("examples" = ["cap-28"]))]
    pub(super) code: Option<At<String>>,
    /// Ideal time per part.
    pub(super) ideal_cycle: Option<At<Cycle>>,
    /// Ideal parts per time.
    pub(super) ideal_rate: Option<At<Rate>>,
}

/// A shift. Several may share an id, as long as no machine has two of one id on the same date.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Shift {
    /// Second part of the window's id.
    #[schemars(required, extend("examples" = ["early"]))]
    pub(super) id: Option<At<Name>>,
    /// Days that it starts on, but for holidays.
    #[schemars(extend("default" = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))]
    pub(super) days: At<Vec<At<Weekday>>>,
    /// An extra shift: the dates that it starts on, instead of `days`, holidays or not.
    #[schemars(extend("default" = []))]
    pub(super) dates: At<Vec<At<OnDate>>>,
    /// Local time of its start.
    #[schemars(required, extend("examples" = ["06:00"]))]
    pub(super) start: Option<At<Clock>>,
    /// Local time of its end, on the next day if not after the start.
    #[schemars(required, extend("examples" = ["14:00"]))]
    pub(super) end: Option<At<Clock>>,
    /// Its breaks.
    #[schemars(extend("default" = []))]
    pub(super) breaks: Vec<At<Break>>,
    /// First date that it may start on.
    pub(super) valid_from: Option<At<OnDate>>,
    /// Last date that it may start on.
    pub(super) valid_until: Option<At<OnDate>>,
    /// Machines that work in it; with `lines` these too; neither: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
    /// Lines that work in it.
    #[schemars(extend("default" = []))]
    pub(super) lines: Vec<At<String>>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// A date, or dates from … until, on which no shift starts.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Holiday {
    /// The date.
    pub(super) date: Option<At<OnDate>>,
    /// The first of several dates …
    pub(super) from: Option<At<OnDate>>,
    /// … and the last.
    pub(super) until: Option<At<OnDate>>,
    /// For people.
    #[schemars(length(min = 1))]
    pub(super) name: Option<At<String>>,
    /// Machines that it holds for; with `lines` these too; neither: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
    /// Lines that it holds for.
    #[schemars(extend("default" = []))]
    pub(super) lines: Vec<At<String>>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// A planned stop: every week on `days`, or once `from` … `until`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PlannedStop {
    /// For people.
    #[schemars(length(min = 1))]
    pub(super) name: Option<At<String>>,
    /// Days of every week that it begins on.
    #[schemars(extend("default" = []))]
    pub(super) days: At<Vec<At<Weekday>>>,
    /// Local time of its start; with neither this nor `end` the whole day.
    pub(super) start: Option<At<Clock>>,
    /// Local time of its end, on the next day if not after the start.
    pub(super) end: Option<At<Clock>>,
    /// Once: local date and time of its start, "2026-12-24T12:00"; a date alone is the whole day.
    pub(super) from: Option<At<Moment>>,
    /// Once: local date and time of its end; a date alone is the whole day.
    pub(super) until: Option<At<Moment>>,
    /// Machines that stand; with `lines` these too; neither: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
    /// Lines that stand.
    #[schemars(extend("default" = []))]
    pub(super) lines: Vec<At<String>>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// A break of a shift.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Break {
    /// Local time of its start.
    #[schemars(required, extend("examples" = ["09:00"]))]
    pub(super) start: Option<At<Clock>>,
    /// Local time of its end.
    #[schemars(required, extend("examples" = ["09:15"]))]
    pub(super) end: Option<At<Clock>>,
}

/// A reason of stops.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Reason {
    /// For programs.
    #[schemars(required, length(min = 1), extend("examples" = ["mech.jam"]))]
    pub(super) code: Option<At<String>>,
    /// For people; the code when left out.
    #[schemars(length(min = 1))]
    pub(super) text: Option<At<String>>,
    /// Its class.
    #[schemars(required, extend("examples" = ["failure"]))]
    pub(super) class: Option<At<Class>>,
    /// Where its time counts; by class and convention when left out.
    pub(super) counts_in: Option<At<CountsIn>>,
    /// PLC fault codes that name this reason; never 0.
    #[schemars(extend("default" = []))]
    pub(super) faults: Vec<At<i64>>,
    /// Machines that `faults` is limited to; none: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
}

/// A rule that asks for maintenance; each of its limits alone makes it fire.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WorkRequest {
    /// Its name.
    #[schemars(required, length(min = 1), extend("examples" = ["long failure"]))]
    pub(super) name: Option<At<String>>,
    /// Class of the stops that it looks at; all but planned ones when left out.
    pub(super) class: Option<At<Class>>,
    /// Reasons that it looks at; neither these nor `faults`: all.
    #[schemars(extend("default" = []))]
    pub(super) reasons: Vec<At<String>>,
    /// Fault codes of the PLC that it looks at; never 0.
    #[schemars(extend("default" = []))]
    pub(super) faults: Vec<At<i64>>,
    /// Machines that it looks at; none: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
    /// A downtime of at least this long.
    pub(super) after: Option<At<Millis>>,
    /// So many stops for one problem, short ones that bear it too …
    #[schemars(range(min = 1, max = 100))]
    pub(super) times: Option<At<i64>>,
    /// … within this time.
    pub(super) within: Option<At<Millis>>,
    /// Every so many hours of running.
    #[schemars(range(min = 1))]
    pub(super) run_hours: Option<At<i64>>,
    /// Every so many cycles.
    #[schemars(range(min = 1))]
    pub(super) cycles: Option<At<i64>>,
    /// 1 highest … 4.
    #[schemars(range(min = 1, max = 4), extend("default" = 2))]
    pub(super) priority: At<u8>,
    /// A key of this table was faulty and has been cut out: what is absent is not missing.
    #[serde(rename = "(cut)", default)]
    #[schemars(skip)]
    pub(super) cut: bool,
}

/// A system that reports what it holds.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Consumer {
    /// Its name.
    #[schemars(required, extend("examples" = ["mes"]))]
    pub(super) id: Option<At<Name>>,
    /// Kinds of events that it takes; none: all.
    #[schemars(extend("default" = []))]
    pub(super) kinds: Vec<At<EventKind>>,
    /// Machines that it takes events of; none: all.
    #[schemars(extend("default" = []))]
    pub(super) machines: Vec<At<String>>,
    /// Silent for longer, it holds nothing back.
    #[schemars(extend("default" = "90d"))]
    pub(super) max_lag: At<Millis>,
    /// Commands that it may send.
    #[schemars(extend("default" = []))]
    pub(super) may: Vec<At<Verb>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EventKind {
    State,
    Downtime,
    Production,
    Order,
    Shift,
    WorkRequest,
    WorkOrder,
    Meter,
    Notice,
    Operator,
    Asset,
}

impl EventKind {
    /// The word in topics.
    pub(super) fn word(self) -> &'static str {
        match self {
            EventKind::State => "state",
            EventKind::Downtime => "downtime",
            EventKind::Production => "production",
            EventKind::Order => "order",
            EventKind::Shift => "shift",
            EventKind::WorkRequest => "work-request",
            EventKind::WorkOrder => "work-order",
            EventKind::Meter => "meter",
            EventKind::Notice => "notice",
            EventKind::Operator => "operator",
            EventKind::Asset => "asset",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verb {
    Order,
    Reason,
    Scrap,
    WorkOrder,
    WorkRequest,
    Operator,
    Asset,
    Replay,
}

impl Verb {
    /// The last part of the topic that it comes by.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Order => "order",
            Verb::Reason => "reason",
            Verb::Scrap => "scrap",
            Verb::WorkOrder => "work-order",
            Verb::WorkRequest => "work-request",
            Verb::Operator => "operator",
            Verb::Asset => "asset",
            Verb::Replay => "replay",
        }
    }
}
