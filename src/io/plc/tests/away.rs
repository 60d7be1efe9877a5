//! A network that is gone for seconds or minutes and comes back; how soon the PLC behind it is read again.

use super::{
    super::line::run_over,
    lab::{Door, Lab, Reply, Said},
    *,
};
use tokio::time::{Instant, sleep};

/// Swallows everything, questions and attempts to connect alike, or refuses them, until a time.
struct Cable {
    door: Door<fn(&[u8]) -> Reply>,
    refuses: bool,
    until: Instant,
}

impl Reach for Cable {
    fn open<'a>(&'a self, place: Place<'a>, patience: Duration) -> Opening<'a> {
        if Instant::now() >= self.until {
            return self.door.open(place, patience);
        }
        let refuses = self.refuses;
        Box::pin(async move {
            if refuses {
                return Err(Error::Connect(io::ErrorKind::ConnectionRefused.into()));
            }
            sleep(patience).await;
            Err(Error::NoConnection { patience })
        })
    }
}

fn honest(request: &[u8]) -> Reply {
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let ask = Ask { transaction: word(0), unit: request[6], function: request[7], address: word(8), count: word(10) };
    vec![(Duration::from_millis(1), Said::Bytes(ask.frame(&ask.truth())))]
}

#[tokio::test(start_paused = true)]
async fn a_plc_whose_network_is_back_is_read_within_two_polls_however_long_it_was_gone() {
    for (poll_ms, timeout_ms) in [(100, 300), (200, 1000), (500, 300), (1000, 300), (2000, 500)] {
        for (gone_ms, refuses) in (0..12).flat_map(|n| [(3_000 + 17_123 * n, false), (3_000 + 17_123 * n, true)]) {
            let until = Instant::now() + Duration::from_millis(gone_ms);
            let door = Door(Lab::new(honest as fn(&[u8]) -> Reply, 12, false, false));
            let (out, mut words) = mpsc::channel(64);
            let plc = settings("cable", poll_ms, timeout_ms);
            tokio::spawn(run_over(Arc::new(Cable { door, refuses, until }), vec![plc], Clock::of_timers(), out));
            next_whole(&mut words).await;
            let took = Instant::now() - until;
            // The attempt under way may still time out.
            let most = Duration::from_millis(timeout_ms + 2 * poll_ms + 20);
            assert!(took <= most, "{took:?} of {most:?}: a poll of {poll_ms} ms, gone for {gone_ms} ms, {refuses}");
        }
    }
}
