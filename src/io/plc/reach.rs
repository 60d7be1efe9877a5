//! A host or a serial line in, an open stream to it out.

use super::{Channel, Error, Parity, Serial};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{future::Future, io, net::SocketAddr, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_serial::{
    ClearBuffer, DataBits, FlowControl, SerialPort as _, SerialPortBuilderExt as _, SerialStream, StopBits,
};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A stream that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, Error>> + Send + 'a>>;

/// Where the other end of a stream is.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// `host:port`
    Host(&'a str),
    /// A serial line.
    Line(&'a Serial),
}

impl Channel {
    /// Of a channel that has but one.
    pub(super) fn place(&self) -> Place<'_> {
        match self {
            Channel::Tcp { hosts } => Place::Host(hosts.first().map_or("", String::as_str)),
            Channel::RtuOverTcp { host } => Place::Host(host),
            Channel::Serial(line) => Place::Line(line),
        }
    }
}

/// What opens streams.
pub trait Reach: Send + Sync {
    /// A new stream, for which `patience` may be spent.
    fn open<'a>(&'a self, place: Place<'a>, patience: Duration) -> Opening<'a>;
}

/// Sockets and device files.
#[derive(Clone, Copy, Debug)]
pub struct World;

impl Reach for World {
    fn open<'a>(&'a self, place: Place<'a>, patience: Duration) -> Opening<'a> {
        Box::pin(async move {
            Ok(match place {
                Place::Host(host) => Box::new(dial(host, patience).await?) as Box<dyn Stream>,
                Place::Line(line) => Box::new(
                    serial_port(line)
                        .map_err(|source| Error::Open { device: line.device.clone(), source: source.into() })?,
                ),
            })
        })
    }
}

/// Looks the host up and connects within `patience`; what was sent may stay unacknowledged as long.
async fn dial(address: &str, patience: Duration) -> Result<TcpStream, Error> {
    let until = Instant::now() + patience;
    let addresses = timeout_at(until, lookup_host(address)).await;
    let addresses = addresses.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(Error::Lookup)?;
    let stream = timeout_at(until, connect(addresses)).await.map_err(|_| Error::NoConnection { patience })??;
    stream.set_nodelay(true).map_err(Error::Socket)?;
    let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, patience_ms).map_err(|source| Error::Socket(source.into()))?;
    Ok(stream)
}

async fn connect(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, Error> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in addresses {
        match TcpStream::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(source) => last = source,
        }
    }
    Err(Error::Connect(last))
}

/// The line, ours alone. Its stream is never flushed: that would wait in tcdrain, and with it every other PLC; the time
/// that the bytes take is reckoned with instead.
fn serial_port(line: &Serial) -> tokio_serial::Result<SerialStream> {
    let port = tokio_serial::new(line.device.to_string_lossy(), line.baud)
        .data_bits(if line.data_bits == 7 { DataBits::Seven } else { DataBits::Eight })
        .stop_bits(if line.stop_bits == 2 { StopBits::Two } else { StopBits::One })
        .parity(match line.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .flow_control(FlowControl::None)
        .open_native_async()?;
    // What was heard before the settings held is no answer to anything.
    port.clear(ClearBuffer::All)?;
    Ok(port)
}
