//! A Modbus server in whose coil 0 a machine runs, with its counter beside it: reads in, answers and their moments out.
#![allow(dead_code, unreachable_pub, reason = "each bench takes what it needs")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Instant,
};

#[derive(Clone)]
pub struct Plc {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    run: AtomicBool,
    total: AtomicU32,
    /// When the coil was first answered since it was set.
    answered: Mutex<Option<Instant>>,
    requests: AtomicU64,
}

impl Plc {
    pub fn start() -> Plc {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let plc = Plc { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = plc.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), state.clone());
                // Ends with the connection.
                thread::spawn(move || state.serve(stream));
            }
        });
        plc
    }

    /// Lets the machine run or stand, and says when.
    pub fn set(&self, run: bool) -> Instant {
        let mut answered = self.state.answered.lock().unwrap();
        *answered = None;
        self.state.run.store(run, SeqCst);
        Instant::now()
    }

    /// How often anything was read.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(SeqCst)
    }

    /// When the coil, as it was set last, was first on its way to the reader.
    pub fn answered(&self) -> Option<Instant> {
        *self.state.answered.lock().unwrap()
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        loop {
            let mut request = [0; 12];
            stream.read_exact(&mut request).ok()?;
            let [.., function, _, _, high, low] = request;
            let count = u16::from_be_bytes([high, low]);
            let data = if function <= 2 { self.bits(count) } else { self.registers(count) };
            let length = u8::try_from(data.len()).unwrap();
            let mut reply = request[..4].to_vec();
            reply.extend([0, length + 3, request[6], function, length]);
            reply.extend(data);
            self.requests.fetch_add(1, SeqCst);
            stream.write_all(&reply).ok()?;
        }
    }

    fn bits(&self, count: u16) -> Vec<u8> {
        let mut answered = self.answered.lock().unwrap();
        answered.get_or_insert_with(Instant::now);
        let mut bits = vec![0; usize::from(count.div_ceil(8))];
        bits[0] = u8::from(self.run.load(SeqCst));
        bits
    }

    /// The counter in the first two registers, zeros behind it.
    fn registers(&self, count: u16) -> Vec<u8> {
        let total = self.total.fetch_add(u32::from(self.run.load(SeqCst)), SeqCst);
        let mut registers = total.to_be_bytes().to_vec();
        registers.resize(usize::from(count) * 2, 0);
        registers
    }
}
