//! Names in, topics out, and back.

use super::Names;
use crate::event::GATEWAY_LINE;

/// Where a command was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed<'a> {
    /// The machine that it is about; `None`: the gateway itself.
    pub machine: Option<&'a str>,
    /// The last part of the topic.
    pub verb: &'a str,
    /// Where the answer is heard.
    pub reply_topic: String,
}

/// The key of an event's topic, whatever prefix and path it was told under: `{line}/{machine}/{kind}`.
pub fn key_of(topic: &str) -> Option<String> {
    let (place, kind) = topic.rsplit_once("/event/")?;
    let (rest, machine) = place.rsplit_once('/')?;
    let line = rest.rsplit_once('/').map_or(rest, |(_, line)| line);
    Some(format!("{line}/{machine}/{kind}"))
}

impl Names {
    /// The topic of a durable event from its key `{line}/{machine}/{kind}`.
    pub fn event_topic(&self, key: &str) -> String {
        let (place, kind) = key.rsplit_once('/').unwrap_or(("", key));
        self.rooted(&format!("{place}/event/{kind}"))
    }

    /// The live picture of a machine's state.
    pub fn state_topic(&self, machine: &str) -> String {
        self.picture_topic(machine, "state")
    }

    /// The live picture of a machine's OEE.
    pub fn oee_topic(&self, machine: &str) -> String {
        self.picture_topic(machine, "oee")
    }

    /// The live picture of a machine's open downtime.
    pub fn downtime_topic(&self, machine: &str) -> String {
        self.picture_topic(machine, "downtime")
    }

    /// The live picture of the meter of a machine's asset.
    pub fn meter_topic(&self, machine: &str) -> String {
        self.picture_topic(machine, "meter")
    }

    /// Every live picture of a machine, wherever its line was.
    pub fn picture_topics(&self, line: &str, machine: &str) -> [String; 4] {
        ["state", "oee", "downtime", "meter"].map(|picture| self.rooted(&format!("{line}/{machine}/{picture}")))
    }

    /// Whether the gateway is there.
    pub fn status_topic(&self) -> String {
        self.rooted(&format!("{}/status", self.place(None)))
    }

    /// Where commands come in: a topic a machine, and the gateway's. No wildcard stands for a machine, because other
    /// gateways of the same area have theirs beside ours.
    pub fn command_filters(&self) -> Vec<String> {
        let machines = self.machines.keys().map(|machine| Some(machine.as_str()));
        machines.chain([None]).map(|machine| self.command_topic(machine, "+")).collect()
    }

    /// Where commands of a verb come in about a machine; `None`: about the gateway.
    pub fn command_topic(&self, machine: Option<&str>, verb: &str) -> String {
        self.rooted(&format!("{}/command/{verb}", self.place(machine)))
    }

    /// Where commands about a machine are answered; `None`: about the gateway.
    pub fn reply_topic(&self, machine: Option<&str>) -> String {
        self.rooted(&format!("{}/reply", self.place(machine)))
    }

    /// What a topic of [`Names::command_filters`] says.
    pub fn addressed<'a>(&self, topic: &'a str) -> Option<Addressed<'a>> {
        let root = self.rooted("");
        let rest = topic.strip_prefix(root.as_str())?.trim_start_matches('/');
        let [line, machine, "command", verb] = rest.split('/').collect::<Vec<_>>()[..] else { return None };
        let reply_topic = self.rooted(&format!("{line}/{machine}/reply"));
        Some(Addressed { machine: (line != GATEWAY_LINE).then_some(machine), verb, reply_topic })
    }

    fn place(&self, machine: Option<&str>) -> String {
        match machine {
            Some(id) => format!("{}/{id}", self.machines.get(id).map_or("_", |names| names.line.as_str())),
            None => format!("{GATEWAY_LINE}/{}", self.gateway),
        }
    }

    /// What has been told, for consumers to hold their books against.
    pub fn digest_topic(&self) -> String {
        self.rooted(&format!("{}/digest", self.place(None)))
    }

    /// Where events are sent again to a consumer.
    pub fn replay_topic(&self, consumer: &str) -> String {
        self.rooted(&format!("{}/replay/{consumer}", self.place(None)))
    }

    /// Where a consumer says what it holds; `+` listens to all of them.
    pub fn receipt_topic(&self, consumer: &str) -> String {
        self.rooted(&format!("{}/receipt/{consumer}", self.place(None)))
    }

    /// Whose receipts come by this topic; `None`: it is for something else.
    pub fn receipt_of<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(self.receipt_topic("").as_str())
    }

    fn picture_topic(&self, machine: &str, picture: &str) -> String {
        self.rooted(&format!("{}/{picture}", self.place(Some(machine))))
    }

    fn rooted(&self, rest: &str) -> String {
        let parts = [self.prefix.as_str(), self.path.as_str(), rest];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }
}
