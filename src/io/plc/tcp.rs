//! A block read in, its registers or a fault out, over one Modbus TCP connection that ends with its first fault.

use super::Error;
use crate::signal::point::Area;
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    io,
    pin::Pin,
    task::{Context as Task, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_modbus::{
    ExceptionCode, ProtocolError, Request, Response, Slave,
    client::{Client, Context, tcp},
    slave::SlaveContext,
};

/// A connection on which every request so far was answered properly. Whoever gets an error from it other than
/// [`Error::Refused`] must drop it: a late reply would be taken for the answer to the next question.
pub(super) struct Session {
    context: Context,
}

impl Session {
    pub(super) async fn connect(address: &str, patience: Duration) -> Result<Session, Error> {
        Ok(Session { context: tcp::attach(Wire::new(dial(address, patience).await?)) })
    }

    /// Reads `count` registers or bits of a unit, exactly as many as were asked for, within `patience`; a bit comes as a
    /// register that holds 0 or 1.
    pub(super) async fn read(
        &mut self,
        unit: u8,
        area: Area,
        address: u16,
        count: u16,
        patience: Duration,
    ) -> Result<Vec<u16>, Error> {
        self.context.set_slave(Slave(unit));
        let request = match area {
            Area::Coil => Request::ReadCoils(address, count),
            Area::Discrete => Request::ReadDiscreteInputs(address, count),
            Area::Holding => Request::ReadHoldingRegisters(address, count),
            Area::Input => Request::ReadInputRegisters(address, count),
        };
        let reply = timeout(patience, self.context.call(request))
            .await
            .map_err(|_| Error::NoReply { patience })?
            .map_err(fault)?
            .map_err(|code: ExceptionCode| Error::Refused(code.into()))?;
        let mut registers: Vec<u16> = match (area, reply) {
            (Area::Holding, Response::ReadHoldingRegisters(words))
            | (Area::Input, Response::ReadInputRegisters(words)) => words,
            (Area::Coil, Response::ReadCoils(bits)) | (Area::Discrete, Response::ReadDiscreteInputs(bits)) => {
                bits.into_iter().map(u16::from).collect()
            }
            _ => return Err(Error::Garbled("it is to another function".into())),
        };
        // The library takes a reply of any length for an answer. Bits come in whole bytes.
        let wanted = usize::from(count);
        let due = if area.is_bits() { wanted.next_multiple_of(8) } else { wanted };
        if registers.len() != due {
            return Err(Error::Garbled(format!("it holds {} values where {due} were due", registers.len())));
        }
        registers.truncate(wanted);
        Ok(registers)
    }
}

/// Looks the host up and connects within `patience`; what was sent may stay unacknowledged as long.
pub(super) async fn dial(address: &str, patience: Duration) -> Result<TcpStream, Error> {
    let stream = timeout(patience, open(address)).await.map_err(|_| Error::NoConnection { patience })??;
    stream.set_nodelay(true).map_err(Error::Socket)?;
    let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, patience_ms).map_err(|source| Error::Socket(source.into()))?;
    Ok(stream)
}

async fn open(address: &str) -> Result<TcpStream, Error> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in lookup_host(address).await.map_err(Error::Lookup)? {
        match TcpStream::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(source) => last = source,
        }
    }
    Err(Error::Connect(last))
}

fn fault(error: tokio_modbus::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        tokio_modbus::Error::Protocol(ProtocolError::HeaderMismatch { .. }) => {
            Error::Garbled("it bears another transaction or unit".into())
        }
        tokio_modbus::Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => {
            Error::Garbled("it is to another function".into())
        }
        tokio_modbus::Error::Transport(source) => match source.kind() {
            // The library's frame cursor ends with the same kind of error as a connection.
            UnexpectedEof if !is_end_of_stream(&source) => Error::Garbled("it ends too early".into()),
            InvalidData | InvalidInput => Error::Garbled(source.to_string()),
            _ => Error::Closed(source),
        },
    }
}

fn is_end_of_stream(source: &io::Error) -> bool {
    source.get_ref().is_some_and(|inner| inner.is::<EndOfStream>())
}

#[derive(Debug, thiserror::Error)]
#[error("the device closed it")]
struct EndOfStream;

/// From the transaction to the function code.
const HEAD_BYTES: usize = 8;
/// An exception: the head and one code, whatever its length field says.
const EXCEPTION_BYTES: usize = 9;
const EXCEPTION_BIT: u8 = 0x80;
/// Whoever sends so much without being asked is no Modbus device.
const STALE_BYTES: usize = 1024;

/// What lies between the library and the socket: an end of the stream becomes an error that says so (the library would
/// report whatever the last system call left behind), stale bytes are thrown away before each question, and the length
/// field of an exception is set right (devices that count it wrong would be waited for in vain).
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    head: Vec<u8>,
    /// How much of the head the library has; after that bytes pass as they come.
    passed: usize,
}

impl Wire {
    fn new(stream: TcpStream) -> Wire {
        Wire { stream, head: Vec::with_capacity(EXCEPTION_BYTES), passed: 0 }
    }

    fn due(&self) -> usize {
        match self.head.get(HEAD_BYTES - 1) {
            Some(function) if function & EXCEPTION_BIT != 0 => EXCEPTION_BYTES,
            _ => HEAD_BYTES,
        }
    }
}

/// Protocol 0, and a length that a frame can have: the rest of anything else would be waited for in vain.
fn is_modbus(head: &[u8]) -> bool {
    let is_exception = head[HEAD_BYTES - 1] & EXCEPTION_BIT != 0;
    head[2..4] == [0, 0] && (head[4] == 0 || is_exception)
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.head.len() < self.due() {
            let mut bytes = [0; EXCEPTION_BYTES];
            let missing = self.due() - self.head.len();
            let mut part = ReadBuf::new(&mut bytes[..missing]);
            ready!(Pin::new(&mut self.stream).poll_read(task, &mut part))?;
            if part.filled().is_empty() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, EndOfStream)));
            }
            self.head.extend_from_slice(part.filled());
            if self.head.len() == HEAD_BYTES && !is_modbus(&self.head) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "it is no Modbus")));
            }
            if self.head.len() == EXCEPTION_BYTES {
                self.head[4..6].copy_from_slice(&[0, 3]);
            }
        }
        if self.passed < self.head.len() {
            let end = self.head.len().min(self.passed + buf.remaining());
            buf.put_slice(&self.head[self.passed..end]);
            self.passed = end;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(task, buf))?;
        if buf.filled().len() == before {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, EndOfStream)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // What came before the question is no answer to it.
        let mut stale = [0; STALE_BYTES];
        match self.stream.try_read(&mut stale) {
            Ok(0) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, EndOfStream))),
            Ok(STALE_BYTES) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "nobody asked for it")));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        self.head.clear();
        self.passed = 0;
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
