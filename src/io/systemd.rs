//! Readiness, status and progress in, datagrams to the service manager out (`sd_notify(3)`); silent where none listens.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};
use tracing::{info, warn};

/// The way to the service manager. Telling never waits and never fails: what is lost is said once and counted.
#[derive(Debug)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    interval: Option<Duration>,
    lost: u64,
}

impl Notify {
    /// What `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say. They are left in place: a re-exec needs them again.
    pub fn from_env() -> Self {
        Self::new(|name| env::var_os(name))
    }

    fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let to = env("NOTIFY_SOCKET").and_then(|name| {
            let way = connect(&name);
            way.inspect_err(|error| warn!(socket = ?name, %error, "service manager is out of reach")).ok()
        });
        let number = |name| env(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let usec = number("WATCHDOG_USEC").filter(|&usec| ours && usec > 0);
        Self { to, interval: usec.map(|usec| Duration::from_micros(usec) / 2), lost: 0 }
    }

    /// How often [`Self::watchdog`] is due: half of what the service manager grants. `None`: nobody watches.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// The start is over.
    pub fn ready(&mut self) {
        self.tell("READY=1");
    }

    /// One line for people, shown by `systemctl status`.
    pub fn status(&mut self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// A cycle was completed. To be called for progress only, never by a timer.
    pub fn watchdog(&mut self) {
        self.tell("WATCHDOG=1");
    }

    /// The way to [`Self::ready`] has begun anew, in the same process.
    pub fn reloading(&mut self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", super::clock::monotonic_us()));
    }

    /// The stop has begun.
    pub fn stopping(&mut self) {
        self.tell("STOPPING=1");
    }

    fn tell(&mut self, words: &str) {
        let Some((socket, address)) = &self.to else { return };
        match socket.send_to_addr(words.as_bytes(), address) {
            Ok(_) if self.lost > 0 => {
                info!(lost = self.lost, "service manager listened again");
                self.lost = 0;
            }
            Ok(_) => {}
            Err(error) => {
                if self.lost == 0 {
                    warn!(%error, "service manager could not be told");
                }
                self.lost += 1;
            }
        }
    }
}

/// A path, or with a leading `@` a name in the abstract namespace.
fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither an absolute path nor an abstract socket")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn told(listener: &UnixDatagram) -> String {
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 256];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn with(environment: &[(&str, &str)]) -> Notify {
        Notify::new(|name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn systemd_hears_of_start_status_progress_and_stop() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut notify = with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        notify.ready();
        notify.status("2 PLCs, 3 machines\nREADY=0");
        notify.watchdog();
        notify.stopping();
        let heard = [(); 4].map(|()| told(&listener));
        assert_eq!(heard, ["READY=1", "STATUS=2 PLCs, 3 machines READY=0", "WATCHDOG=1", "STOPPING=1"]);
        let before = crate::io::clock::monotonic_us();
        notify.reloading();
        let heard = told(&listener);
        let at: u64 = heard.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=crate::io::clock::monotonic_us()).contains(&at), "{heard}");
    }

    #[test]
    fn an_abstract_socket_is_reached_too() {
        let name = format!("andon-notify-{}", process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        with(&[("NOTIFY_SOCKET", &format!("@{name}"))]).ready();
        assert_eq!(told(&listener), "READY=1");
    }

    #[test]
    fn a_listener_that_went_away_is_told_again_when_it_is_back() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let mut notify = with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        notify.watchdog();
        notify.watchdog();
        assert_eq!(notify.lost, 2);
        let listener = UnixDatagram::bind(&path).unwrap();
        notify.watchdog();
        assert_eq!((told(&listener).as_str(), notify.lost), ("WATCHDOG=1", 0));
    }

    #[test]
    fn the_watchdog_is_due_at_half_its_time() {
        assert_eq!(with(&[("WATCHDOG_USEC", "60000000")]).interval(), Some(Duration::from_secs(30)));
        let own = process::id().to_string();
        let ours = [("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", own.as_str())];
        assert_eq!(with(&ours).interval(), Some(Duration::from_millis(1500)));
        assert_eq!(with(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")]).interval(), None);
        assert_eq!(with(&[("WATCHDOG_USEC", "0")]).interval(), None);
        assert_eq!(with(&[("WATCHDOG_USEC", "soon")]).interval(), None);
        assert_eq!(with(&[]).interval(), None);
    }

    #[test]
    fn without_a_service_manager_nothing_is_said() {
        for mut notify in [with(&[]), with(&[("NOTIFY_SOCKET", "vsock:2:1234")])] {
            notify.ready();
            assert_eq!(notify.lost, 0);
        }
    }
}
