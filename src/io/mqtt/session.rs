//! One connection to one broker: publishes in, packet ids given and acknowledged out. Every call of rumqttc is here.
//!
//! Nothing in here outlives the connection: on any error client and event loop are dropped together, and what was not
//! acknowledged is sent again from the cursor. rumqttc's own replay would not know what the journal knows.

use super::{Broker, Credentials, Settings, Will, tls};
use crate::io::in_words;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing,
    Packet, PublishOptions, QoS, StateError, TlsConfiguration, Transport, mqttbytes,
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
/// What was heard and is not yet taken. When it is full, the poll waits.
const HEARD: usize = 256;
/// Largest packet, in both directions; an event is at most 64 KiB, a picture may be larger.
const PACKET_BYTES: usize = 1 << 20;
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
    /// The last word of a session, with why.
    Lost(String),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// QoS 1.
    Event,
    /// QoS 0, retained.
    Picture,
    /// QoS 1, retained.
    Status,
}

impl Session {
    /// Files are read anew each time: passwords and certificates change while the daemon runs.
    pub(super) async fn open(settings: &Settings, broker: &Broker, will: &Will) -> Result<Session, String> {
        let to_read = settings.clone();
        let credentials = task::spawn_blocking(move || Credentials::read(&to_read)).await;
        let credentials = credentials.map_err(|error| in_words(&error))?.map_err(|error| in_words(&error))?;
        let capacity = WINDOW + PICTURES_ALOFT;
        let options = options(settings, broker, will, credentials);
        let (client, mut eventloop) = AsyncClient::builder(options).capacity(capacity).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_S);
        eventloop.set_network_options(network);
        let (tell, heard) = mpsc::channel(HEARD);
        let polling = tokio::spawn(poll(eventloop, tell));
        let mut session = Session { client, heard, polling };
        match session.heard().await {
            Heard::Lost(why) => Err(why),
            _ => Ok(session),
        }
    }

    /// Fails only if more is handed over than the bounds above permit, or under a name that is no topic.
    pub(super) fn publish(&self, topic: &str, body: &[u8], manner: Manner) -> Result<(), String> {
        let options = match manner {
            Manner::Event => PublishOptions::at_least_once(),
            Manner::Picture => PublishOptions::at_most_once().retained(),
            Manner::Status => PublishOptions::at_least_once().retained(),
        };
        self.client.try_publish(topic, body, options).map_err(|error| format!("publishing on {topic}: {error}"))
    }

    pub(super) async fn heard(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or_else(|| Heard::Lost("the session ended".into()))
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

fn options(settings: &Settings, broker: &Broker, will: &Will, credentials: Credentials) -> MqttOptions {
    let (host, port) = (broker.host.clone(), broker.port);
    let mut options = MqttOptions::new(&settings.client_id, rumqttc::Broker::tcp(&host, port));
    options
        .set_keep_alive(u16::try_from(settings.keep_alive.as_secs().max(1)).unwrap_or(u16::MAX))
        .set_clean_session(false)
        .set_last_will(LastWill::new(&will.topic, will.offline.clone(), QoS::AtLeastOnce, true))
        .set_max_packet_size(PACKET_BYTES, PACKET_BYTES)
        .set_inflight(INFLIGHT)
        .set_max_request_batch(BATCH)
        .set_socket_connector(move |_, _| dial(host.clone(), port));
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
async fn dial(host: String, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(DIAL, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MS)?;
                return Ok(stream);
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
            Ok(_) => continue,
            Err(error) => Heard::Lost(why(&error)),
        };
        let last = matches!(heard, Heard::Lost(_));
        if tell.send(heard).await.is_err() || last {
            return;
        }
    }
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
