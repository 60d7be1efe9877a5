//! The place of an event in, its id out: a UUIDv7 that is unique whatever the clock says and the same for the same samples.

use super::Stamp;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// What an id is for; two roles of one sequence get two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The CloudEvent itself.
    Event,
    /// A stop, and the downtime that it may become.
    Stop,
    /// A downtime that a split made.
    Downtime,
    /// A work request.
    Request,
    /// A work order of which the CMMS tells.
    WorkOrder,
}

/// Mints the id: 48 bits of `time`, the rest a hash of gateway, epoch, sequence and role.
pub fn mint(gateway: &str, epoch: u32, sequence: u64, role: Role, time: Stamp) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(gateway.as_bytes());
    hash.update([0]);
    hash.update(epoch.to_be_bytes());
    hash.update(sequence.to_be_bytes());
    hash.update(match role {
        Role::Event => b"event".as_slice(),
        Role::Stop => b"stop",
        Role::Downtime => b"downtime",
        Role::Request => b"request",
        Role::WorkOrder => b"work-order",
    });
    let digest = hash.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    let ms = u64::try_from(time.ms()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
}

/// The id of an answer: the same for the same answer to the same command.
pub fn reply_id(gateway: &str, command_id: Option<&str>, by: Option<&str>, result: &str) -> Uuid {
    let mut hash = Sha256::new();
    for part in [gateway, command_id.unwrap_or_default(), by.unwrap_or_default(), result] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_its_time_and_differs_by_sequence_and_role() {
        let at = Stamp::from_ms(1_795_414_443_200);
        let id = mint("gw", 1, 7, Role::Event, at);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let bytes = id.as_bytes();
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&bytes[..6]);
        assert_eq!(u64::from_be_bytes(ms), 1_795_414_443_200);
        assert_eq!(id, mint("gw", 1, 7, Role::Event, at), "the same samples give the same ids");
        assert_ne!(id, mint("gw", 1, 8, Role::Event, at));
        assert_ne!(id, mint("gw", 2, 7, Role::Event, at));
        assert_ne!(id, mint("gw", 1, 7, Role::Stop, at));
    }
}
