//! A network of its own for a test, where rules of the packet filter harm nobody.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

/// Set for the run inside.
const INSIDE: &str = "IN_A_NETWORK_OF_ITS_OWN";
/// What the kernel says to somebody who may not, or who asks for what it was not built with.
const REFUSALS: [&str; 5] =
    ["Operation not permitted", "Permission denied", "No space left", "not supported", "Invalid argument"];

/// Whether this is the run in a network of its own. If not, the test of this name is run there, and this run is over; where
/// the kernel gives nobody such a network this says so.
pub fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    for program in ["unshare", "ip", "nft"] {
        let is_there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(is_there.is_ok(), "{program} is not installed: apt-get install util-linux iproute2 nftables");
    }
    let words: &[&str] = if rustix::process::geteuid().is_root() { &["--net"] } else { &["--net", "--map-root-user"] };
    // The loopback there is down at first. An empty rule set shows whether rules can be made at all.
    let try_it = "ip link set lo up && nft add table inet asked";
    let tried = Command::new("unshare").args(words).args(["sh", "-c", try_it]).output().unwrap();
    let why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    if !tried.status.success() {
        assert!(REFUSALS.iter().any(|refusal| why.contains(refusal)), "no network of its own: {why}");
        println!("{test} cannot run here, the kernel gives it no network and packet filter of its own: {why}");
        return false;
    }
    let inside = "ip link set lo up && exec \"$0\" \"$@\"";
    let this = std::env::current_exe().unwrap();
    let Output { status, stdout, stderr } = Command::new("unshare")
        .args(words)
        .args(["sh", "-c", inside])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "in its own network:\n{out}\n{err}");
    assert!(out.contains("1 passed"), "it ran there: {out}");
    false
}

/// A rule that drops packets without a word; gone with it.
pub struct Dropped(());

impl Dropped {
    /// Everything to and from this port.
    pub fn of_port(port: u16) -> Dropped {
        Dropped::by(&format!("tcp dport {port} drop\ntcp sport {port} drop"))
    }

    /// What belongs to the connection that stands to this port, and nothing of a new one.
    pub fn of_connection_to(port: u16) -> Dropped {
        let client = client_of(port);
        Dropped::by(&format!("tcp dport {port} tcp sport {client} drop\ntcp sport {port} tcp dport {client} drop"))
    }

    fn by(rules: &str) -> Dropped {
        nft(&format!("table inet cut {{\nchain input {{\ntype filter hook input priority 0;\n{rules}\n}}\n}}\n"));
        Dropped(())
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        nft("delete table inet cut\n");
    }
}

fn nft(rules: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{rules}");
}

/// The port from which somebody here is connected to this one.
fn client_of(port: u16) -> u16 {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port_of = |address: &str| u16::from_str_radix(address.rsplit_once(':').unwrap().1, 16).unwrap();
    let clients: Vec<u16> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        // 01 is a connection that stands.
        .filter(|words| words[3] == "01" && port_of(words[2]) == port)
        .map(|words| port_of(words[1]))
        .collect();
    assert_eq!(clients.len(), 1, "one connection to {port}: {table}");
    clients[0]
}
