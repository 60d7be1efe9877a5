//! Words in, publishes on one connection after the other out, and what became of them.

use super::{
    Arrival, Backlog, Broker, Farewell, Said, Settings, Ticket, Will, Word,
    backlog::Journal,
    lane::{self, Lanes},
    outbox::Outbox,
    session::{ARRIVALS, ARRIVALS_BYTES, Heard, Lost, Manner, PICTURE_BYTES, PICTURES_ALOFT, Session, WINDOW},
};
use crate::custody::flight::{Flight, Stray};
use std::{collections::BTreeSet, pin::pin, time::Duration};
use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{info, warn};

/// Publishes outstanding and no acknowledgement for so long: the connection is only a pretence.
pub(super) const STALL: Duration = Duration::from_secs(20);
/// Between two rounds through the brokers: first, and at most. Jitter takes up to half, so that a hall of gateways
/// does not come back as one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A connection that stood for so long was a good one: the next pause is short again.
const STEADY: Duration = Duration::from_secs(5);
/// At the end: for what is still to be delivered, then for the offline status.
const LEAVE: Duration = Duration::from_millis(800);
const FAREWELL: Duration = Duration::from_millis(300);
/// Causes remembered, so that each is said once an outage.
const CAUSES: usize = 16;

pub(super) struct Delivery<B> {
    pub(super) settings: Settings,
    pub(super) will: Will,
    pub(super) outbox: Outbox,
    pub(super) lanes: Lanes,
    pub(super) journal: Journal<B>,
    pub(super) words: mpsc::UnboundedReceiver<Word>,
    pub(super) said: mpsc::UnboundedSender<Said>,
    pub(super) stop: watch::Receiver<Option<Farewell>>,
    /// No broker, since when and why.
    pub(super) silence: Option<Silence>,
    /// [`STALL`], shorter in tests.
    pub(super) stall: Duration,
    /// Counts the connections: what arrived on one cannot be taken on the next.
    pub(super) connection: u64,
    /// The broker keeps something for us that cannot be taken: it has to forget it.
    pub(super) is_poisoned: bool,
}

pub(super) struct Silence {
    since: Instant,
    attempts: u32,
    causes: BTreeSet<(String, String)>,
}

enum End {
    Stop,
    Lost(Lost),
}

impl<B: Backlog> Delivery<B> {
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            for broker in self.settings.brokers.clone() {
                let (settings, will) = (self.settings.clone(), self.will.clone());
                let opened = self.meanwhile(Session::open(&settings, &broker, Some(&will), self.is_poisoned)).await;
                let why = match opened {
                    None => return self.take_back().await,
                    Some(Err(why)) => why,
                    Some(Ok(session)) => {
                        self.say_connected(&broker);
                        self.settings.is_expected = false;
                        let since = Instant::now();
                        match self.deliver(session).await {
                            End::Stop => return self.take_back().await,
                            End::Lost(lost) => {
                                let is_wanted = lost.is_wanted;
                                self.is_poisoned = lost.is_poisoned;
                                self.say_disconnected(&broker, lost.why);
                                if since.elapsed() >= STEADY || is_wanted {
                                    pause = PAUSE_MIN;
                                }
                                // The list is tried from its head again.
                                break;
                            }
                        }
                    }
                };
                self.say_disconnected(&broker, why);
            }
            if self.meanwhile(sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0))).await.is_none() {
                return self.take_back().await;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Takes words while something else goes on; `None` when it is time to stop.
    async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        let mut other = pin!(other);
        loop {
            select! {
                () = stopped(&mut self.stop) => return None,
                word = self.words.recv() => self.take(word?),
                output = &mut other => return Some(output),
            }
        }
    }

    fn take(&mut self, word: Word) {
        match word {
            Word::Committed(rows) => self.outbox.committed(rows),
            Word::Picture { topic, body } => self.outbox.picture(topic, body),
            Word::Status(body) => self.outbox.status(body),
            Word::Reply { topic, body } => self.outbox.reply(topic, body),
            // Without a connection there is nobody to tell: it comes again, and is known then.
            Word::Taken(_) => {}
            Word::Lane(lane) => self.lanes.open(lane),
        }
    }

    /// As long as a connection stands.
    fn take_with(&mut self, word: Word, session: &Session, under_way: &mut UnderWay) -> Result<(), Lost> {
        let Word::Taken(ticket) = word else {
            self.take(word);
            return Ok(());
        };
        if ticket.connection != self.connection {
            return Ok(());
        }
        under_way.arrivals = under_way.arrivals.saturating_sub(1);
        under_way.arrived_bytes = under_way.arrived_bytes.saturating_sub(ticket.bytes);
        if ticket.packet_id != 0 {
            session.acknowledge(ticket.packet_id).map_err(Lost::to)?;
        }
        match under_way.is_put_off && under_way.arrivals == 0 {
            true => Err(Lost {
                is_wanted: true,
                ..Lost::to("it brought more commands at once than can wait, and is asked for the rest anew")
            }),
            false => Ok(()),
        }
    }

    /// There is no connection, and it is time to stop. The process before this one left `online` behind: that is no longer so.
    async fn take_back(&mut self) {
        if !self.settings.is_expected || self.farewell() == Farewell::BackSoon {
            return;
        }
        let by = Instant::now() + LEAVE;
        for broker in self.settings.brokers.clone() {
            if let Ok(Ok(session)) = timeout_at(by, Session::open(&self.settings, &broker, None, false)).await {
                let under_way = UnderWay::from(self.outbox.cursor());
                self.bid_farewell(session, under_way).await;
                return;
            }
        }
        warn!("stopped before a broker was reached again: it may go on showing `online`");
    }

    fn farewell(&self) -> Farewell {
        self.stop.borrow().unwrap_or(Farewell::Offline)
    }

    /// One connection, from the cursor to its end.
    async fn deliver(&mut self, mut session: Session) -> End {
        self.outbox.rewind();
        self.lanes.cut();
        self.connection += 1;
        self.is_poisoned = false;
        let mut under_way = UnderWay::from(self.outbox.cursor());
        let mut leave_by = None;
        loop {
            let filled = under_way.fill(&mut self.outbox, &session, &self.will.topic);
            if let Err(why) = filled.and_then(|()| under_way.fill_lanes(&mut self.lanes, &session)) {
                return End::Lost(Lost::to(why));
            }
            self.journal.read_if_wanted(&self.outbox);
            if leave_by.is_some_and(|by| Instant::now() >= by || (self.outbox.is_idle() && under_way.is_empty())) {
                return self.bid_farewell(session, under_way).await;
            }
            let stalled = under_way.since.map(|since| since + self.stall);
            let wake = [stalled, leave_by, self.journal.not_before].into_iter().flatten().min();
            select! {
                () = stopped(&mut self.stop), if leave_by.is_none() => leave_by = Some(Instant::now() + LEAVE),
                word = self.words.recv(), if leave_by.is_none() => match word {
                    Some(word) => {
                        if let Err(lost) = self.take_with(word, &session, &mut under_way) {
                            return End::Lost(lost);
                        }
                    }
                    None => leave_by = Some(Instant::now() + LEAVE),
                },
                heard = session.heard() => {
                    if let Err(lost) = self.hear(heard, &mut session, &mut under_way) {
                        return End::Lost(lost);
                    }
                }
                (topic, body) = self.lanes.next(), if under_way.has_lane_room() => {
                    if let Err(why) = under_way.send_again(&session, topic, &body) {
                        return End::Lost(Lost::to(why));
                    }
                }
                read = self.journal.read() => self.journal.take(read, &mut self.outbox),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if stalled.is_some_and(|stalled| Instant::now() >= stalled) {
                        let stall_s = self.stall.as_secs_f32();
                        let why = format!("connected, but it acknowledged nothing for {stall_s} s");
                        return End::Lost(Lost::to(why));
                    }
                    self.journal.retry_if_due();
                }
            }
            while let Ok(word) = self.words.try_recv() {
                if let Err(lost) = self.take_with(word, &session, &mut under_way) {
                    return End::Lost(lost);
                }
            }
        }
    }

    /// All that was heard by now, so that many acknowledgements make one word.
    fn hear(&mut self, first: Heard, session: &mut Session, under_way: &mut UnderWay) -> Result<(), Lost> {
        let mut next = Some(first);
        let mut ended = Ok(());
        while let Some(heard) = next {
            ended = match heard {
                Heard::Arrived { topic, body, is_retained, packet_id } => {
                    let ticket = Ticket { connection: self.connection, packet_id, bytes: body.len() };
                    self.arrive(Arrival { topic, body, is_retained, ticket }, under_way);
                    Ok(())
                }
                Heard::Subscribed { filters, refused } => {
                    let asked = self.settings.filters.get(under_way.subscribed..).unwrap_or_default();
                    let first = refused.first().and_then(|place| asked.get(*place));
                    if let Some(filter) = first {
                        let more = refused.len() - 1;
                        warn!(filter, more, "the broker does not let us subscribe: no command comes in there");
                    }
                    under_way.subscribed += filters;
                    Ok(())
                }
                heard => under_way.hear(heard),
            };
            next = ended.is_ok().then(|| session.heard_already()).flatten();
        }
        let cursor = under_way.flight.cursor();
        if cursor > self.outbox.cursor() {
            self.outbox.acknowledged(cursor);
            self.say(Said::Acked(cursor));
        }
        ended
    }

    /// More than can wait is put off: the broker brings it again on the next connection, which is begun as soon as the rest
    /// is taken. With QoS 0 nobody was promised anything, and no flood of it costs the connection.
    fn arrive(&mut self, arrival: Arrival, under_way: &mut UnderWay) {
        let bytes = under_way.arrived_bytes + arrival.ticket.bytes;
        if under_way.arrivals >= ARRIVALS || bytes > ARRIVALS_BYTES {
            match arrival.ticket.packet_id {
                0 => self.say(Said::Dropped),
                _ => under_way.is_put_off = true,
            }
            return;
        }
        (under_way.arrivals, under_way.arrived_bytes) = (under_way.arrivals + 1, bytes);
        self.say(Said::Arrived(arrival));
    }

    /// Offline is said by us if it can be, else by the broker: then there is no DISCONNECT. Who is back soon only disconnects.
    async fn bid_farewell(&mut self, mut session: Session, mut under_way: UnderWay) -> End {
        if self.farewell() == Farewell::BackSoon {
            session.close().await;
            // Should we stop for good meanwhile, that is not what the broker was told.
            self.settings.is_expected = true;
            return End::Stop;
        }
        let by = Instant::now() + FAREWELL;
        if session.publish(&self.will.topic, &self.will.offline, Manner::Status).is_err() {
            return End::Stop;
        }
        under_way.flight.board(None);
        while !under_way.flight.is_empty() {
            select! {
                heard = session.heard() => {
                    if self.hear(heard, &mut session, &mut under_way).is_err() {
                        return End::Stop;
                    }
                }
                () = sleep_until(by) => return End::Stop,
            }
        }
        session.close().await;
        End::Stop
    }

    fn say_connected(&mut self, broker: &Broker) {
        let broker = broker.to_string();
        match self.silence.take() {
            None => info!(%broker, "broker connected"),
            Some(Silence { since, attempts, .. }) => {
                info!(%broker, failures = attempts, silent_s = since.elapsed().as_secs(), "broker connected");
            }
        }
        self.say(Said::Connected { broker });
    }

    fn say_disconnected(&mut self, broker: &Broker, why: String) {
        let broker = broker.to_string();
        let silence =
            self.silence.get_or_insert_with(|| Silence { since: Instant::now(), attempts: 0, causes: BTreeSet::new() });
        silence.attempts += 1;
        if silence.causes.len() < CAUSES && silence.causes.insert((broker.clone(), why.clone())) {
            warn!(%broker, %why, "broker not available; events wait in the journal");
            self.say(Said::Disconnected { broker, why });
        }
    }

    fn say(&self, word: Said) {
        // Nobody listens any more: then a stop is on its way.
        _ = self.said.send(word);
    }
}

/// What one connection has in the air.
struct UnderWay {
    flight: Flight,
    pictures: usize,
    /// When something was sent or acknowledged last, while something is outstanding.
    since: Option<Instant>,
    is_too_large_said: bool,
    /// Handed to the gateway and not taken yet.
    arrivals: usize,
    arrived_bytes: usize,
    is_put_off: bool,
    /// Filters that the broker has answered.
    subscribed: usize,
}

impl UnderWay {
    fn from(cursor: u64) -> UnderWay {
        UnderWay {
            flight: Flight::new(cursor, WINDOW),
            pictures: 0,
            since: None,
            is_too_large_said: false,
            arrivals: 0,
            arrived_bytes: 0,
            is_put_off: false,
            subscribed: 0,
        }
    }

    /// As much as the bounds permit.
    fn fill(&mut self, outbox: &mut Outbox, session: &Session, status_topic: &str) -> Result<(), String> {
        if self.flight.has_room()
            && let Some(body) = outbox.next_status()
        {
            session.publish(status_topic, body, Manner::Status)?;
            self.flight.board(None);
        }
        while self.flight.has_room()
            && let Some((topic, body)) = outbox.next_reply()
        {
            session.publish(&topic, &body, Manner::Reply)?;
            self.flight.board(None);
        }
        while self.pictures < PICTURES_ALOFT
            && let Some((topic, body)) = outbox.next_picture()
        {
            if body.len() > PICTURE_BYTES {
                // Handed over it would cost the connection, and the next one again: no event would ever pass.
                if !std::mem::replace(&mut self.is_too_large_said, true) {
                    warn!(topic, bytes = body.len(), "a picture is too large for a packet and was left out");
                }
                continue;
            }
            session.publish(&topic, body, Manner::Picture)?;
            self.pictures += 1;
        }
        while self.flight.has_room()
            && let Some(event) = outbox.next_event()
        {
            session.publish(&event.topic, &event.body, Manner::Event)?;
            self.flight.board(Some(event.sequence));
        }
        if !self.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Behind the events, and never so many that those had to wait for them.
    fn fill_lanes(&mut self, lanes: &mut Lanes, session: &Session) -> Result<(), String> {
        while self.has_lane_room()
            && let Some((topic, body)) = lanes.next_already()
        {
            self.send_again(session, topic, &body)?;
        }
        Ok(())
    }

    fn has_lane_room(&self) -> bool {
        self.flight.outstanding() < lane::ALOFT
    }

    fn send_again(&mut self, session: &Session, topic: &str, body: &[u8]) -> Result<(), String> {
        session.publish(topic, body, Manner::Event)?;
        self.flight.board(None);
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn hear(&mut self, heard: Heard) -> Result<(), Lost> {
        let mut progress = true;
        match heard {
            Heard::Connected | Heard::Arrived { .. } | Heard::Subscribed { .. } => progress = false,
            Heard::Sent(0) => {
                self.pictures = self.pictures.saturating_sub(1);
                progress = self.flight.is_empty();
            }
            Heard::Sent(packet_id) => {
                self.flight.number(packet_id).map_err(|stray: Stray| Lost::to(stray.to_string()))?;
                progress = false;
            }
            Heard::Acked(packet_id) => {
                self.flight.land(packet_id).map_err(|stray: Stray| Lost::to(stray.to_string()))?;
            }
            Heard::Lost(lost) => return Err(lost),
        }
        if self.is_empty() {
            self.since = None;
        } else if progress {
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.flight.is_empty() && self.pictures == 0
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Farewell>>) {
    // A sender that is gone will never say it: that is a stop too.
    _ = stop.wait_for(Option::is_some).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::journal::Row;
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, copy, sink},
        net::TcpListener,
        time::timeout,
    };

    struct Nothing;

    impl Backlog for Nothing {
        fn rows_after(&mut self, _: u64, _: usize) -> Result<Vec<Row>, String> {
            Ok(vec![])
        }
    }

    #[tokio::test]
    async fn a_broker_that_takes_everything_and_acknowledges_nothing_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallowing = tokio::spawn(async move {
            let mut met = 0;
            while met < 2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut connect = [0; 2];
                stream.read_exact(&mut connect).await.unwrap();
                stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
                met += 1;
                tokio::spawn(async move { copy(&mut stream, &mut sink()).await });
            }
        });
        let (words, heard) = mpsc::unbounded_channel();
        let (say, mut said) = mpsc::unbounded_channel();
        let (delivery, _stopping) = delivery(port, heard, say);
        let running = tokio::spawn(delivery.run());
        words.send(Word::Committed(vec![row(1)])).unwrap();
        let broker = format!("mqtt://127.0.0.1:{port}");
        let why = "connected, but it acknowledged nothing for 0.3 s".to_owned();
        for expected in [Said::Connected { broker: broker.clone() }, Said::Disconnected { broker, why }] {
            assert_eq!(timeout(Duration::from_secs(10), said.recv()).await.unwrap(), Some(expected));
        }
        timeout(Duration::from_secs(10), swallowing).await.expect("it comes again").unwrap();
        running.abort();
    }

    fn delivery(
        port: u16,
        words: mpsc::UnboundedReceiver<Word>,
        said: mpsc::UnboundedSender<Said>,
    ) -> (Delivery<Nothing>, watch::Sender<Option<Farewell>>) {
        let (stopping, stop) = watch::channel(None);
        let settings = Settings {
            brokers: vec![Broker { host: "127.0.0.1".into(), port, tls: false }],
            client_id: "gw".into(),
            username: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            keep_alive: Duration::from_secs(30),
            filters: vec![],
            is_expected: false,
        };
        let delivery = Delivery {
            settings,
            will: Will { topic: "status".into(), offline: vec![], online: vec![] },
            outbox: Outbox::new(0, vec![]),
            lanes: Lanes::default(),
            journal: Journal::new(Nothing),
            words,
            said,
            stop,
            silence: None,
            stall: Duration::from_millis(300),
            connection: 0,
            is_poisoned: false,
        };
        (delivery, stopping)
    }

    /// Accepts once, and says this behind the CONNACK.
    async fn broker_that_brings(listener: &TcpListener, packets: &[u8]) -> tokio::net::TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut connect = [0; 2];
        stream.read_exact(&mut connect).await.unwrap();
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        stream.write_all(packets).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_flood_that_nobody_was_promised_is_dropped_and_costs_no_connection() {
        const MORE: usize = 44;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (words, heard) = mpsc::unbounded_channel();
        let (say, mut said) = mpsc::unbounded_channel();
        let (delivery, _stopping) = delivery(listener.local_addr().unwrap().port(), heard, say);
        let running = tokio::spawn(delivery.run());
        // QoS 0, topic `t`, one byte.
        let packet = [0x30, 4, 0, 1, b't', b'x'];
        let mut stream = broker_that_brings(&listener, &packet.repeat(ARRIVALS + MORE)).await;
        assert!(matches!(said.recv().await, Some(Said::Connected { .. })));
        let (mut tickets, mut dropped) = (Vec::new(), 0);
        while tickets.len() + dropped < ARRIVALS + MORE {
            match timeout(Duration::from_secs(10), said.recv()).await.unwrap() {
                Some(Said::Arrived(arrival)) => tickets.push(arrival.ticket),
                Some(Said::Dropped) => dropped += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((tickets.len(), dropped), (ARRIVALS, MORE));
        // There is room again, on the same connection.
        words.send(Word::Taken(tickets[0])).unwrap();
        let again = async {
            loop {
                stream.write_all(&packet).await.unwrap();
                match said.recv().await {
                    Some(Said::Arrived(arrival)) => break arrival,
                    Some(Said::Dropped) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(timeout(Duration::from_secs(10), again).await.unwrap().ticket.connection, 1);
        running.abort();
    }

    #[tokio::test]
    async fn a_flood_with_a_promise_is_fetched_on_one_connection_after_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (words, heard) = mpsc::unbounded_channel();
        let (say, mut said) = mpsc::unbounded_channel();
        let (delivery, _stopping) = delivery(listener.local_addr().unwrap().port(), heard, say);
        let running = tokio::spawn(delivery.run());
        let mut flood: Vec<u8> = (1..=300_u16)
            .flat_map(|id| {
                let [high, low] = id.to_be_bytes();
                [0x32, 6, 0, 1, b't', high, low, b'x']
            })
            .collect();
        // By this one it is seen that all before were.
        flood.extend([0x30, 4, 0, 1, b't', b'x']);
        let began = Instant::now();
        for connection in 1..=8 {
            let stream = timeout(Duration::from_secs(20), broker_that_brings(&listener, &flood)).await.unwrap();
            let mut tickets = Vec::new();
            loop {
                match timeout(Duration::from_secs(10), said.recv()).await.unwrap().unwrap() {
                    Said::Arrived(arrival) => tickets.push(arrival.ticket),
                    Said::Dropped => break,
                    Said::Connected { .. } | Said::Disconnected { .. } => {}
                    other @ Said::Acked(_) => panic!("{other:?}"),
                }
            }
            assert_eq!(tickets.len(), ARRIVALS);
            assert!(tickets.iter().all(|ticket| ticket.connection == connection));
            // All that could wait is taken: the connection is left for the rest.
            tickets.into_iter().for_each(|ticket| words.send(Word::Taken(ticket)).unwrap());
            drop(stream);
        }
        // As if the broker were lost each time, the pauses would grow to 10 s.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        running.abort();
    }

    fn row(sequence: u64) -> Row {
        Row {
            sequence,
            epoch: 1,
            kind: "state".into(),
            machine: None,
            topic: "t".into(),
            topic_sequence: sequence,
            body: Arc::from(vec![0; 100]),
            internal: String::new(),
        }
    }
}
