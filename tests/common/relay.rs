//! A bad network between an MQTT client and its broker: each command arrives twice, each time at another moment.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use fastrand::Rng;
use std::{
    io::{self, Read, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Everything but what is published below `/command/` goes through as it is.
pub struct Relay {
    pub port: u16,
    network: Arc<Network>,
}

struct Network {
    broker: u16,
    late: Duration,
    rng: Mutex<Rng>,
    doubled: AtomicUsize,
    is_gone: AtomicBool,
}

impl Relay {
    /// Each copy of a command is late by up to `late`.
    pub fn start(broker: u16, seed: u64, late: Duration) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(Network {
            broker,
            late,
            rng: Mutex::new(Rng::with_seed(seed)),
            doubled: AtomicUsize::new(0),
            is_gone: AtomicBool::new(false),
        });
        let shared = network.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.is_gone.load(Ordering::Relaxed) {
                    return;
                }
                let network = shared.clone();
                thread::spawn(move || network.join(client));
            }
        });
        Relay { port, network }
    }

    /// Commands that were sent so far.
    pub fn doubled(&self) -> usize {
        self.network.doubled.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.network.is_gone.store(true, Ordering::Relaxed);
        _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Network {
    /// One connection, to its end on either side.
    fn join(self: Arc<Network>, client: TcpStream) {
        let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.broker)) else { return };
        _ = client.set_nodelay(true);
        _ = broker.set_nodelay(true);
        let (mut from_broker, mut to_client) = (broker.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || {
            _ = io::copy(&mut from_broker, &mut to_client);
            _ = to_client.shutdown(Shutdown::Both);
        });
        let mut from_client = client;
        let to_broker = Arc::new(Mutex::new(broker));
        while let Ok(packet) = packet(&mut from_client) {
            if is_command(&packet) {
                self.double(&packet, &to_broker);
            } else if to_broker.lock().unwrap().write_all(&packet).is_err() {
                break;
            }
        }
        _ = to_broker.lock().unwrap().shutdown(Shutdown::Both);
        back.join().unwrap();
    }

    fn double(&self, packet: &[u8], to_broker: &Arc<Mutex<TcpStream>>) {
        self.doubled.fetch_add(1, Ordering::Relaxed);
        for _ in 0..2 {
            let late = self.late.mul_f64(self.rng.lock().unwrap().f64());
            let (packet, to_broker) = (packet.to_vec(), to_broker.clone());
            thread::spawn(move || {
                thread::sleep(late);
                // Where the connection is gone the sender has to send it once more.
                _ = to_broker.lock().unwrap().write_all(&packet);
            });
        }
    }
}

/// One MQTT packet, whole.
fn packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 1];
    stream.read_exact(&mut packet)?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let begin = packet.len();
    packet.resize(begin + length, 0);
    stream.read_exact(&mut packet[begin..])?;
    Ok(packet)
}

/// A PUBLISH on a topic of commands.
fn is_command(packet: &[u8]) -> bool {
    let begin = 1 + packet.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let length = || usize::from(u16::from_be_bytes([packet[begin], packet[begin + 1]]));
    packet[0] >> 4 == 3 && packet[begin + 2..begin + 2 + length()].windows(9).any(|part| part == b"/command/")
}
