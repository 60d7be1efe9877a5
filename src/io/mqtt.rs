//! Committed events and live pictures in, a broker's acknowledgements out.

use std::{path::PathBuf, time::Duration};

/// One broker of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port; 1883 or 8883 where the URL names none.
    pub port: u16,
    /// `mqtts://`
    pub tls: bool,
}

/// How to reach the brokers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tried in order.
    pub brokers: Vec<Broker>,
    /// `[gateway] id`
    pub client_id: String,
    /// With `password_file`.
    pub username: Option<String>,
    /// Its first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM; without it the roots of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM, client certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM, its key.
    pub key_file: Option<PathBuf>,
    /// MQTT keep-alive.
    pub keep_alive: Duration,
}
