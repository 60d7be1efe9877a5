//! A device in memory: requests in; its replies out, each byte when its time has come. Under a paused clock hours are seconds.

use super::super::reach::{Opening, Place, Reach, Stream};
use std::{
    collections::BTreeMap,
    future::Future as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What a device says.
#[derive(Debug)]
pub(super) enum Said {
    Bytes(Vec<u8>),
    /// It hangs up.
    End,
}

/// When something is said after a request.
pub(super) type Reply = Vec<(Duration, Said)>;

/// What a device does about the bytes of one request.
pub(super) trait Mind: Send {
    fn hear(&mut self, request: &[u8]) -> Reply;
}

impl<F: FnMut(&[u8]) -> Reply + Send> Mind for F {
    fn hear(&mut self, request: &[u8]) -> Reply {
        self(request)
    }
}

/// A device and the air between it and us.
pub(super) struct Lab<M> {
    pub(super) mind: Mutex<M>,
    request_bytes: usize,
    /// It is a gateway: what it says to an old connection a new one may hear.
    is_shared: bool,
    /// It says one thing after the other, a reply after the one before.
    is_orderly: bool,
    air: Mutex<Air>,
}

#[derive(Default)]
struct Air {
    connections: u64,
    said: u64,
    /// Until when the latest connection still has to say something.
    busy_until: Option<Instant>,
    /// By time and order: of which connection, and what.
    pending: BTreeMap<(Instant, u64), (u64, Said)>,
}

impl<M: Mind + 'static> Lab<M> {
    pub(super) fn new(mind: M, request_bytes: usize, is_shared: bool, is_orderly: bool) -> Arc<Lab<M>> {
        Arc::new(Lab { mind: Mutex::new(mind), request_bytes, is_shared, is_orderly, air: Mutex::default() })
    }

    /// When the last of what was said so far is heard.
    pub(super) fn quiet_at(&self) -> Instant {
        let air = self.air.lock().unwrap();
        air.pending.last_key_value().map_or_else(Instant::now, |((at, _), _)| (*at).max(Instant::now()))
    }
}

/// What a link connects to.
pub(super) struct Door<M>(pub(super) Arc<Lab<M>>);

impl<M: Mind + 'static> Reach for Door<M> {
    fn open<'a>(&'a self, _: Place<'a>, _: Duration) -> Opening<'a> {
        let mut air = self.0.air.lock().unwrap();
        air.connections += 1;
        air.busy_until = None;
        let line = Line { lab: Arc::clone(&self.0), connection: air.connections, asked: Vec::new(), nap: None };
        Box::pin(async move { Ok(Box::new(line) as Box<dyn Stream>) })
    }
}

struct Line<M> {
    lab: Arc<Lab<M>>,
    connection: u64,
    asked: Vec<u8>,
    nap: Option<Pin<Box<Sleep>>>,
}

impl<M: Mind> AsyncRead for Line<M> {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        loop {
            let mut air = line.lab.air.lock().unwrap();
            let connection = line.connection;
            let is_ours = |of: u64| line.lab.is_shared || of == connection;
            let Some((key, _)) = air.pending.iter().find(|(_, (of, _))| is_ours(*of)) else { return Poll::Pending };
            let key = *key;
            if key.0 > Instant::now() {
                drop(air);
                let nap = line.nap.get_or_insert_with(|| Box::pin(sleep_until(key.0)));
                if nap.deadline() != key.0 {
                    nap.as_mut().reset(key.0);
                }
                if nap.as_mut().poll(task).is_pending() {
                    return Poll::Pending;
                }
                line.nap = None;
                continue;
            }
            match air.pending.remove(&key).unwrap() {
                (of, Said::Bytes(mut bytes)) => {
                    if bytes.len() > buf.remaining() {
                        let rest = bytes.split_off(buf.remaining());
                        air.pending.insert(key, (of, Said::Bytes(rest)));
                    }
                    buf.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                // The end of an old connection is none of this one.
                (of, Said::End) if of != connection => {}
                (_, Said::End) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<M: Mind> AsyncWrite for Line<M> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked.extend_from_slice(bytes);
        while self.asked.len() >= self.lab.request_bytes {
            let count = self.lab.request_bytes;
            let request: Vec<u8> = self.asked.drain(..count).collect();
            let reply = self.lab.mind.lock().unwrap().hear(&request);
            let now = Instant::now();
            let mut air = self.lab.air.lock().unwrap();
            let begun = air.busy_until.filter(|_| self.lab.is_orderly).map_or(now, |at| at.max(now));
            for (after, said) in reply {
                air.said += 1;
                let key = (begun + after, air.said);
                air.busy_until = air.busy_until.max(Some(key.0));
                air.pending.insert(key, (self.connection, said));
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
