//! A real broker on a free port of the loopback, to be killed and started again, and a subscriber that is not ours.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Nothing here takes longer on a machine that is not broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Mosquitto {
    child: Option<Child>,
    pub port: u16,
    pub folder: TempDir,
}

/// Who may come in.
pub enum Door {
    Anonymous,
    Password {
        user: &'static str,
        password: &'static str,
    },
    /// PEM files; with `clients`, only certificates that it signed.
    Tls {
        cert: PathBuf,
        key: PathBuf,
        clients: Option<PathBuf>,
        version: &'static str,
    },
}

impl Mosquitto {
    /// Returns when it accepts connections.
    pub fn start(door: &Door) -> Mosquitto {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let door = match door {
            Door::Anonymous => "allow_anonymous true\n".to_owned(),
            Door::Password { user, password } => {
                let made = Command::new("mosquitto_passwd")
                    .arg("-b")
                    .arg("-c")
                    .arg(folder.path().join("passwords"))
                    .args([user, password])
                    .status();
                assert!(made.unwrap().success());
                format!("allow_anonymous false\npassword_file {path}/passwords\n")
            }
            Door::Tls { cert, key, clients, version } => {
                let clients = clients
                    .as_ref()
                    .map_or(String::new(), |ca| format!("cafile {}\nrequire_certificate true\n", ca.display()));
                let (cert, key) = (cert.display(), key.display());
                format!("allow_anonymous true\ncertfile {cert}\nkeyfile {key}\ntls_version {version}\n{clients}")
            }
        };
        // A free port can be taken by somebody else before the broker has it: then another one.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            // `user`: as root it would become somebody who must not read the folder. Nothing is saved but on request.
            let config = format!(
                "user root\nlistener {port} 127.0.0.1\n{door}persistence true\npersistence_location {path}/\n\
                 autosave_interval 0\nmax_queued_messages 0\nlog_type all\nlog_dest file {path}/log\n"
            );
            fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
            if let Some(child) = spawn(folder.path()) {
                return Mosquitto { child: Some(child), port, folder };
            }
        }
        panic!("mosquitto did not start: {}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    /// SIGKILL: what it acknowledged and had not delivered is forgotten.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// On the same port, with what was saved.
    pub fn start_again(&mut self) {
        self.child = Some(spawn(self.folder.path()).expect("the broker starts again"));
    }

    /// Writes sessions and subscriptions to disk, so that they outlive a kill.
    pub fn save(&self) {
        let saved = self.folder.path().join("mosquitto.db");
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), Signal::USR1).unwrap();
        eventually("the broker saves", || saved.exists());
    }

    /// Forgets what was saved.
    pub fn wipe(&self) {
        _ = fs::remove_file(self.folder.path().join("mosquitto.db"));
    }

    /// Lines of its log that contain this.
    pub fn logged(&self, what: &str) -> usize {
        logged(self.folder.path(), what)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn spawn(folder: &Path) -> Option<Child> {
    let before = logged(folder, " running");
    let mosquitto = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let mut child = Command::new(mosquitto)
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed");
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        // Its own word, not a connection: somebody else may sit on that port.
        if logged(folder, " running") > before {
            return Some(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn logged(folder: &Path, what: &str) -> usize {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().filter(|line| line.contains(what)).count()
}

/// Waits for something that can only be looked at.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub retain: bool,
    pub payload: Vec<u8>,
}

impl Message {
    pub fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).unwrap()
    }
}

/// One connection on a thread of its own; it ends with the connection.
pub struct Subscriber {
    messages: mpsc::UnboundedReceiver<Message>,
    _stays: oneshot::Sender<()>,
}

impl Subscriber {
    /// QoS 1. With an `id` the session outlives the connection. Returns when the broker has the subscription.
    pub async fn connect(port: u16, id: Option<&str>, filter: &str) -> Subscriber {
        let mut options = MqttOptions::new(id.unwrap_or("watcher"), ("127.0.0.1", port));
        options.set_clean_session(id.is_none()).set_max_packet_size(1 << 20, 1 << 20);
        let filter = filter.to_owned();
        let (tell, messages) = mpsc::unbounded_channel();
        let (subscribed, ready) = oneshot::channel();
        let (stays, gone) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = listen(options, filter, tell, subscribed) => {}
                    _ = gone => {}
                }
            });
        });
        timeout(DEADLINE, ready).await.expect("the subscription stands in time").expect("the subscription stands");
        Subscriber { messages, _stays: stays }
    }

    pub async fn next(&mut self) -> Message {
        timeout(DEADLINE, self.messages.recv()).await.expect("a message in time").expect("a broker that is there")
    }

    /// The next one that is as wanted; others are passed over.
    pub async fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().await;
            if wanted(&message) {
                return message;
            }
        }
    }

    /// What was received up to now.
    pub fn received(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }

    /// Everything up to the end of the connection.
    pub async fn rest(mut self) -> Vec<Message> {
        let all = async {
            let mut all = Vec::new();
            while let Some(message) = self.messages.recv().await {
                all.push(message);
            }
            all
        };
        timeout(DEADLINE, all).await.expect("the connection ends")
    }
}

async fn listen(
    options: MqttOptions,
    filter: String,
    tell: mpsc::UnboundedSender<Message>,
    subscribed: oneshot::Sender<()>,
) {
    let (client, mut eventloop) = AsyncClient::builder(options).capacity(10).build();
    client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    let mut subscribed = Some(subscribed);
    while let Ok(event) = eventloop.poll().await {
        match event {
            Event::Incoming(Packet::SubAck(_)) => {
                _ = subscribed.take().map(|subscribed| subscribed.send(()));
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                let message = Message { topic, retain: publish.retain, payload: publish.payload.to_vec() };
                _ = tell.send(message);
            }
            _ => {}
        }
    }
}
