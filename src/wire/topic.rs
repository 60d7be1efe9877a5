//! Names in, topics out.

use super::Names;

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

    /// Every live picture of a machine, wherever its line was.
    pub fn picture_topics(&self, line: &str, machine: &str) -> [String; 3] {
        ["state", "oee", "downtime"].map(|picture| self.rooted(&format!("{line}/{machine}/{picture}")))
    }

    /// Whether the gateway is there.
    pub fn status_topic(&self) -> String {
        self.rooted(&format!("_gateway/{}/status", self.gateway))
    }

    fn picture_topic(&self, machine: &str, picture: &str) -> String {
        let line = self.machines.get(machine).map_or("_", |names| names.line.as_str());
        self.rooted(&format!("{line}/{machine}/{picture}"))
    }

    fn rooted(&self, rest: &str) -> String {
        let parts = [self.prefix.as_str(), self.path.as_str(), rest];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }
}
