//! What receipts cost on the disk: bytes written in a day of 50 machines and two consumers, with them and without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use andon::io::journal::{Envelope, Journal, Settings};
use std::fs;
use tokio::sync::mpsc::unbounded_channel;

/// The journal is written with the marks, every 5 minutes.
const WRITINGS: u64 = 24 * 12;

const MACHINES: usize = 50;

fn main() {
    let without = day(false);
    let with = day(true);
    println!("marks of {MACHINES} machines, {WRITINGS} writings: {:.2} MB a day", mb(without));
    println!("with the receipts of two consumers:    {:.2} MB a day", mb(with));
    println!("receipts alone:                        {:.2} MB a day", mb(with - without));
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Bytes that this process gave to the file system for block devices.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

fn day(with_receipts: bool) -> u64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (journal, _) = Journal::open(&Settings { data_dir: folder.path().into(), runtime_dir: None }).unwrap();
    let (committed, mut done) = unbounded_channel();
    let (pen, ending) = journal.start::<()>(committed).unwrap();
    let before = written();
    for n in 0..WRITINGS {
        let marks = Some(format!("{{\"n\":{n},\"machines\":\"{}\"}}", "x".repeat(300 * MACHINES)));
        let at = 1_795_414_443_200 + n;
        let standing = format!(
            "{{\"since\":{at},\"held\":[{{\"instance\":\"f6bd9bbc-5c56-4b9f-a4f9-4b2cf3fd3b67\",\"epoch\":1,\
             \"sequence\":{n},\"at\":{at},\"shown\":{at}}}],\"is_lapsed\":false,\"is_conflict\":false}}"
        );
        let receipts = ["mes", "cmms"].map(|consumer| (consumer.to_owned(), standing.clone()));
        let receipts = if with_receipts { receipts.into() } else { Vec::new() };
        pen.write(Envelope { marks, receipts, ..Envelope::default() }).unwrap();
        done.blocking_recv().unwrap();
    }
    pen.close();
    ending.join().unwrap().unwrap();
    written() - before
}
