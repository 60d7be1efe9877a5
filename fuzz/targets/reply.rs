//! Any bytes as a device's replies in; exactly as many values as were asked for or an error out, never a panic.
#![no_main]

use andon::{
    config::load_text,
    io::plc::{Settings, probe::Probe},
    signal::point::Area,
};
use libfuzzer_sys::fuzz_target;
use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::LocalSet,
};

/// What is asked, in bytes.
const REQUEST_BYTES: usize = 12;
/// Of a device that keeps the connection and says too little. The clock is paused: where nobody has anything to do it jumps,
/// and a time-out costs nothing.
const PATIENCE: Duration = Duration::from_millis(500);

const CONFIG: &str = r#"
[gateway]
id = "gw"
path = "a/b"
timezone = "UTC"
[mqtt]
brokers = ["mqtt://127.0.0.1:1"]
[[plc]]
id = "p"
tcp = "127.0.0.1:1"
[plc.points]
r = { coil = 0 }
[[machine]]
id = "m"
line = "l"
run = "p.r"
"#;

/// What the device says to one request.
struct Reply {
    /// Bears the request's transaction and unit, and the length that it has.
    is_framed: bool,
    hangs_up: bool,
    bytes: Vec<u8>,
}

type Script = Rc<RefCell<VecDeque<Reply>>>;

struct Bench {
    runtime: Runtime,
    local: LocalSet,
    settings: Settings,
    script: Script,
}

thread_local! {
    static BENCH: Bench = bench();
}

fn bench() -> Bench {
    let (mut plan, _) = load_text("fuzz.toml", CONFIG).unwrap_or_else(|faults| panic!("{}", faults[0].render()));
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let local = LocalSet::new();
    let script = Script::default();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let mut settings = plan.plcs.remove(0);
    settings.channel = andon::io::plc::Channel::tcp(listener.local_addr().expect("an address").to_string());
    settings.timeout = PATIENCE;
    let device = Rc::clone(&script);
    local.spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::task::spawn_local(serve(stream, Rc::clone(&device)));
        }
    });
    Bench { runtime, local, settings, script }
}

async fn serve(mut stream: TcpStream, script: Script) {
    // No port may wait for a minute after each input.
    stream.set_zero_linger().expect("an option");
    let mut request = [0; REQUEST_BYTES];
    while stream.read_exact(&mut request).await.is_ok() {
        let Some(Reply { is_framed, hangs_up, mut bytes }) = script.borrow_mut().pop_front() else { break };
        if is_framed && bytes.len() > 7 {
            bytes[..4].copy_from_slice(&request[..4]);
            let length = u16::try_from(bytes.len() - 6).unwrap_or(u16::MAX);
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            bytes[6] = request[6];
        }
        if stream.write_all(&bytes).await.is_err() || hangs_up {
            break;
        }
    }
    let _ = stream.shutdown().await;
    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {}
}

/// `flags, low byte of the count, address, length, bytes …` for each request.
fn split(mut input: &[u8]) -> (Vec<(Area, u16, u16)>, VecDeque<Reply>) {
    let (mut asks, mut replies) = (Vec::new(), VecDeque::new());
    while let [flags, count, address, length, rest @ ..] = input {
        let area = [Area::Coil, Area::Discrete, Area::Holding, Area::Input][usize::from(flags & 3)];
        let most = if area.is_bits() { 2000 } else { 125 };
        let count = (u16::from(*count) | u16::from(flags >> 5) << 8) % most + 1;
        asks.push((area, u16::from(*address) << 4, count));
        let (bytes, next) = rest.split_at(usize::from(*length).min(rest.len()));
        replies.push_back(Reply { is_framed: flags & 4 != 0, hangs_up: flags & 8 == 0, bytes: bytes.to_vec() });
        input = next;
    }
    (asks, replies)
}

fuzz_target!(|input: &[u8]| {
    let (asks, replies) = split(input);
    if asks.is_empty() {
        return;
    }
    BENCH.with(|bench| {
        *bench.script.borrow_mut() = replies;
        bench.local.block_on(&bench.runtime, async {
            let mut probe = Probe::new(bench.settings.clone());
            for (area, address, count) in asks {
                if let Ok(values) = probe.read(area, address, count).await {
                    assert_eq!(values.len(), usize::from(count), "as many as were asked for");
                    assert!(!area.is_bits() || values.iter().all(|bit| *bit <= 1), "bits");
                }
            }
        });
    });
});
