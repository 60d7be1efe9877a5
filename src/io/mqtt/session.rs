//! One connection to one broker: publishes in, packet ids given and acknowledged out, and what arrives on our topics.
//! Every call of rumqttc is here.
//!
//! Nothing in here outlives the connection: on any error client and event loop are dropped together, and what was not
//! acknowledged is sent again from the cursor. rumqttc's own replay would not know what the journal knows.

use super::{Broker, Credentials, Settings, Will, prompt::Prompt, tls};
use crate::io::in_words;
use rumqttc::{
    AckMode, AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions,
    Outgoing, Packet, Publish, PublishOptions, QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport, mqttbytes,
};
use std::{io, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::mpsc,
    task::{self, JoinHandle},
    time::timeout,
};
use tokio_rustls::rustls;

/// Publishes with an acknowledgement on their way at once: hides 2 ms of round trip at 100 000 events a second.
pub(super) const WINDOW: usize = 200;
/// Pictures handed over and not yet written; beyond that they wait, and only the newest of each.
pub(super) const PICTURES_ALOFT: usize = 64;
/// Above the window, so that rumqttc never holds back a publish of its own accord.
const INFLIGHT: u16 = 256;
/// Publishes that rumqttc writes before it flushes.
const BATCH: usize = 64;
/// Arrivals that wait for the gateway …
pub(super) const ARRIVALS: usize = 256;
/// … and their bytes, all together.
pub(super) const ARRIVALS_BYTES: usize = 8 << 20;
/// What was heard and is not yet taken. When it is full, the poll waits.
const HEARD: usize = 256;
/// Largest packet that is sent; an event is at most 64 KiB, a picture may be larger.
const PACKET_BYTES: usize = 1 << 20;
/// Largest packet that is taken, well above what a command may be: a larger one costs the connection.
const TAKEN_BYTES: usize = 4 << 20;
/// Filters of one SUBSCRIBE: its packet stays small, whatever the topics.
const FILTERS: usize = 32;
/// Longest picture: the rest of its packet is its topic.
pub(super) const PICTURE_BYTES: usize = PACKET_BYTES - (64 << 10);
/// For one address of the broker's name.
const DIAL: Duration = Duration::from_secs(3);
/// From the name to the CONNACK; also for one write.
const CONNECT_S: u64 = 10;
/// After which the kernel gives up on bytes that nobody acknowledges: pictures alone would not notice a dead peer.
const USER_TIMEOUT_MS: u32 = 20_000;
/// For the DISCONNECT to be written.
const CLOSE: Duration = Duration::from_millis(200);

/// Ends without DISCONNECT when it is dropped: the broker publishes the will.
#[derive(Debug)]
pub(super) struct Session {
    client: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    polling: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) enum Heard {
    Connected,
    /// Written under this packet id; 0 is a publish without acknowledgement.
    Sent(u16),
    Acked(u16),
    /// Somebody else published on a topic that was subscribed to; packet id 0 wants no acknowledgement.
    Arrived {
        topic: String,
        body: Vec<u8>,
        is_retained: bool,
        packet_id: u16,
    },
    /// The broker's answer to the next so many filters: which of them it refused, by place.
    Subscribed {
        filters: usize,
        refused: Vec<usize>,
    },
    /// The last word of a session.
    Lost(Lost),
}

/// How a session ended.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) why: String,
    /// It brought a packet so large that it cannot be taken, and would bring it again.
    pub(super) is_poisoned: bool,
    /// The broker is there: it was left to be come back to.
    pub(super) is_wanted: bool,
}

impl Lost {
    pub(super) fn to(why: impl Into<String>) -> Lost {
        Lost { why: why.into(), is_poisoned: false, is_wanted: false }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// QoS 1.
    Event,
    /// QoS 1, once.
    Reply,
    /// QoS 0, retained.
    Picture,
    /// QoS 1, retained.
    Status,
}

impl Session {
    /// Files are read anew each time: passwords and certificates change while the daemon runs. A `fresh` session is one
    /// that the broker has forgotten everything of.
    pub(super) async fn open(
        settings: &Settings,
        broker: &Broker,
        will: Option<&Will>,
        fresh: bool,
    ) -> Result<Session, String> {
        let to_read = settings.clone();
        let credentials = task::spawn_blocking(move || Credentials::read(&to_read)).await;
        let credentials = credentials.map_err(|error| in_words(&error))?.map_err(|error| in_words(&error))?;
        let subscribes = settings.filters.len().div_ceil(FILTERS);
        let capacity = WINDOW + PICTURES_ALOFT + ARRIVALS + subscribes;
        let mut options = options(settings, broker, will, credentials);
        options.set_clean_session(fresh);
        let (client, mut eventloop) = AsyncClient::builder(options).capacity(capacity).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_S);
        eventloop.set_network_options(network);
        let (tell, heard) = mpsc::channel(HEARD);
        let polling = tokio::spawn(poll(eventloop, tell));
        let mut session = Session { client, heard, polling };
        match session.heard().await {
            Heard::Lost(lost) => Err(lost.why),
            _ => {
                session.subscribe(&settings.filters)?;
                Ok(session)
            }
        }
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), String> {
        for some in filters.chunks(FILTERS) {
            let some = some.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
            self.client.try_subscribe_many(some).map_err(|error| format!("subscribing: {error}"))?;
        }
        Ok(())
    }

    /// What bore this packet id is taken for good.
    pub(super) fn acknowledge(&self, packet_id: u16) -> Result<(), String> {
        let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new());
        publish.pkid = packet_id;
        self.client.try_ack(&publish).map_err(|error| format!("acknowledging: {error}"))
    }

    /// Fails only if more is handed over than the bounds above permit, or under a name that is no topic.
    pub(super) fn publish(&self, topic: &str, body: &[u8], manner: Manner) -> Result<(), String> {
        let options = match manner {
            Manner::Event | Manner::Reply => PublishOptions::at_least_once(),
            Manner::Picture => PublishOptions::at_most_once().retained(),
            Manner::Status => PublishOptions::at_least_once().retained(),
        };
        self.client.try_publish(topic, body, options).map_err(|error| format!("publishing on {topic}: {error}"))
    }

    pub(super) async fn heard(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or_else(|| Heard::Lost(Lost::to("the session ended")))
    }

    pub(super) fn heard_already(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    /// With DISCONNECT: the broker forgets the will.
    pub(super) async fn close(mut self) {
        if self.client.try_disconnect_now().is_ok() {
            let gone = async { while !matches!(self.heard().await, Heard::Lost(_)) {} };
            _ = timeout(CLOSE, gone).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

fn options(settings: &Settings, broker: &Broker, will: Option<&Will>, credentials: Credentials) -> MqttOptions {
    let (host, port) = (broker.host.clone(), broker.port);
    let mut options = MqttOptions::new(&settings.client_id, rumqttc::Broker::tcp(&host, port));
    options
        .set_keep_alive(u16::try_from(settings.keep_alive.as_secs().max(1)).unwrap_or(u16::MAX))
        .set_ack_mode(AckMode::Manual)
        .set_max_packet_size(TAKEN_BYTES, PACKET_BYTES)
        .set_inflight(INFLIGHT)
        .set_max_request_batch(BATCH)
        .set_socket_connector(move |_, _| dial(host.clone(), port));
    if let Some(will) = will {
        options.set_last_will(LastWill::new(&will.topic, will.offline.clone(), QoS::AtLeastOnce, true));
    }
    match (&settings.username, credentials.password) {
        (Some(username), Some(password)) => _ = options.set_credentials(username, password),
        (Some(username), None) => _ = options.set_username(username),
        (None, _) => {}
    }
    if let Some(config) = credentials.tls.filter(|_| broker.tls) {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    }
    options
}

/// Each address of the name gets its own time: one that swallows packets must not use up the others'.
async fn dial(host: String, port: u16) -> io::Result<Prompt> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(DIAL, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MS)?;
                return Ok(Prompt(stream));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer to the connection attempt"),
        }
    }
    Err(last)
}

/// In a task of its own, because a poll that is cancelled half-way forgets what it has read.
async fn poll(mut eventloop: EventLoop, tell: mpsc::Sender<Heard>) {
    loop {
        let heard = match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Heard::Connected,
            Ok(Event::Incoming(Packet::PubAck(ack))) => Heard::Acked(ack.pkid),
            Ok(Event::Outgoing(Outgoing::Publish(packet_id))) => Heard::Sent(packet_id),
            Ok(Event::Incoming(Packet::Publish(publish))) => Heard::Arrived {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                body: publish.payload.to_vec(),
                is_retained: publish.retain,
                packet_id: publish.pkid,
            },
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                let is_refused = |(_, code): &(usize, &SubscribeReasonCode)| **code == SubscribeReasonCode::Failure;
                let refused = answer.return_codes.iter().enumerate().filter(is_refused).map(|(place, _)| place);
                Heard::Subscribed { filters: answer.return_codes.len(), refused: refused.collect() }
            }
            Ok(_) => continue,
            Err(error) => Heard::Lost(Lost { is_poisoned: is_too_large(&error), ..Lost::to(why(&error)) }),
        };
        let last = matches!(heard, Heard::Lost(_));
        if tell.send(heard).await.is_err() || last {
            return;
        }
    }
}

fn is_too_large(error: &ConnectionError) -> bool {
    let ConnectionError::MqttState(StateError::Deserialization(error)) = error else { return false };
    matches!(error, mqttbytes::Error::PayloadSizeLimitExceeded(_))
}

/// The words for people; what is not named here speaks for itself.
fn why(error: &ConnectionError) -> String {
    use ConnectReturnCode as Code;
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            Code::RefusedProtocolVersion => "it does not accept MQTT 3.1.1".into(),
            Code::BadClientId => "it does not accept the client id (gateway id)".into(),
            Code::ServiceUnavailable => "it says that its service is unavailable".into(),
            Code::BadUserNamePassword => "it refused username or password_file".into(),
            Code::NotAuthorized => "not authorised: it refused username, password_file or the client id".into(),
            Code::Success => error.to_string(),
        },
        ConnectionError::NetworkTimeout => format!("no MQTT answer within {CONNECT_S} s"),
        ConnectionError::FlushTimeout => format!("it took no bytes for {CONNECT_S} s"),
        error if is_too_large(error) => {
            format!(
                "it brought a packet of more than {} MiB; what else it kept for us is lost with it",
                TAKEN_BYTES >> 20
            )
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => "it did not answer a ping".into(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => "it closed the connection".into(),
        ConnectionError::Io(error)
        | ConnectionError::Tls(rumqttc::TlsError::Io(error))
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(refusal) => tls::words(refusal),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}
