//! The delivery against a real broker that is killed, wiped, locked and encrypted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mosquitto.rs"]
mod mosquitto;
#[path = "common/pki.rs"]
mod pki;

use andon::io::{
    journal::Row,
    mqtt::{self, Backlog, Broker, Farewell, Lane, Said, Settings, Will, Word, tls},
};
use mosquitto::{DEADLINE, Door, Message, Mosquitto, Subscriber, eventually};
use pki::Pki;
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

const STATUS: &str = "andon/v1/acme/_gateway/gw/status";

fn row(sequence: u64) -> Row {
    let padding = "x".repeat(300);
    Row {
        sequence,
        epoch: 1,
        kind: "state".into(),
        machine: Some("press-7".into()),
        topic: "andon/v1/acme/line-2/press-7/event/state".into(),
        topic_sequence: sequence,
        body: format!("{sequence} {padding}").into_bytes().into(),
        internal: String::new(),
    }
}

fn sequence(message: &Message) -> u64 {
    message.text().split(' ').next().unwrap().parse().unwrap()
}

/// What stands in for the journal.
#[derive(Clone, Default)]
struct Shelf {
    rows: Arc<Mutex<Vec<Row>>>,
    failures_to_come: Arc<AtomicU32>,
}

impl Backlog for Shelf {
    fn rows_after(&mut self, sequence: u64, limit: usize) -> Result<Vec<Row>, String> {
        if self.failures_to_come.load(Ordering::Relaxed) > 0 {
            self.failures_to_come.fetch_sub(1, Ordering::Relaxed);
            return Err("disk I/O error".into());
        }
        let rows = self.rows.lock().unwrap();
        let from = rows.partition_point(|row| row.sequence <= sequence);
        Ok(rows[from..].iter().take(limit).cloned().collect())
    }
}

struct Gateway {
    words: mpsc::UnboundedSender<Word>,
    said: mpsc::UnboundedReceiver<Said>,
    stop: watch::Sender<Option<Farewell>>,
    shelf: Shelf,
    task: JoinHandle<()>,
}

impl Gateway {
    fn start(settings: Settings, shelf: Shelf) -> Gateway {
        let (words, heard) = mpsc::unbounded_channel();
        let (say, said) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(None);
        let will = Will { topic: STATUS.into(), offline: b"offline".to_vec(), online: b"online".to_vec() };
        let task = tokio::spawn(mqtt::run(settings, will, 0, shelf.clone(), heard, say, stopped));
        Gateway { words, said, stop, shelf, task }
    }

    /// Written first, told then.
    fn commit(&self, rows: Vec<Row>) {
        self.shelf.rows.lock().unwrap().extend(rows.iter().cloned());
        self.words.send(Word::Committed(rows)).unwrap();
    }

    fn picture(&self, topic: &str, body: &str) {
        self.words.send(Word::Picture { topic: topic.into(), body: body.into() }).unwrap();
    }

    async fn said(&mut self) -> Said {
        timeout(DEADLINE, self.said.recv()).await.expect("a word in time").expect("a gateway that runs")
    }

    async fn until_connected(&mut self) -> String {
        loop {
            match self.said().await {
                Said::Connected { broker } => return broker,
                other => println!("{other:?}"),
            }
        }
    }

    async fn until_disconnected(&mut self) -> String {
        loop {
            if let Said::Disconnected { why, .. } = self.said().await {
                return why;
            }
        }
    }

    async fn until_acked(&mut self, sequence: u64) {
        while self.said().await != Said::Acked(sequence) {}
    }

    async fn leave(self) {
        self.leave_for(Farewell::Offline).await;
    }

    async fn leave_for(self, farewell: Farewell) {
        self.stop.send(Some(farewell)).unwrap();
        timeout(Duration::from_secs(2), self.task).await.expect("it leaves within two seconds").unwrap();
    }
}

fn settings(brokers: Vec<Broker>) -> Settings {
    Settings {
        brokers,
        client_id: "gw".into(),
        username: None,
        password_file: None,
        ca_file: None,
        cert_file: None,
        key_file: None,
        keep_alive: Duration::from_secs(30),
        filters: vec![],
        is_expected: false,
    }
}

fn plain(port: u16) -> Broker {
    Broker { host: "127.0.0.1".into(), port, tls: false }
}

fn dead_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn no_event_is_lost_or_out_of_order_while_the_broker_is_killed_three_times() {
    const LAST: u64 = 20_000;
    const KILLED_AT: [u64; 3] = [3_000, 8_000, 14_000];
    let mut broker = Mosquitto::start(&Door::Anonymous);
    drop(Subscriber::connect(broker.port, Some("mes"), "andon/v1/+/+/+/event/#").await);
    broker.save();

    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    let (mut acked, mut excused, mut received) = (0, BTreeSet::new(), BTreeSet::new());
    let mut fed = 0;
    for life in 0..=KILLED_AT.len() {
        let mes = Subscriber::connect(broker.port, Some("mes"), "andon/v1/+/+/+/event/#").await;
        let goal = KILLED_AT.get(life).copied().unwrap_or(LAST);
        let began_at = acked;
        let pubacks = broker.logged("Sending PUBACK to gw ");
        while acked < goal {
            // Always more than the window and less than everything: some of it goes through memory, some through the
            // journal only.
            while fed < LAST && fed < acked + 3_000 {
                gateway.commit((fed + 1..=fed + 50).map(row).collect());
                fed += 50;
            }
            if let Said::Acked(cursor) = gateway.said().await {
                assert!(cursor > acked, "{cursor} was acknowledged after {acked}");
                acked = cursor;
            }
        }
        let got: Vec<u64> = if life < KILLED_AT.len() {
            broker.kill();
            loop {
                match gateway.said().await {
                    Said::Acked(cursor) => acked = cursor,
                    Said::Disconnected { .. } => break,
                    Said::Connected { .. } | Said::Arrived(_) | Said::Dropped => {}
                }
            }
            mes.rest().await.iter().map(sequence).collect()
        } else {
            let mut mes = mes;
            let mut got = Vec::new();
            while got.last() != Some(&LAST) {
                got.push(sequence(&mes.next().await));
            }
            got
        };
        let pubacks = broker.logged("Sending PUBACK to gw ") - pubacks;
        assert!(acked - began_at <= pubacks as u64, "{began_at}..{acked} acknowledged by {pubacks} packets");
        assert!(got[0] <= began_at + 1, "life {life} began at {} and not at {}", got[0], began_at + 1);
        for pair in got.windows(2) {
            assert!(pair[1] <= pair[0] + 1, "a gap in life {life}: {} after {}", pair[1], pair[0]);
        }
        let last = *got.iter().max().unwrap();
        println!("life {life}: {}..={last}, {} messages, acknowledged {acked}", got[0], got.len());
        received.extend(got);
        if life < KILLED_AT.len() {
            // What the broker acknowledged and took to its grave; replay heals it, not the delivery.
            excused.extend(last + 1..=acked);
            broker.start_again();
        }
    }
    let missing: Vec<u64> = (1..=LAST).filter(|n| !received.contains(n) && !excused.contains(n)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert!(excused.len() < 1_000, "the broker lost {} messages, too many to prove anything", excused.len());
    gateway.leave().await;
}

#[tokio::test]
async fn a_backlog_of_five_thousand_goes_out_at_once() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut mes = Subscriber::connect(broker.port, None, "andon/v1/+/+/+/event/#").await;
    let shelf = Shelf::default();
    shelf.rows.lock().unwrap().extend((1..=5_000).map(row));
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), shelf);
    gateway.until_connected().await;
    let started = Instant::now();
    gateway.until_acked(5_000).await;
    println!("5000 events acknowledged in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    for expected in 1..=5_000 {
        let message = mes.next().await;
        assert_eq!((sequence(&message), message.retain), (expected, false));
        assert_eq!(message.payload, &*row(expected).body);
    }
    gateway.leave().await;
}

#[tokio::test]
async fn what_is_sent_again_never_delays_what_is_new_and_ends_with_the_connection() {
    const AGAIN: usize = 20_000;
    const REPLAY: &str = "andon/v1/acme/_gateway/gw/replay/mes";
    let mut broker = Mosquitto::start(&Door::Anonymous);
    let mut ear = Subscriber::connect(broker.port, None, "#").await;
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    let lane = || {
        let (bodies, from) = mpsc::channel::<Arc<[u8]>>(64);
        gateway.words.send(Word::Lane(Lane { topic: REPLAY.into(), bodies: from })).unwrap();
        bodies
    };
    let bodies = lane();
    let feeding = tokio::spawn(async move {
        for n in 0..AGAIN {
            bodies.send(format!("{n}").into_bytes().into()).await.unwrap();
        }
    });
    ear.until(|message| message.topic == REPLAY).await;
    gateway.commit((1..=500).map(row).collect());
    let (mut again, mut new, mut left) = (1, 0, None);
    while again < AGAIN || new < 500 {
        let message = ear.next().await;
        if message.topic == REPLAY {
            assert_eq!(message.text(), again.to_string(), "in order");
            again += 1;
        } else if message.topic.ends_with("/event/state") {
            new += 1;
            assert_eq!(sequence(&message), new);
            left = (new == 500).then_some(AGAIN - again);
        }
    }
    feeding.await.unwrap();
    let left = left.unwrap();
    println!("{left} of {AGAIN} were still to be sent again when the last of 500 new events arrived");
    assert!(left > AGAIN / 2, "{left}");

    // A lane that nobody takes from any more is closed, so that its reader ends.
    let bodies = lane();
    bodies.send(b"1".as_slice().into()).await.unwrap();
    ear.until(|message| message.topic == REPLAY && message.payload == b"1").await;
    broker.kill();
    gateway.until_disconnected().await;
    broker.start_again();
    gateway.until_connected().await;
    timeout(DEADLINE, bodies.closed()).await.expect("the lane is cut");
    gateway.leave().await;
}

#[tokio::test]
async fn a_journal_that_fails_for_a_while_only_delays() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let shelf = Shelf::default();
    shelf.rows.lock().unwrap().extend((1..=300).map(row));
    shelf.failures_to_come.store(2, Ordering::Relaxed);
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), shelf);
    gateway.until_connected().await;
    gateway.commit((301..=400).map(row).collect());
    gateway.until_acked(400).await;
    gateway.leave().await;
}

#[tokio::test]
async fn status_and_pictures_stand_again_after_the_broker_lost_everything() {
    let mut broker = Mosquitto::start(&Door::Anonymous);
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    // More topics than may be in the air at once, and most of them overtaken before they can be sent.
    for round in 0..20 {
        for machine in 0..100 {
            gateway.picture(&format!("p/{machine}/state"), &format!("{round}"));
        }
    }
    gateway.words.send(Word::Status(b"online since".to_vec())).unwrap();
    gateway.commit(vec![row(1)]);
    gateway.until_acked(1).await;
    broker.kill();
    gateway.until_disconnected().await;
    gateway.picture("p/7/state", "changed while nobody listened");
    broker.wipe();
    broker.start_again();
    gateway.until_connected().await;
    gateway.commit(vec![row(2)]);
    gateway.until_acked(2).await;

    let mut watcher = Subscriber::connect(broker.port, None, "#").await;
    let mut standing = std::collections::BTreeMap::new();
    while standing.len() < 101 {
        let message = watcher.next().await;
        // One that is published just now comes without the flag, and once more with it only to later subscribers.
        standing.insert(message.topic.clone(), message.text());
    }
    assert_eq!(standing.remove(STATUS).unwrap(), "online since");
    assert_eq!(standing.remove("p/7/state").unwrap(), "changed while nobody listened");
    assert!(standing.values().all(|body| body == "19"), "{standing:?}");
    let mut later = Subscriber::connect(broker.port, None, "p/7/state").await;
    assert!(later.next().await.retain);
    gateway.leave().await;
}

#[tokio::test]
async fn the_broker_says_offline_when_the_gateway_vanishes() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    let mut watcher = Subscriber::connect(broker.port, None, STATUS).await;
    watcher.until(|message| message.text() == "online").await;
    gateway.task.abort();
    watcher.until(|message| message.text() == "offline").await;
    let mut later = Subscriber::connect(broker.port, None, STATUS).await;
    let standing = later.next().await;
    assert_eq!((standing.text().as_str(), standing.retain), ("offline", true));
}

#[tokio::test]
async fn a_gateway_that_is_back_soon_leaves_without_a_word_and_keeps_its_promise() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut watcher = Subscriber::connect(broker.port, None, STATUS).await;
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    gateway.commit((1..=100).map(row).collect());
    assert_eq!(watcher.next().await.text(), "online");
    gateway.leave_for(Farewell::BackSoon).await;
    eventually("it takes leave", || broker.logged("Received DISCONNECT from gw") == 1);
    // Neither we nor the broker have said a word: the next one is that of the next program.
    let expected = Settings { is_expected: true, ..settings(vec![plain(broker.port)]) };
    let mut gateway = Gateway::start(expected.clone(), Shelf::default());
    gateway.until_connected().await;
    assert_eq!(watcher.next().await.text(), "online");
    gateway.leave_for(Farewell::BackSoon).await;
    // One that has no time to connect, but for this.
    let gateway = Gateway::start(expected, Shelf::default());
    gateway.leave().await;
    assert_eq!(watcher.next().await.text(), "offline");
    assert_eq!(watcher.received(), []);
}

#[tokio::test]
async fn a_gateway_that_leaves_delivers_first_and_says_offline_itself() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    let mut watcher = Subscriber::connect(broker.port, None, "#").await;
    watcher.until(|message| message.text() == "online").await;
    gateway.commit((1..=1_000).map(row).collect());
    gateway.picture("p/7/state", "last");
    let mut said = std::mem::replace(&mut gateway.said, mpsc::unbounded_channel().1);
    gateway.leave().await;
    let mut acked = 0;
    while let Some(word) = said.recv().await {
        if let Said::Acked(cursor) = word {
            acked = cursor;
        }
    }
    assert_eq!(acked, 1_000);
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "offline") {
        texts.push(watcher.next().await.text());
    }
    assert_eq!(texts.len(), 1_002);
    assert!(texts[texts.len() - 2].starts_with("1000 "));
    eventually("the broker hears a DISCONNECT", || broker.logged("Client gw disconnected.") == 1);
}

#[tokio::test]
async fn leaving_takes_no_time_when_no_broker_is_there() {
    let mut gateway = Gateway::start(settings(vec![plain(dead_port())]), Shelf::default());
    gateway.until_disconnected().await;
    let started = Instant::now();
    gateway.leave().await;
    assert!(started.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_wrong_password_is_said_once_and_tried_gently_until_the_file_is_corrected() {
    let broker = Mosquitto::start(&Door::Password { user: "andon", password: "secret" });
    let folder = TempDir::new().unwrap();
    let password_file = folder.path().join("password");
    fs::write(&password_file, "wrong\n").unwrap();
    let mut settings = settings(vec![plain(broker.port)]);
    settings.username = Some("andon".into());
    settings.password_file = Some(password_file.clone());
    let probes = broker.logged("New connection");
    let mut gateway = Gateway::start(settings, Shelf::default());
    let why = gateway.until_disconnected().await;
    assert_eq!(why, "not authorised: it refused username, password_file or the client id");
    let more = timeout(Duration::from_secs(3), gateway.said.recv()).await;
    assert!(more.is_err(), "said again: {more:?}");
    let attempts = broker.logged("New connection") - probes;
    assert!((2..=6).contains(&attempts), "{attempts} attempts in three seconds");

    fs::remove_file(&password_file).unwrap();
    assert!(gateway.until_disconnected().await.contains("password_file"));
    fs::write(&password_file, "secret\r\nnot this\n").unwrap();
    gateway.until_connected().await;
    gateway.leave().await;
}

#[tokio::test]
async fn the_second_broker_is_used_while_the_first_is_dead() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let dead = dead_port();
    let mut gateway = Gateway::start(settings(vec![plain(dead), plain(broker.port)]), Shelf::default());
    let Said::Disconnected { broker: first, why } = gateway.said().await else { panic!("the first was not tried") };
    assert_eq!(first, format!("mqtt://127.0.0.1:{dead}"));
    assert!(why.contains("refused"), "{why}");
    assert_eq!(gateway.until_connected().await, format!("mqtt://127.0.0.1:{}", broker.port));
    gateway.commit(vec![row(1)]);
    gateway.until_acked(1).await;
    gateway.leave().await;
}

#[tokio::test]
async fn a_picture_of_two_hundred_kilobytes_passes() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    let mut watcher = Subscriber::connect(broker.port, None, "p/#").await;
    let body = "y".repeat(200_000);
    gateway.picture("p/7/oee", &body);
    assert_eq!(watcher.next().await.text(), body);
    gateway.leave().await;
}

fn encrypted(broker: &Mosquitto, host: &str, ca: &Path, pair: Option<(PathBuf, PathBuf)>) -> Settings {
    let (cert_file, key_file) = pair.unzip();
    Settings {
        ca_file: Some(ca.into()),
        cert_file,
        key_file,
        ..settings(vec![Broker { host: host.into(), port: broker.port, tls: true }])
    }
}

#[tokio::test]
async fn events_pass_through_tls_with_a_client_certificate() {
    let pki = Pki::new("plant");
    for version in ["tlsv1.3", "tlsv1.2"] {
        let (cert, key) = pki.sign("localhost");
        let broker = Mosquitto::start(&Door::Tls { cert, key, clients: Some(pki.ca()), version });
        let settings = encrypted(&broker, "localhost", &pki.ca(), Some(pki.sign("gateway")));
        mqtt::check(&settings).unwrap();
        let mut gateway = Gateway::start(settings, Shelf::default());
        assert_eq!(gateway.until_connected().await, format!("mqtts://localhost:{}", broker.port));
        gateway.commit((1..=500).map(row).collect());
        gateway.until_acked(500).await;
        gateway.leave().await;
    }
}

#[tokio::test]
async fn each_failure_of_tls_is_told_in_the_words_of_the_settings() {
    let (pki, stranger) = (Pki::new("plant"), Pki::new("stranger"));
    let (cert, key) = pki.sign("localhost");
    let broker = Mosquitto::start(&Door::Tls { cert, key, clients: Some(pki.ca()), version: "tlsv1.3" });
    let why = async |settings: Settings| {
        let mut gateway = Gateway::start(settings, Shelf::default());
        let why = gateway.until_disconnected().await;
        gateway.leave().await;
        why
    };
    let ours = || Some(pki.sign("gateway"));
    let wrong_ca = why(encrypted(&broker, "localhost", &stranger.ca(), ours())).await;
    assert_eq!(wrong_ca, "its certificate is not signed by an authority of ca_file (or, without one, of the system)");
    let wrong_name = why(encrypted(&broker, "127.0.0.1", &pki.ca(), ours())).await;
    assert!(wrong_name.starts_with("its certificate is for another host name"), "{wrong_name}");
    let no_certificate = why(encrypted(&broker, "localhost", &pki.ca(), None)).await;
    assert!(no_certificate.starts_with("it refused our certificate: see cert_file and key_file"), "{no_certificate}");
    let strange = why(encrypted(&broker, "localhost", &pki.ca(), Some(stranger.sign("gateway")))).await;
    assert!(strange.starts_with("it refused our certificate: see cert_file and key_file"), "{strange}");
    let in_clear = Mosquitto::start(&Door::Anonymous);
    let no_tls = why(encrypted(&in_clear, "localhost", &pki.ca(), None)).await;
    assert!(!no_tls.is_empty());
    println!("TLS to a port without: {no_tls}");
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let pki = Pki::new("plant");
    let (cert, key) = pki.sign("gateway");
    let (_, other_key) = pki.sign("other");
    let folder = pki.folder.path().to_owned();
    let write = |name: &str, content: &str| {
        fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let empty = write("empty", "");
    let broken = write("broken", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let base = Settings { ca_file: Some(pki.ca()), ..settings(vec![Broker { host: "b".into(), port: 1, tls: true }]) };
    assert!(tls::prepare(&base).unwrap().is_some());
    assert!(tls::prepare(&settings(vec![plain(1)])).unwrap().is_none());
    let error = |change: &dyn Fn(&mut Settings)| {
        let mut settings = base.clone();
        change(&mut settings);
        mqtt::check(&settings).unwrap_err().to_string().replace(&*folder.to_string_lossy(), "")
    };
    assert_eq!(error(&|s| s.ca_file = Some(empty.clone())), "ca_file /empty: no certificate found in it");
    assert_eq!(error(&|s| s.ca_file = Some(key.clone())), "ca_file /gateway.key: no certificate found in it");
    assert_eq!(error(&|s| s.ca_file = Some(broken.clone())), "ca_file /broken: is not a PEM file");
    assert_eq!(error(&|s| s.ca_file = Some(folder.join("none"))), "ca_file /none: could not be read");
    assert_eq!(error(&|s| s.cert_file = Some(cert.clone())), "cert_file and key_file: one is given without the other");
    let pair =
        |cert: &Path, key: &Path| error(&|s| (s.cert_file, s.key_file) = (Some(cert.to_owned()), Some(key.to_owned())));
    assert_eq!(pair(&cert, &other_key), "key_file /other.key: cannot be used with cert_file /gateway.crt");
    assert_eq!(pair(&cert, &cert), "key_file /gateway.crt: no private key found in it");
    assert_eq!(pair(&empty, &key), "cert_file /empty: no certificate found in it");
    assert_eq!(error(&|s| s.password_file = Some(empty.clone())), "password_file /empty: its first line is empty");
    assert_eq!(error(&|s| s.password_file = Some(folder.join("none"))), "password_file /none: could not be read");
}

#[tokio::test]
async fn a_picture_that_is_too_large_for_a_packet_holds_nothing_else_up() {
    let broker = Mosquitto::start(&Door::Anonymous);
    let mut watcher = Subscriber::connect(broker.port, None, "p/8/oee").await;
    let mut gateway = Gateway::start(settings(vec![plain(broker.port)]), Shelf::default());
    gateway.until_connected().await;
    gateway.picture("p/7/oee", &"x".repeat(2 << 20));
    gateway.picture("p/8/oee", "small");
    gateway.commit(vec![row(1)]);
    gateway.until_acked(1).await;
    assert_eq!(watcher.next().await.text(), "small");
    gateway.leave().await;
}
