//! How many channels are kept in, descriptors for all of them out: as many as the system allows, or a word why not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside the channels: the journal and its readers, marks, recording, log, broker, service manager, the runtime's own.
const OTHERS: u64 = 64;

/// A channel's most: while a name is looked up, a file and a socket.
const CHANNEL_MOST: u64 = 2;

/// Some PLCs could never be connected, and at a bad moment neither could the broker, nor the journal be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{needed} open files are needed, {channels} of them for PLCs, but the system allows no more than {allowed}: \
     raise its hard limit (LimitNOFILE= in a unit, ulimit -Hn in a shell)"
)]
pub struct Error {
    channels: usize,
    needed: u64,
    allowed: u64,
}

/// Raises the soft limit to what so many channels may need, where it is lower; many systems begin with 1024.
///
/// # Errors
/// The hard limit does not leave one for each channel.
pub fn allow(channels: usize) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(limit, channels)? else { return Ok(()) };
    let (from, to) = (limit.current, raised.current);
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(from, to, "the limit of open files was raised"),
        // A sandbox may forbid it. Whoever then finds none left says so.
        Err(error) => tracing::warn!(%error, from, to, "the limit of open files could not be raised"),
    }
    Ok(())
}

/// The limit to set, if it is not as it should be already.
fn raised(limit: Rlimit, channels: usize) -> Result<Option<Rlimit>, Error> {
    let count = u64::try_from(channels).unwrap_or(u64::MAX);
    let needed = count.saturating_add(OTHERS);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    if hard < needed {
        return Err(Error { channels, needed, allowed: hard });
    }
    let wanted = count.saturating_mul(CHANNEL_MOST).saturating_add(OTHERS).min(hard);
    Ok((soft < wanted).then_some(Rlimit { current: Some(wanted), maximum: limit.maximum }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(soft: u64, hard: Option<u64>) -> Rlimit {
        Rlimit { current: Some(soft), maximum: hard }
    }

    #[test]
    fn a_limit_that_is_too_low_is_raised_as_far_as_the_system_allows() {
        let soft = |at, channels| raised(at, channels).unwrap().map(|limit| limit.current);
        assert_eq!(soft(limit(1024, None), 480), None);
        assert_eq!(soft(limit(1024, None), 500), Some(Some(1064)));
        assert_eq!(soft(limit(1024, Some(4096)), 500), Some(Some(1064)));
        assert_eq!(soft(limit(256, Some(600)), 500), Some(Some(600)));
        assert_eq!(soft(Rlimit { current: None, maximum: None }, 500), None);
        assert_eq!(raised(limit(256, Some(4096)), 500).unwrap().unwrap().maximum, Some(4096));
    }

    #[test]
    fn where_not_every_channel_can_have_one_it_is_said_with_the_numbers() {
        assert!(raised(limit(256, Some(564)), 500).is_ok());
        let words = raised(limit(256, Some(563)), 500).unwrap_err().to_string();
        assert!(
            words.starts_with(
                "564 open files are needed, 500 of them for PLCs, but the system allows no more than 563: "
            )
        );
    }
}
