//! Any bytes as a device's replies in; exactly as many values as were asked for or an error out, never a panic.
#![no_main]

use andon::{
    config::load_text,
    io::plc::{Channel, Opening, Place, Reach, Settings, Stream, probe::Probe},
    signal::point::Area,
};
use libfuzzer_sys::fuzz_target;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
};

/// Of a device that keeps the connection and says too little. The clock is paused: where nobody has anything to do it jumps,
/// and a time-out costs nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Of one execution: what a request does to the next few shows early.
const REQUESTS_MOST: usize = 4;

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
    /// Bears what a reply needs to be one: of TCP the request's transaction and unit, and the length that it has; of RTU
    /// the request's unit and a checksum.
    is_framed: bool,
    hangs_up: bool,
    /// The half of it comes first.
    is_split: bool,
    bytes: Vec<u8>,
}

/// A device in memory, and the replies that it still has.
struct Device {
    is_rtu: bool,
    script: Arc<Mutex<VecDeque<Reply>>>,
}

impl Reach for Device {
    fn open<'a>(&'a self, _: Place<'a>, _: Duration) -> Opening<'a> {
        let line = Line { is_rtu: self.is_rtu, script: Arc::clone(&self.script), said: VecDeque::new(), ends: false };
        Box::pin(async move { Ok(Box::new(line) as Box<dyn Stream>) })
    }
}

struct Line {
    is_rtu: bool,
    script: Arc<Mutex<VecDeque<Reply>>>,
    said: VecDeque<Vec<u8>>,
    ends: bool,
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, request: &[u8]) -> Poll<io::Result<usize>> {
        let reply = self.script.lock().expect("no panic before").pop_front();
        let Some(Reply { is_framed, hangs_up, is_split, mut bytes }) = reply else {
            self.ends = true;
            return Poll::Ready(Ok(request.len()));
        };
        if is_framed && self.is_rtu && !bytes.is_empty() {
            bytes[0] = request[0];
            let sum = checksum(&bytes);
            bytes.extend(sum.to_le_bytes());
        } else if is_framed && bytes.len() > 7 {
            bytes[..4].copy_from_slice(&request[..4]);
            // A length that is not zero is a lie of its own.
            if bytes[4..6] == [0, 0] {
                let length = u16::try_from(bytes.len() - 6).unwrap_or(u16::MAX);
                bytes[4..6].copy_from_slice(&length.to_be_bytes());
            }
            bytes[6] = request[6];
        }
        let rest = if is_split { bytes.split_off(bytes.len() / 2) } else { Vec::new() };
        self.said.extend([bytes, rest].into_iter().filter(|part| !part.is_empty()));
        self.ends = hangs_up;
        Poll::Ready(Ok(request.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.said.pop_front() {
            Some(mut part) => {
                let rest = part.split_off(part.len().min(buf.remaining()));
                buf.put_slice(&part);
                if !rest.is_empty() {
                    self.said.push_front(rest);
                }
            }
            // Nobody is woken: only the clock goes on.
            None if !self.ends => return Poll::Pending,
            None => {}
        }
        Poll::Ready(Ok(()))
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

struct Bench {
    runtime: Runtime,
    settings: Settings,
}

thread_local! {
    static BENCH: Bench = bench();
}

fn bench() -> Bench {
    let (mut plan, _) = load_text("fuzz.toml", CONFIG).unwrap_or_else(|faults| panic!("{}", faults[0].render()));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let mut settings = plan.plcs.remove(0);
    settings.timeout = PATIENCE;
    settings.points.clear();
    Bench { runtime, settings }
}

/// `flags, low byte of the count, address, length, bytes …` for each request; the first one's flags also say which framing.
fn split(mut input: &[u8]) -> (Vec<(Area, u16, u16)>, VecDeque<Reply>) {
    let (mut asks, mut replies) = (Vec::new(), VecDeque::new());
    while let [flags, count, address, length, rest @ ..] = input
        && asks.len() < REQUESTS_MOST
    {
        let area = [Area::Coil, Area::Discrete, Area::Holding, Area::Input][usize::from(flags & 3)];
        let most = if area.is_bits() { 2000 } else { 125 };
        let count = (u16::from(*count) | u16::from(flags >> 5) << 8) % most + 1;
        asks.push((area, u16::from(*address) << 4, count));
        let (bytes, next) = rest.split_at(usize::from(*length).min(rest.len()));
        let (is_framed, hangs_up, is_split) = (flags & 4 != 0, flags & 8 == 0, address & 1 == 1);
        replies.push_back(Reply { is_framed, hangs_up, is_split, bytes: bytes.to_vec() });
        input = next;
    }
    (asks, replies)
}

fuzz_target!(|input: &[u8]| {
    let (asks, replies) = split(input);
    if asks.is_empty() {
        return;
    }
    // The same input gives the same transactions.
    fastrand::seed(0);
    let is_rtu = input[0] & 16 != 0;
    BENCH.with(|bench| {
        bench.runtime.block_on(async {
            let mut settings = bench.settings.clone();
            if is_rtu {
                settings.channel = Channel::RtuOverTcp { host: "memory".into() };
            }
            let device = Device { is_rtu, script: Arc::new(Mutex::new(replies)) };
            let mut probe = Probe::over(Arc::new(device), settings);
            for (area, address, count) in asks {
                if let Ok(values) = probe.read(area, address, count).await {
                    assert_eq!(values.len(), usize::from(count), "as many as were asked for");
                    assert!(!area.is_bits() || values.iter().all(|bit| *bit <= 1), "bits");
                }
            }
        });
    });
});
