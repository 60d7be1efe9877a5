//! Replies of real devices and captures (`tests/data/broken_frames.csv`, with their sources), as they were reported.

use super::{
    super::{
        ask::{Ask, ECHO},
        reach::{Place, Reach as _},
        rtu::{self, sealed},
        tcp::Session,
    },
    lab::{Door, Lab, Said},
    *,
};

const REPORTED: &str = include_str!("../../../../tests/data/broken_frames.csv");

/// What is to come of a reply.
#[derive(Clone, Copy, Debug)]
enum Due {
    Values(&'static [u16]),
    Refused(u8),
    Garbled(&'static str),
    Checksum,
}

struct Case {
    /// How its row in the file begins.
    source: &'static str,
    ask: (u8, u8, u16, u16),
    channel: Channel,
    reply: Vec<u8>,
    due: Due,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.chars().filter(|c| !c.is_whitespace() && *c != '|').collect();
    (0..digits.len() / 2).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap()).collect()
}

fn serial(echo: bool) -> Channel {
    let (device, parity) = ("/dev/lab".into(), Parity::None);
    Channel::Serial(Serial { device, baud: 9_600, data_bits: 8, parity, stop_bits: 1, echo, gap: None })
}

fn cases() -> Vec<Case> {
    let tcp = || Channel::tcp("lab");
    let long = |head: &str, count: usize| [bytes(head), vec![0; count]].concat();
    let case = |source, ask, channel, reply, due| Case { source, ask, channel, reply, due };
    let echoed: Vec<u8> = sealed([bytes("01 04 54"), vec![0x11; 84]].concat());
    let echo = [bytes("01 04 00 00 00 2a 71 d5"), echoed].concat();
    vec![
        case("pymodbus#2266", (1, 4, 1923, 1), tcp(), bytes("0001 0000 0006 01 04 02 00 FA"), Due::Values(&[0x00FA])),
        case("tmodbus#146", (1, 3, 0, 1), tcp(), bytes("18 58 00 00 00 04 01 83 03"), Due::Refused(3)),
        case("ITI", (10, 1, 0, 1), tcp(), bytes("00 01 00 00 00 04 0a 81 06 00"), Due::Refused(6)),
        case(
            "node-red-contrib-modbus#146",
            (1, 3, 0, 3),
            tcp(),
            bytes("00 01 00 00 00 06 01 03 06 01 00 00 00 00 34"),
            Due::Values(&[0x0100, 0, 0x34]),
        ),
        case(
            "node-red-contrib-modbus#541",
            (1, 3, 730, 1),
            tcp(),
            bytes("0001 0000 0007 01 03 04 00 00 01 2C"),
            Due::Garbled(
                "it holds 4 bytes where 2 were due: twice as many, as of a device whose registers have 32 bits",
            ),
        ),
        case(
            "esphome#2893",
            (0xF7, 3, 0x500A, 5),
            serial(false),
            sealed(long("F7 03 4A 5D DA", 72)),
            Due::Garbled("it holds 74 bytes where 10 were due"),
        ),
        case(
            "pymodbus#2371",
            (1, 3, 0, 1),
            serial(false),
            bytes("01 03 00 02 23 2C FC E7"),
            Due::Garbled("it holds 0 bytes where 2 were due: as of a device that counts in two bytes"),
        ),
        case(
            "goburrow#64",
            (1, 3, 0, 1),
            tcp(),
            bytes("0000 0000 0005 01 03 02 00 07"),
            Due::Garbled("it bears another transaction"),
        ),
        case("libmodbus#380", (1, 4, 0, 42), serial(true), echo.clone(), Due::Values(&[0x1111; 42])),
        case(
            "libmodbus#380",
            (1, 4, 0, 42),
            serial(false),
            echo,
            Due::Garbled("it holds 0 bytes where 84 were due: as of a device that counts in two bytes"),
        ),
        // The echo of this question alone has the form of an answer and its checksum.
        case(
            "libmodbus#380",
            (1, 1, 0x0300, 20),
            serial(false),
            sealed(bytes("01 01 03 00 00 14")),
            Due::Garbled(ECHO),
        ),
        case("modbus-serial PR#189", (1, 3, 0, 1), serial(false), sealed(bytes("01 83 02 00 00")), Due::Checksum),
        case(
            "zeek fuzz-1011",
            (0xFF, 4, 0, 100),
            tcp(),
            long("1a 3a 00 00 00 cb ff 04 81 00", 199),
            Due::Garbled("it holds 129 bytes where 200 were due"),
        ),
        case(
            "zeek fuzz-72",
            (1, 0x22, 0, 1),
            tcp(),
            bytes("00 00 02 00 00 03 01 a2 01"),
            Due::Garbled("it is no Modbus"),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_reported_broken_frame_gives_what_it_holds_or_is_refused_in_clear_words() {
    let patience = Duration::from_secs(1);
    for Case { source, ask: (unit, function, address, count), channel, reply, due } in cases() {
        let ask = Ask { unit, function, address, count };
        let transaction = if source.starts_with("goburrow") { 1 } else { u16::from_be_bytes([reply[0], reply[1]]) };
        let is_tcp = matches!(channel, Channel::Tcp { .. });
        let said = reply.clone();
        let mind = move |_: &[u8]| vec![(Duration::from_millis(3), Said::Bytes(said.clone()))];
        let door = Door(Lab::new(mind, if is_tcp { 12 } else { rtu::REQUEST_BYTES }, false, true));
        let outcome = if is_tcp {
            let mut session = Session::new(door.open(Place::Host("lab"), patience).await.unwrap());
            session.read(ask, transaction, patience).await
        } else {
            let mut line = rtu::Line::new(channel, Arc::new(door));
            line.open(patience).await.unwrap();
            line.read(ask, patience).await
        };
        let is_due = match (&outcome, due) {
            (Ok(values), Due::Values(held)) => values == held,
            (Err(Error::Refused(code)), Due::Refused(due)) => *code == due,
            (Err(Error::Garbled(why)), Due::Garbled(due)) => why == due,
            (Err(Error::Checksum), Due::Checksum) => true,
            _ => false,
        };
        assert!(is_due, "{source}: {outcome:?} where {due:?} was due");
    }
}

#[test]
fn no_reported_broken_frame_is_left_out() {
    let cases = cases();
    let mut rows = 0;
    for row in csv::Reader::from_reader(REPORTED.as_bytes()).records() {
        let row = row.unwrap();
        rows += 1;
        let of_row: Vec<&Case> = cases.iter().filter(|case| row[0].contains(case.source)).collect();
        assert!(!of_row.is_empty(), "{}", &row[0]);
        // Where the whole frame was reported, that frame it is.
        let hex = row[3].replace(['.', '|', ' '], "");
        if hex.len() >= 16 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            assert!(of_row.iter().any(|case| case.reply.starts_with(&bytes(&hex))), "{}", &row[0]);
        }
    }
    assert_eq!(rows, 12);
}
