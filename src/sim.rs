//! Samples in, Modbus TCP servers out that hold them at their time: a line to try a gateway on.

pub mod line;
mod plc;

use crate::{
    event::Stamp,
    io::{
        clock::Clock,
        plc::{Channel, Settings},
        samples,
    },
    signal::{Observation, PointIx, Value, point::Area},
};
use plc::Image;
use std::{
    collections::BTreeMap,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_modbus::{
    ExceptionCode, Request, Response, SlaveRequest,
    server::{Service, tcp::Server},
};

/// So many polls the last row is held, so that whoever polls has seen it.
const HELD_POLLS: u32 = 2;

/// Where the rows come from: a sample file, or somebody who makes them up as they go.
pub trait Rows: Send {
    /// Puts the next row in place of what `row` held, its time after the one before; `false` at the end.
    fn next_into(&mut self, row: &mut Observation) -> Result<bool, samples::Error>;
}

impl Rows for samples::Samples {
    fn next_into(&mut self, row: &mut Observation) -> Result<bool, samples::Error> {
        samples::Samples::next_into(self, row)
    }
}

/// Why the line cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or none of this machine's.
    #[error("the simulated {plc} could not listen on {address}")]
    Listen {
        /// `[[plc]] id`
        plc: String,
        /// As configured or asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// More PLCs than ports above the one that was asked for.
    #[error("there is no port for the simulated {plc}: 65535 is the last")]
    NoPort {
        /// `[[plc]] id`
        plc: String,
    },
    /// The source of the rows gave up.
    #[error("the samples could not be played")]
    Samples(#[source] samples::Error),
    /// Nothing to play.
    #[error("the samples hold no row")]
    Empty,
    /// The registers of the point cannot hold what the sample says.
    #[error("the value {value:?} of {point} at {at} does not fit its registers")]
    Misfit {
        /// `press-plc.good`
        point: String,
        /// Of the row.
        at: Stamp,
        /// What should be held.
        value: Value,
    },
}

/// Where a PLC that is not reached by Modbus TCP is found.
const ANYWHERE: &str = "127.0.0.1:0";

/// Servers that listen and do not answer yet.
pub struct Bench {
    plcs: Vec<Settings>,
    /// With each listener the PLCs, by place, that are reached through it.
    listeners: Vec<(TcpListener, Vec<usize>)>,
    addresses: Vec<SocketAddr>,
}

impl Bench {
    /// Listens for every PLC: at `listen` and the ports above it (port 0: any free ones), or where the configuration says
    /// that the PLCs are. PLCs that share an address share a listener and are told apart by their unit.
    pub async fn bind(plcs: &[Settings], listen: Option<SocketAddr>) -> Result<Bench, Error> {
        let mut shared: Vec<(&Channel, Vec<usize>)> = Vec::new();
        for (place, plc) in plcs.iter().enumerate() {
            match shared.iter_mut().find(|(channel, _)| **channel == plc.channel) {
                Some((_, places)) => places.push(place),
                None => shared.push((&plc.channel, vec![place])),
            }
        }
        let mut bench = Bench {
            plcs: plcs.to_vec(),
            listeners: Vec::new(),
            addresses: vec![SocketAddr::from(([0, 0, 0, 0], 0)); plcs.len()],
        };
        for (above, (configured, places)) in shared.into_iter().enumerate() {
            let plc = || plcs[places[0]].id.clone();
            let address = match listen {
                None => match configured {
                    Channel::Tcp { hosts } => hosts.first().cloned().unwrap_or_default(),
                    // Whatever the PLC speaks, the simulator speaks Modbus TCP.
                    Channel::RtuOverTcp { .. } | Channel::Serial(_) => ANYWHERE.to_owned(),
                },
                Some(first) if first.port() == 0 => first.to_string(),
                Some(first) => {
                    let port = u16::try_from(usize::from(first.port()) + above);
                    SocketAddr::new(first.ip(), port.map_err(|_| Error::NoPort { plc: plc() })?).to_string()
                }
            };
            let failed = |source| Error::Listen { plc: plc(), address: address.clone(), source };
            let listener = TcpListener::bind(&address).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            places.iter().for_each(|place| bench.addresses[*place] = bound);
            bench.listeners.push((listener, places));
        }
        Ok(bench)
    }

    /// Where each PLC listens, in the order in which they were given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers requests until the rows are over and the last one was held for two polls. The first row's time is that of
    /// the first request; from then on the rows pass `speed` times as fast as they were recorded.
    pub async fn play(self, rows: impl Rows + 'static, speed: u32) -> Result<(), Error> {
        let clock = Clock::start(speed);
        let slowest = self.plcs.iter().map(|plc| plc.poll).max().unwrap_or_default();
        let play = Arc::new(Mutex::new(Play::open(&self.plcs, Box::new(rows), clock)?));
        let begun = Arc::new(Notify::new());
        let mut servers = JoinSet::new();
        for (listener, places) in self.listeners {
            let units = places.iter().map(|place| (self.plcs[*place].unit, *place)).collect();
            let port = Port { play: Arc::clone(&play), units, begun: Arc::clone(&begun) };
            servers.spawn(answer(listener, port));
        }
        begun.notified().await;
        loop {
            let due = look_up(&play).advance()?;
            match due {
                Some(at) => clock.sleep_until(at).await,
                None => break,
            }
        }
        clock.sleep_until(clock.now().plus(ms(slowest * HELD_POLLS))).await;
        Ok(())
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn answer(listener: TcpListener, port: Port) {
    let connected = |stream: TcpStream, _| {
        let port = port.clone();
        async move {
            stream.set_nodelay(true)?;
            Ok(Some((port, stream)))
        }
    };
    // It ends only when no connection can be accepted any more: then every PLC of this port is silent.
    if let Err(error) = Server::new(listener).serve(&connected, |_| {}).await {
        tracing::warn!(%error, "a simulated PLC stopped listening");
    }
}

/// The rows and what they have put into the registers so far.
struct Play {
    rows: Box<dyn Rows>,
    clock: Clock,
    /// The row that is not yet due; `None` after the last.
    next: Option<Observation>,
    /// What a row's time is late by on the clock; `None` before the first request.
    late_ms: Option<i64>,
    images: Vec<Image>,
    places: BTreeMap<PointIx, (usize, usize)>,
    /// A request found it; the player reports it.
    failed: Option<Error>,
}

impl Play {
    fn open(plcs: &[Settings], mut rows: Box<dyn Rows>, clock: Clock) -> Result<Play, Error> {
        let mut first = Observation { at: Stamp::MIN, readings: Vec::new() };
        if !rows.next_into(&mut first).map_err(Error::Samples)? {
            return Err(Error::Empty);
        }
        let mut places = BTreeMap::new();
        for (plc, settings) in plcs.iter().enumerate() {
            places.extend(settings.points.iter().enumerate().map(|(place, (ix, _))| (*ix, (plc, place))));
        }
        let images = plcs.iter().map(|plc| Image::new(&plc.points)).collect();
        Ok(Play { rows, clock, next: Some(first), late_ms: None, images, places, failed: None })
    }

    /// Brings the registers up to now; gives the time on the clock at which the next row is due.
    fn advance(&mut self) -> Result<Option<Stamp>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while let Some(mut row) = self.next.take() {
            let late_ms = *self.late_ms.get_or_insert_with(|| self.clock.now().since(row.at));
            let due = row.at.plus(late_ms);
            if due > self.clock.now() {
                self.next = Some(row);
                return Ok(Some(due));
            }
            for (ix, reading) in &row.readings {
                let Some((plc, place)) = self.places.get(ix) else { continue };
                self.images[*plc].hold(*place, reading).map_err(|value| Error::Misfit {
                    point: self.images[*plc].name(*place).to_owned(),
                    at: row.at,
                    value,
                })?;
            }
            if self.rows.next_into(&mut row).map_err(Error::Samples)? {
                self.next = Some(row);
            }
        }
        Ok(None)
    }
}

fn look_up(play: &Mutex<Play>) -> MutexGuard<'_, Play> {
    play.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One listener's view of the line.
#[derive(Clone)]
struct Port {
    play: Arc<Mutex<Play>>,
    units: Vec<(u8, usize)>,
    begun: Arc<Notify>,
}

impl Service for Port {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, asked: SlaveRequest<'static>) -> Self::Future {
        ready(self.reply(&asked))
    }
}

impl Port {
    fn reply(&self, asked: &SlaveRequest<'_>) -> Result<Response, ExceptionCode> {
        let plc = match self.units.as_slice() {
            // A device of its own answers to every unit.
            [(_, plc)] => *plc,
            units => {
                let known = units.iter().find(|(unit, _)| *unit == asked.slave);
                known.ok_or(ExceptionCode::GatewayTargetDevice)?.1
            }
        };
        let mut play = look_up(&self.play);
        // Brought up to date by each request, so that values are as fresh as on the line, whatever a timer's grain.
        if let Err(error) = play.advance() {
            play.failed = Some(error);
        }
        self.begun.notify_one();
        let image = &play.images[plc];
        let bits = |registers: Vec<u16>| registers.into_iter().map(|register| register != 0).collect();
        match asked.request {
            Request::ReadCoils(at, count) => image.read(Area::Coil, at, count).map(bits).map(Response::ReadCoils),
            Request::ReadDiscreteInputs(at, count) => {
                image.read(Area::Discrete, at, count).map(bits).map(Response::ReadDiscreteInputs)
            }
            Request::ReadHoldingRegisters(at, count) => {
                image.read(Area::Holding, at, count).map(Response::ReadHoldingRegisters)
            }
            Request::ReadInputRegisters(at, count) => {
                image.read(Area::Input, at, count).map(Response::ReadInputRegisters)
            }
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }
}
