//! `andon calendar` as a shell sees it: what the configuration means, day by day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/andon.rs"]
mod andon;
#[path = "common/mosquitto.rs"]
mod mosquitto;

use andon::{Answer, Place};
use expect_test::expect;
use serde_json::Value;

const PLANT: &str = r#"day_start = "06:00"

[gateway]
id = "gw"
path = "acme/hall-3"
timezone = "Europe/Berlin"

[[plc]]
id = "plc"
tcp = "127.0.0.1:502"
[plc.points]
a = { coil = 0 }
b = { coil = 1 }
c = { coil = 2 }

[[machine]]
id = "press-7"
line = "line-2"
run = "plc.a"

[[machine]]
id = "oven"
line = "line-3"
run = "plc.b"

[[machine]]
id = "press-8"
line = "line-2"
run = "plc.c"
"#;

const SHIFTS: &str = r#"
[[shift]]
id = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
breaks = [{ start = "12:00", end = "12:30" }, { start = "09:00", end = "09:15" }]
lines = ["line-2"]

[[shift]]
id = "night"
days = ["fri", "sat", "sun"]
start = "22:00"
end = "06:00"
breaks = [{ start = "02:30", end = "03:00" }]
lines = ["line-2"]

[[shift]]
id = "extra"
dates = ["2026-12-26"]
start = "06:00"
end = "12:00"
machines = ["press-7", "press-8"]

[[holiday]]
from = "2026-12-25"
until = 2026-12-26
name = "Christmas"

[[planned_stop]]
name = "maintenance"
days = ["mon"]
start = "11:00"
end = "12:15"

[[planned_stop]]
from = 2026-12-31T12:00:00
until = "2027-01-01"
lines = ["line-2"]
"#;

fn calendar(words: &[&str]) -> Answer {
    Place::with(&format!("{PLANT}{SHIFTS}")).ask(&[&["calendar", "-c", "andon.toml"], words].concat())
}

fn table(words: &[&str]) -> String {
    let answer = calendar(words);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{}", answer.out);
    assert!(answer.out.lines().all(|line| line.chars().count() <= 80), "{}", answer.out);
    answer.out
}

#[test]
fn machines_with_one_calendar_stand_together_and_the_doubled_hour_is_said() {
    expect![[r#"
        press-7, press-8
          Europe/Berlin; days begin at 06:00

        Fri 2026-10-23  planned 14 h 45 min
          early  06:00+02:00 – 14:00+02:00  04:00Z – 12:00Z  7 h 15 min
                 09:00+02:00 – 09:15+02:00  break
                 12:00+02:00 – 12:30+02:00  break
          night  22:00+02:00 – 06:00+02:00  20:00Z – 04:00Z  7 h 30 min
                 02:30+02:00 – 03:00+02:00  break

        Sat 2026-10-24  planned 8 h 30 min
          night  22:00+02:00 – 06:00+01:00  20:00Z – 05:00Z  8 h 30 min
                 02:30+02:00 – 02:00+01:00  break
                 ! the clock goes back 1 h, to 02:00: this shift has 9 h

        Sun 2026-10-25  planned 7 h 30 min
          night  22:00+01:00 – 06:00+01:00  21:00Z – 05:00Z  7 h 30 min
                 02:30+01:00 – 03:00+01:00  break

        Mon 2026-10-26  planned 6 h 15 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  6 h 15 min
                 09:00+01:00 – 09:15+01:00  break
                 11:00+01:00 – 12:15+01:00  planned stop: maintenance
                 12:15+01:00 – 12:30+01:00  break

        oven
          Europe/Berlin; days begin at 06:00
          no [[shift]]: planned to run around the clock

        Fri 2026-10-23  planned 24 h

        Sat 2026-10-24  planned 25 h
          ! the clock goes back 1 h, to 02:00: this day has 25 h

        Sun 2026-10-25  planned 24 h

        Mon 2026-10-26  planned 22 h 45 min
          11:00+01:00 – 12:15+01:00  planned stop: maintenance
    "#]]
    .assert_eq(&table(&["--from", "2026-10-23", "--to", "2026-10-26"]));
}

#[test]
fn the_skipped_hour_is_said() {
    expect![[r#"
        press-7, press-8
          Europe/Berlin; days begin at 06:00

        Sat 2026-03-28  planned 6 h 30 min
          night  22:00+01:00 – 06:00+02:00  21:00Z – 04:00Z  6 h 30 min
                 03:00+02:00 – 03:30+02:00  break
                 ! the clock goes forward 1 h, to 03:00: this shift has 7 h

        oven
          Europe/Berlin; days begin at 06:00
          no [[shift]]: planned to run around the clock

        Sat 2026-03-28  planned 23 h
          ! the clock goes forward 1 h, to 03:00: this day has 23 h
    "#]]
    .assert_eq(&table(&["--from", "2026-03-28", "--to", "2026-03-28"]));
}

#[test]
fn holidays_extra_shifts_and_single_stops_are_shown() {
    expect![[r#"
        press-8
          Europe/Berlin; days begin at 06:00

        Thu 2026-12-24  planned 7 h 15 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  7 h 15 min
                 09:00+01:00 – 09:15+01:00  break
                 12:00+01:00 – 12:30+01:00  break

        Fri 2026-12-25  not planned  holiday: Christmas

        Sat 2026-12-26  planned 6 h  holiday: Christmas
          extra  06:00+01:00 – 12:00+01:00  05:00Z – 11:00Z  6 h

        Sun 2026-12-27  planned 7 h 30 min
          night  22:00+01:00 – 06:00+01:00  21:00Z – 05:00Z  7 h 30 min
                 02:30+01:00 – 03:00+01:00  break

        Mon 2026-12-28  planned 6 h 15 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  6 h 15 min
                 09:00+01:00 – 09:15+01:00  break
                 11:00+01:00 – 12:15+01:00  planned stop: maintenance
                 12:15+01:00 – 12:30+01:00  break

        Tue 2026-12-29  planned 7 h 15 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  7 h 15 min
                 09:00+01:00 – 09:15+01:00  break
                 12:00+01:00 – 12:30+01:00  break

        Wed 2026-12-30  planned 7 h 15 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  7 h 15 min
                 09:00+01:00 – 09:15+01:00  break
                 12:00+01:00 – 12:30+01:00  break

        Thu 2026-12-31  planned 5 h 45 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  5 h 45 min
                 09:00+01:00 – 09:15+01:00  break
                 12:00+01:00 – 14:00+01:00  planned stop

        Fri 2027-01-01  planned 0 min
          early  06:00+01:00 – 14:00+01:00  05:00Z – 13:00Z  0 min
                 06:00+01:00 – 14:00+01:00  planned stop
          night  22:00+01:00 – 06:00+01:00  21:00Z – 05:00Z  0 min
                 22:00+01:00 – 06:00+01:00  planned stop
    "#]]
    .assert_eq(&table(&["--machine", "press-8", "--from", "2026-12-24", "--to", "2027-01-01"]));
}

#[test]
fn programs_get_every_slot() {
    let answer = calendar(&["--machine", "press-7", "--from", "2026-10-24", "--to", "2026-10-24", "--format", "json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    expect![[r#"
        {
          "timezone": "Europe/Berlin",
          "day_start": "06:00",
          "calendars": [
            {
              "machines": [
                "press-7"
              ],
              "around_the_clock": false,
              "days": [
                {
                  "date": "2026-10-24",
                  "weekday": "Sat",
                  "from": "2026-10-24T06:00:00+02:00",
                  "to": "2026-10-25T06:00:00+01:00",
                  "length_ms": 90000000,
                  "planned_ms": 30600000,
                  "holiday": null,
                  "clock_changes": [
                    {
                      "at": "2026-10-25T02:00:00+01:00",
                      "by_ms": -3600000
                    }
                  ],
                  "shifts": [
                    {
                      "id": "2026-10-24/night",
                      "from": "2026-10-24T22:00:00+02:00",
                      "to": "2026-10-25T06:00:00+01:00",
                      "length_ms": 32400000,
                      "planned_ms": 30600000,
                      "clock_changes": [
                        {
                          "at": "2026-10-25T02:00:00+01:00",
                          "by_ms": -3600000
                        }
                      ],
                      "slots": [
                        {
                          "from": "2026-10-24T22:00:00+02:00",
                          "to": "2026-10-25T02:30:00+02:00",
                          "length_ms": 16200000,
                          "hours": "planned",
                          "names": []
                        },
                        {
                          "from": "2026-10-25T02:30:00+02:00",
                          "to": "2026-10-25T02:00:00+01:00",
                          "length_ms": 1800000,
                          "hours": "break",
                          "names": []
                        },
                        {
                          "from": "2026-10-25T02:00:00+01:00",
                          "to": "2026-10-25T06:00:00+01:00",
                          "length_ms": 14400000,
                          "hours": "planned",
                          "names": []
                        }
                      ]
                    }
                  ]
                }
              ]
            }
          ]
        }
    "#]]
    .assert_eq(&answer.out);
}

#[test]
fn without_shifts_there_are_days() {
    let place = Place::with(PLANT);
    let answer = place.ask(&["calendar", "-c", "andon.toml", "--from", "2026-10-24", "--to", "2026-10-25"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    expect![[r#"
        press-7, oven, press-8
          Europe/Berlin; days begin at 06:00
          no [[shift]]: planned to run around the clock

        Sat 2026-10-24  planned 25 h
          ! the clock goes back 1 h, to 02:00: this day has 25 h

        Sun 2026-10-25  planned 24 h
    "#]]
    .assert_eq(&answer.out);
}

#[test]
fn seven_days_are_shown_where_nothing_is_said() {
    let days = |words: &[&str]| {
        let answer = calendar(&[&["--format", "json", "--machine", "oven"], words].concat());
        let sheet: Value = serde_json::from_str(&answer.out).unwrap();
        let days = sheet["calendars"][0]["days"].as_array().unwrap().clone();
        days.iter().map(|day| day["date"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(days(&[]).len(), 7);
    let week = days(&["--from", "2027-02-25"]);
    assert_eq!((week.len(), week[0].as_str(), week[6].as_str()), (7, "2027-02-25", "2027-03-03"));
}

#[test]
fn a_wrong_question_is_refused() {
    let refused = |words: &[&str]| {
        let answer = calendar(words);
        assert_eq!((answer.code, answer.out.as_str()), (64, ""), "{words:?}");
        answer.err
    };
    assert_eq!(
        refused(&["--machine", "press-9"]),
        "there is no machine press-9\nhint: there are press-7, oven, press-8\n"
    );
    assert_eq!(
        refused(&["--from", "2026-12-24", "--to", "2026-12-23"]),
        "--to 2026-12-23 is before --from 2026-12-24\n"
    );
    assert_eq!(
        refused(&["--from", "2026-01-01", "--to", "2030-01-01"]),
        "from 2026-01-01 to 2030-01-01 are more than 400 days\n"
    );
    assert!(refused(&["--from", "24.12.2026"]).contains("a date is year-month-day: 2026-12-24"));
    assert!(refused(&["--from", "2026-02-29"]).contains("a date is year-month-day: 2026-12-24"));
}
