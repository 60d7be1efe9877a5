//! A question in, its answer out: one short connection beside the daemon's, that leaves nothing at the broker; or what stands
//! there in, something else in its place out.

use super::{
    Settings,
    session::{Heard, Manner, Session},
};
use std::time::Duration;
use tokio::time::timeout;

/// From the question to its answer; who asks may ask again.
const ANSWER: Duration = Duration::from_secs(10);

/// Publishes `body` on `topic` once it listens on `answers`, and gives the first body there that is the answer.
///
/// # Errors
/// In words: no broker, nobody let in, no answer.
pub async fn errand(
    settings: &Settings,
    (topic, body): (&str, &[u8]),
    answers: &str,
    mut is_answer: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, String> {
    let settings = Settings { filters: vec![answers.to_owned()], ..settings.clone() };
    let mut why = "no broker is configured".to_owned();
    for broker in &settings.brokers {
        let mut session = match Session::open(&settings, broker, None, true).await {
            Ok(session) => session,
            Err(error) => {
                why = format!("{broker}: {error}");
                continue;
            }
        };
        let ask = async {
            loop {
                match session.heard().await {
                    Heard::Subscribed { refused, .. } if !refused.is_empty() => {
                        return Err(format!("{broker} does not let us subscribe to {answers}"));
                    }
                    Heard::Subscribed { .. } => session.publish(topic, body, Manner::Reply)?,
                    Heard::Arrived { body, .. } if is_answer(&body) => return Ok(body),
                    Heard::Arrived { packet_id, .. } if packet_id != 0 => session.acknowledge(packet_id)?,
                    Heard::Lost(lost) => return Err(format!("{broker}: {}", lost.why)),
                    Heard::Arrived { .. } | Heard::Connected | Heard::Sent(_) | Heard::Acked(_) => {}
                }
            }
        };
        let answer = timeout(ANSWER, ask).await;
        session.close().await;
        return answer.unwrap_or_else(|_| {
            let seconds = ANSWER.as_secs();
            Err(format!("no answer on {answers} within {seconds} s: does the daemon run, and may it read {topic}?"))
        });
    }
    Err(why)
}

/// For the whole of a correction: whoever ends should end.
const CORRECTION: Duration = Duration::from_secs(2);

/// Puts another body in the place of the one that stands retained on `topic`, if `change` gives one.
///
/// # Errors
/// In words: no broker, nothing there.
pub async fn correct(
    settings: &Settings,
    topic: &str,
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), String> {
    let settings = Settings { filters: vec![topic.to_owned()], ..settings.clone() };
    let mut why = "no broker is configured".to_owned();
    for broker in &settings.brokers {
        let corrected = timeout(CORRECTION, async {
            let mut session = Session::open(&settings, broker, None, true).await?;
            loop {
                match session.heard().await {
                    Heard::Arrived { body, is_retained: true, .. } => match change(&body) {
                        Some(body) => session.publish(topic, &body, Manner::Status)?,
                        None => break,
                    },
                    Heard::Acked(_) => break,
                    Heard::Lost(lost) => return Err(lost.why),
                    Heard::Arrived { .. } | Heard::Connected | Heard::Sent(_) | Heard::Subscribed { .. } => {}
                }
            }
            session.close().await;
            Ok(())
        });
        match corrected.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => why = format!("{broker}: {error}"),
            Err(_) => why = format!("{broker}: nothing stands on {topic}"),
        }
    }
    Err(why)
}
