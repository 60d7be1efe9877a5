//! The machine's clocks in, the gateway's one timeline out: wall clock at the anchor plus boot time since.
//!
//! Boot time counts through suspend and is never stepped, so no duration changes when somebody sets the wall clock.

use crate::event::Stamp;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Longest nap in one go: timers stand still while the machine is suspended, boot time does not.
const NAP: Duration = Duration::from_secs(1);

/// One timeline, cheap to copy; all rooms of a process share one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Stamp,
    boot_ns: i128,
    speed: u32,
    /// Goes with the timers, whose clock a test may pause.
    #[cfg(test)]
    timers: Option<tokio::time::Instant>,
}

impl Clock {
    /// Anchors the timeline at the wall clock. It runs `speed` times as fast as the world (at least 1; more is for
    /// simulation).
    pub fn start(speed: u32) -> Clock {
        Clock {
            anchor: wall(),
            boot_ns: boot_ns(),
            speed: speed.max(1),
            #[cfg(test)]
            timers: None,
        }
    }

    /// The timeline of the timers.
    #[cfg(test)]
    pub(crate) fn of_timers() -> Clock {
        Clock { timers: Some(tokio::time::Instant::now()), ..Clock::start(1) }
    }

    /// Where an earlier process' timeline ended later than this one begins, this one goes on from there: what was told
    /// must not be overtaken from behind.
    #[must_use]
    pub fn not_before(self, end: Stamp) -> Clock {
        Clock { anchor: self.anchor.max(end), ..self }
    }

    /// Now, on this timeline.
    pub fn now(&self) -> Stamp {
        let ms = self.elapsed_ns() / 1_000_000;
        self.anchor.plus(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// How long a duration of this timeline takes in the world.
    pub fn real(&self, duration: Duration) -> Duration {
        duration / self.speed
    }

    /// Returns at `at`, or up to a timer's grain (1 ms of the world) later.
    pub async fn sleep_until(&self, at: Stamp) {
        loop {
            let left = i128::from(at.since(self.anchor)) * 1_000_000 - self.elapsed_ns();
            let Ok(left) = u64::try_from(left.clamp(0, i128::from(u64::MAX))) else { return };
            if left == 0 {
                return;
            }
            // Never zero, so that a fast timeline does not spin.
            let nap = self.real(Duration::from_nanos(left)).max(Duration::from_nanos(1));
            tokio::time::sleep(nap.min(NAP)).await;
        }
    }

    fn elapsed_ns(&self) -> i128 {
        #[cfg(test)]
        if let Some(begun) = self.timers {
            return i128::try_from(begun.elapsed().as_nanos()).unwrap();
        }
        (boot_ns() - self.boot_ns) * i128::from(self.speed)
    }
}

/// What the clock on the wall shows.
pub fn wall() -> Stamp {
    let ms = nanos(clock_gettime(ClockId::Realtime)) / 1_000_000;
    Stamp::from_ms(i64::try_from(ms).unwrap_or(0))
}

fn boot_ns() -> i128 {
    nanos(clock_gettime(ClockId::Boottime))
}

fn nanos(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fast_clock_passes_a_minute_in_less_than_one() {
        let clock = Clock::start(600);
        let begun = std::time::Instant::now();
        let from = clock.now();
        clock.sleep_until(from.plus(60_000)).await;
        assert!(clock.now().since(from) >= 60_000);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(99), "{took:?}");
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_millis(100));
    }

    #[tokio::test]
    async fn a_time_that_has_passed_is_not_waited_for() {
        let clock = Clock::start(1);
        tokio::time::timeout(Duration::from_secs(5), clock.sleep_until(clock.now().plus(-1000))).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), clock.sleep_until(Stamp::MIN)).await.unwrap();
    }

    #[test]
    fn the_timeline_begins_at_the_wall_clock() {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let apart = Clock::start(1).now().since(Stamp::from_ms(i64::try_from(wall.as_millis()).unwrap()));
        assert!(apart.abs() < 5_000, "{apart} ms");
    }

    #[test]
    fn the_timeline_never_begins_before_its_earlier_end() {
        let end = wall().plus(3_600_000);
        let now = Clock::start(1).not_before(end).now();
        assert!((0..5_000).contains(&now.since(end)), "{now} after {end}");
    }
}
