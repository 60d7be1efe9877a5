//! The machine's clocks in, the gateway's one timeline and the steps of the wall clock out.
//!
//! The timeline is the wall clock at the anchor plus boot time since. Boot time counts through suspend and is never stepped,
//! so no duration changes when somebody sets the wall clock. What slews the wall clock slews boot time alike.

use crate::event::{Stamp, Wall, wall::Anchor};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// 2025-01-01T00:00:00Z, before this program was: a wall clock that shows less was not set yet.
const PLAUSIBLE: Stamp = Stamp::from_ms(1_735_689_600_000);

/// What the wall clock may be apart without being followed: below it a reading of two clocks that was interrupted between
/// them looks alike. Smaller steps add up. Milliseconds.
const STEP_MS: i64 = 500;

/// The folder of systemd-timesyncd, where it runs, and the file in it that it makes once the clock was set. The kernel's own
/// word is not to be had: the call that asks for it can also set the clock, so a hardened unit may not make it.
const TIMESYNC: &str = "/run/systemd/timesync";
const TIMESYNC_DONE: &str = "/run/systemd/timesync/synchronized";

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

    /// Goes on where an earlier process' timeline ended at `end`, if there was one, and never before. Within one boot, as `anchor` tells,
    /// exactly; else only the wall clock says how long it was away, and after a boot it was away since then at least.
    pub fn resume(speed: u32, end: Option<Stamp>, wall: &Wall, anchor: Option<&Anchor>) -> Clock {
        let clock = Clock::start(speed);
        let Some(end) = end else { return clock };
        let boot_ms = in_ms(clock.boot_ns);
        let goes_on = match anchor {
            Some(anchor) if anchor.boot == boot_id() && !anchor.boot.is_empty() => {
                anchor.at.plus((boot_ms - anchor.boot_ms).saturating_mul(i64::from(clock.speed)))
            }
            anchor => {
                let by_wall = if is_plausible(clock.anchor) { clock.anchor.since(wall.of(end)) } else { 0 };
                let by_boot = if anchor.is_some() { boot_ms } else { 0 };
                end.plus(by_wall.max(by_boot))
            }
        };
        Clock { anchor: goes_on.max(end), ..clock }
    }

    /// Where another process of this boot can go on from.
    pub fn anchor(&self, boot: &str) -> Anchor {
        let boot_ns = boot_ns();
        let ms = in_ms((boot_ns - self.boot_ns) * i128::from(self.speed));
        Anchor { boot: boot.to_owned(), boot_ms: in_ms(boot_ns), at: self.anchor.plus(ms) }
    }

    /// Watches how the wall clock stands to this timeline; `wall` is what was known of that.
    pub fn watch(&self, wall: &Wall) -> WallWatch {
        let boot_ns = boot_ns();
        // A fast timeline has left the wall clock behind: only what is set from here on counts.
        let shown = if self.speed == 1 { wall.of(self.now()) } else { self::wall() };
        WallWatch { apart_ns: i128::from(shown.ms()) * 1_000_000 - boot_ns, is_told: true }
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

/// The wall clock, as it was last seen to stand to boot time.
#[derive(Debug)]
pub struct WallWatch {
    /// Wall clock − boot time, as followed.
    apart_ns: i128,
    /// What was said last by whoever else sets the clock.
    is_told: bool,
}

/// What a look at the wall clock showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// By how much it was set since it was last followed; 0 for not at all. Milliseconds.
    pub step_ms: i64,
    /// Whether it can be trusted.
    pub is_synced: bool,
}

impl WallWatch {
    /// Cheap enough for every turn. A wall clock that was not set yet is not followed.
    pub fn look(&mut self) -> Look {
        let (boot_ns, shown) = (boot_ns(), wall());
        let apart_ms = in_ms(i128::from(shown.ms()) * 1_000_000 - boot_ns - self.apart_ns);
        let is_set = is_plausible(shown);
        let step_ms = if is_set && apart_ms.abs() >= STEP_MS { apart_ms } else { 0 };
        if step_ms != 0 {
            self.ask();
        }
        Look { step_ms, is_synced: is_set && self.is_told }
    }

    /// Asks the system whether the clock was set; not for every turn.
    pub fn ask(&mut self) {
        self.is_told = !Path::new(TIMESYNC).exists() || Path::new(TIMESYNC_DONE).exists();
    }

    /// The step was entered.
    pub fn follow(&mut self, step_ms: i64) {
        self.apart_ns += i128::from(step_ms) * 1_000_000;
    }
}

/// The kernel's name of this boot; empty where it has none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What the clock on the wall shows.
pub fn wall() -> Stamp {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()),
        Err(before) => i64::try_from(before.duration().as_millis()).map(|ms| -ms),
    };
    Stamp::from_ms(ms.unwrap_or(0))
}

/// The clock that service managers compare by. Microseconds.
pub fn monotonic_us() -> u64 {
    u64::try_from(nanos(clock_gettime(ClockId::Monotonic)) / 1000).unwrap_or_default()
}

fn is_plausible(wall: Stamp) -> bool {
    wall >= PLAUSIBLE
}

fn in_ms(ns: i128) -> i64 {
    i64::try_from(ns.div_euclid(1_000_000)).unwrap_or(i64::MAX)
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
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let apart = Clock::start(1).now().since(Stamp::from_ms(i64::try_from(wall.as_millis()).unwrap()));
        assert!(apart.abs() < 5_000, "{apart} ms");
    }

    fn goes_on(end: Stamp, anchor: Option<&Anchor>) -> i64 {
        Clock::resume(1, Some(end), &Wall::default(), anchor).now().since(end)
    }

    #[test]
    fn the_timeline_never_begins_before_its_earlier_end() {
        let away_ms = goes_on(wall().plus(3_600_000), None);
        assert!((0..5_000).contains(&away_ms), "{away_ms}");
    }

    #[test]
    fn within_one_boot_it_goes_on_exactly_whatever_the_wall_clock_shows() {
        let end = wall().plus(3_600_000);
        let anchor = Anchor { boot: boot_id(), boot_ms: in_ms(boot_ns()) - 7_000, at: end };
        let away_ms = goes_on(end, Some(&anchor));
        assert!((7_000..12_000).contains(&away_ms), "{away_ms}");
    }

    #[test]
    fn after_a_boot_the_wall_clock_says_how_long_it_was_away_but_that_was_no_less_than_since_the_boot() {
        let another = Anchor { boot: "another".to_owned(), boot_ms: 1, at: Stamp::from_ms(1) };
        let away_ms = goes_on(wall().plus(-3_600_000 - in_ms(boot_ns())), Some(&another));
        assert!((away_ms - 3_600_000 - in_ms(boot_ns())).abs() < 5_000, "{away_ms}");
        let away_ms = goes_on(wall().plus(3_600_000), Some(&another));
        assert!((in_ms(boot_ns()) - away_ms).abs() < 5_000, "{away_ms}");
    }

    #[test]
    fn a_wall_clock_that_was_set_meanwhile_shows_at_the_first_look() {
        let end = wall().plus(3_600_000);
        let clock = Clock::resume(1, Some(end), &Wall::default(), None);
        let mut watch = clock.watch(&Wall::default());
        let look = watch.look();
        assert!((-3_605_000..=-3_595_000).contains(&look.step_ms), "{look:?}");
        watch.follow(look.step_ms);
        assert_eq!(watch.look().step_ms, 0);
        assert_eq!(Clock::start(1).watch(&Wall::default()).look().step_ms, 0);
    }
}
