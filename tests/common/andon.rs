//! The real binary in a folder of its own, the PLC that it polls and an ear at its broker that is not ours.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

#[path = "described.rs"]
mod described;

use self::described::Described;
use crate::mosquitto::{DEADLINE, Mosquitto, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long the daemon may take to leave after SIGTERM: two seconds, and what the last sync takes on a busy disk.
pub const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Ticks of `/proc/PID/stat` in a second, on every Linux that this runs on.
const TICKS_A_SECOND: u64 = 100;

/// A folder with `andon.toml`, its data folder and what systemd would give as runtime folder.
pub struct Place {
    pub folder: TempDir,
}

impl Place {
    /// `{folder}` in the configuration becomes the folder's path.
    pub fn with(config: &str) -> Place {
        let folder = TempDir::new().unwrap();
        let place = Place { folder };
        fs::create_dir(place.path("run")).unwrap();
        place.configure(config);
        place
    }

    pub fn configure(&self, config: &str) {
        let config = config.replace("{folder}", self.folder.path().to_str().unwrap());
        fs::write(self.path("andon.toml"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `andon WORDS…`, in the folder; nothing of this process' environment that the program listens to.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = andon(words);
        command.current_dir(self.folder.path()).env("RUNTIME_DIRECTORY", self.path("run"));
        command
    }

    /// To its end.
    pub fn ask(&self, words: &[&str]) -> Answer {
        Answer::of(self.command(words))
    }

    /// `andon run -c andon.toml WORDS…`, up and running.
    pub fn run(&self, words: &[&str]) -> Daemon {
        let mut command = self.command(&["run", "-c", "andon.toml"]);
        command.args(words);
        let daemon = Daemon::spawn(command);
        daemon.until_logged("gateway started");
        daemon
    }

    pub fn report(&self, words: &[&str]) -> Value {
        let answer =
            self.ask(&[&["report", "-c", "andon.toml", "--format", "json", "--window", "all"], words].concat());
        assert_eq!(answer.code, 0, "{}", answer.err);
        serde_json::from_str(&answer.out).unwrap()
    }
}

pub fn andon(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let is_heard = name.to_str().is_some_and(|name| name.starts_with("ANDON_"));
        if is_heard
            || ["RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"].iter().any(|heard| name == *heard)
        {
            command.env_remove(name);
        }
    }
    command
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// Of a command that ends by itself, and is killed if it does not.
    pub fn of(mut command: Command) -> Answer {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let id = Pid::from_child(&child);
        let (ended, is_over) = mpsc::channel::<()>();
        let guard = thread::spawn(move || {
            if is_over.recv_timeout(2 * DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                _ = kill_process(id, Signal::KILL);
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        guard.join().unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A process that goes on; killed with the test.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    pub fn spawn(mut command: Command) -> Daemon {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, into) = (child.stderr.take().unwrap(), log.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *into.lock().unwrap() += &(line + "\n");
            }
        });
        Daemon { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Lines of the log that contain this.
    pub fn logged(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }

    pub fn until_logged(&self, what: &str) {
        let started = Instant::now();
        while self.logged(what) == 0 {
            assert!(started.elapsed() < DEADLINE, "not logged: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Warnings and errors so far.
    pub fn troubles(&self) -> Vec<String> {
        let is_trouble = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
        self.log().lines().filter(is_trouble).map(str::to_owned).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it leaves in time and without a fault. Gives what it logged.
    pub fn stop(mut self) -> String {
        let asked = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.until_ended();
        let took = asked.elapsed();
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(took < LEAVES_WITHIN, "it took {took:?} to leave\n{}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
        self.log()
    }

    pub fn until_ended(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("the process ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Processor time that it has used.
    pub fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the log of the daemon:\n{}", self.log());
        }
    }
}

/// Another program that says on its stdout where it is; killed with the test.
pub struct Peer {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub fn start(command: &mut Command) -> Peer {
        Peer::telling(command, b"")
    }

    /// One that reads this first.
    pub fn telling(command: &mut Command, what: &[u8]) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(what).unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Peer { child, said }
    }

    pub fn line(&mut self) -> String {
        self.said.next().expect("it says one more line").unwrap()
    }

    /// `None` if it goes on after this time.
    pub fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < time {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `mosquitto_pub`: what somebody else publishes, at QoS 1; returns when the broker has it.
pub fn publish(broker: &Mosquitto, topic: &str, body: &[u8], words: &[&str]) {
    let port = broker.port.to_string();
    let mut child = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-s"])
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto-clients is installed");
    child.stdin.take().unwrap().write_all(body).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What andon says of its own messages; whatever an [`Ear`] hears is held against it.
static DESCRIBED: LazyLock<Described> = LazyLock::new(|| Described::of(&::andon::wire::schema::asyncapi()));

/// Events as `replay --events` writes them, each as it is described.
pub fn events(lines: &str) -> Vec<Value> {
    let events = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    events.inspect(|event| assert_eq!(DESCRIBED.event(event), None)).collect()
}

/// `mosquitto_sub`: what a consumer gets, byte for byte. What is not as the AsyncAPI document has it fails the test.
pub struct Ear {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
    reader: Option<JoinHandle<Vec<String>>>,
    is_checked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub retained: bool,
    pub body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Ear {
    /// Hears from now on.
    pub fn open(broker: &Mosquitto, filter: &str) -> Ear {
        let (host, port) = ("127.0.0.1".to_owned(), broker.port.to_string());
        Ear::with(broker, filter, &["-h", &host, "-p", &port])
    }

    /// The same, where it is not andon that speaks.
    pub fn unchecked(broker: &Mosquitto, filter: &str) -> Ear {
        let mut ear = Ear::open(broker, filter);
        ear.is_checked = false;
        ear
    }

    /// With a session of this name, which outlives the connection.
    pub fn named(broker: &Mosquitto, name: &str, filter: &str) -> Ear {
        let port = broker.port.to_string();
        Ear::with(broker, filter, &["-h", "127.0.0.1", "-p", &port, "-c", "-i", name])
    }

    pub fn with(broker: &Mosquitto, filter: &str, words: &[&str]) -> Ear {
        static EARS: AtomicUsize = AtomicUsize::new(0);
        let own = format!("ear-{}", EARS.fetch_add(1, Ordering::Relaxed));
        // The daemon subscribes too.
        let (id, named) = match words.iter().position(|word| *word == "-i") {
            Some(place) => (words[place + 1], vec![]),
            None => (own.as_str(), vec!["-i", own.as_str()]),
        };
        let answer = format!("Sending SUBACK to {id}");
        let before = broker.logged(&answer);
        let mut child = Command::new("mosquitto_sub")
            .args(words)
            .args(named)
            .args(["-q", "1", "-t", filter, "-F", "%r %t %p"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto-clients is installed");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (stdout, into) = (child.stdout.take().unwrap(), heard.clone());
        let reader = thread::spawn(move || {
            let mut faults = Vec::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut parts = line.splitn(3, ' ').map(str::to_owned);
                let (retained, topic, body) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
                let heard = Heard { topic, retained: retained == "1", body };
                into.lock().unwrap().push(heard.clone());
                faults.extend(DESCRIBED.fault(&heard.topic, heard.body.as_bytes()));
            }
            faults
        });
        eventually("the subscription stands", || broker.logged(&answer) > before);
        Ear { child, heard, reader: Some(reader), is_checked: true }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The first that was heard and is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let mut found = None;
        eventually(what, || {
            found = self.heard.lock().unwrap().iter().find(|heard| wanted(heard)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// The durable events, each as often as it came.
    pub fn events(&self) -> Vec<Value> {
        self.heard().iter().filter(|heard| heard.topic.contains("/event/")).map(Heard::json).collect()
    }

    /// The first event of this type (`downtime.opened`) that is as wanted.
    pub fn until_event(&self, word: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let kind = format!("andon.{word}.v1");
        let is_it = |heard: &Heard| {
            heard.topic.contains("/event/") && {
                let event = heard.json();
                event["type"] == *kind && wanted(&event)
            }
        };
        self.until(word, is_it).json()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        let faults = self.reader.take().unwrap().join().unwrap();
        if thread::panicking() {
            for heard in self.heard().iter().filter(|heard| heard.topic.contains("/event/")) {
                let event = heard.json();
                let data = &event["data"];
                eprintln!(
                    "heard {} {} {} {} {}{}{}",
                    event["sequence"],
                    event["time"],
                    event["type"],
                    data["machine"],
                    data["state"],
                    data["number"],
                    data["text"]
                );
            }
        } else {
            assert!(
                !self.is_checked || faults.is_empty(),
                "not as the AsyncAPI document has it:\n{}",
                faults.join("\n")
            );
        }
    }
}

/// Every event once, by sequence. A sequence stands for the same bytes for ever, and none is left out.
pub fn gapless(heard: &[Heard]) -> Vec<Value> {
    let mut by_sequence: BTreeMap<u64, &str> = BTreeMap::new();
    for heard in heard.iter().filter(|heard| heard.topic.contains("/event/")) {
        let sequence = heard.json()["sequence"].as_str().unwrap().parse().unwrap();
        let first = by_sequence.entry(sequence).or_insert(&heard.body);
        assert_eq!(*first, heard.body, "sequence {sequence} was used twice");
    }
    let sequences: Vec<u64> = by_sequence.keys().copied().collect();
    let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, expected, "a sequence is missing");
    by_sequence.values().map(|body| serde_json::from_str(body).unwrap()).collect()
}

/// How a PLC behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Answers,
    /// Accepts, reads and says nothing.
    Silent,
    /// Answers with bytes that are no Modbus.
    Babbles,
    /// Answers in the right form to the wrong question.
    Lies,
}

/// A Modbus TCP server whose registers the test sets.
pub struct Plc {
    pub port: u16,
    image: Arc<Mutex<Image>>,
}

struct Image {
    coils: BTreeMap<u16, bool>,
    words: BTreeMap<u16, u16>,
    mood: Mood,
    requests: u64,
    connections: Vec<TcpStream>,
    is_gone: bool,
}

impl Plc {
    /// Coil 0 is clear, every register 0.
    pub fn start() -> Plc {
        Plc::listen(0)
    }

    /// At a port where nobody was so far.
    pub fn listen(port: u16) -> Plc {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let image = Arc::new(Mutex::new(Image {
            coils: BTreeMap::new(),
            words: BTreeMap::new(),
            mood: Mood::Answers,
            requests: 0,
            connections: Vec::new(),
            is_gone: false,
        }));
        let shown = image.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut image = shown.lock().unwrap();
                if image.is_gone {
                    return;
                }
                image.connections.push(stream.try_clone().unwrap());
                let shown = shown.clone();
                thread::spawn(move || answer(stream, &shown));
            }
        });
        Plc { port, image }
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap()
    }

    pub fn coil(&self, address: u16, set: bool) {
        self.image().coils.insert(address, set);
    }

    pub fn word(&self, address: u16, value: u16) {
        self.image().words.insert(address, value);
    }

    /// Two registers, high word first.
    pub fn long(&self, address: u16, value: u32) {
        let [a, b, c, d] = value.to_be_bytes();
        let mut image = self.image();
        image.words.insert(address, u16::from_be_bytes([a, b]));
        image.words.insert(address + 1, u16::from_be_bytes([c, d]));
    }

    pub fn mood(&self, mood: Mood) {
        self.image().mood = mood;
    }

    pub fn requests(&self) -> u64 {
        self.image().requests
    }

    /// Everything that stands in the registers now was seen.
    pub fn until_polled(&self) {
        // The second from now on began after now.
        let goal = self.requests() + 4;
        eventually("the PLC is polled", || self.requests() >= goal);
    }
}

impl Drop for Plc {
    /// Connections are cut and the port is free.
    fn drop(&mut self) {
        let mut image = self.image();
        image.is_gone = true;
        for connection in &image.connections {
            _ = connection.shutdown(Shutdown::Both);
        }
        drop(image);
        _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn answer(mut stream: TcpStream, image: &Mutex<Image>) {
    _ = stream.set_nodelay(true);
    let mut asked = [0; 12];
    while stream.read_exact(&mut asked).is_ok() {
        let mut image = image.lock().unwrap();
        image.requests += 1;
        let reply = match image.mood {
            Mood::Silent => continue,
            Mood::Babbles => b"220 mail.example.com ESMTP ready\r\n".to_vec(),
            Mood::Lies => {
                let mut reply = image.reply(&asked);
                reply[1] ^= 0x55;
                reply
            }
            Mood::Answers => image.reply(&asked),
        };
        drop(image);
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

impl Image {
    fn reply(&self, asked: &[u8; 12]) -> Vec<u8> {
        let number = |at: usize| u16::from_be_bytes([asked[at], asked[at + 1]]);
        let (function, from, count) = (asked[7], number(8), number(10));
        let addresses = from..from + count;
        let body: Vec<u8> = match function {
            1 | 2 => {
                let mut bytes = vec![0; usize::from(count).div_ceil(8)];
                for (place, address) in addresses.enumerate() {
                    bytes[place / 8] |= u8::from(self.coils.get(&address) == Some(&true)) << (place % 8);
                }
                bytes
            }
            3 | 4 => addresses.flat_map(|at| self.words.get(&at).copied().unwrap_or(0).to_be_bytes()).collect(),
            other => panic!("function {other}: nothing but reads may come"),
        };
        let length = u8::try_from(body.len()).unwrap();
        let mut reply = vec![asked[0], asked[1], 0, 0, 0, length + 3, asked[6], function, length];
        reply.extend(body);
        reply
    }
}

/// Where nobody listens.
pub fn dead_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// What lies in a folder, for a look before and after.
pub fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
