//! The bodies of an epoch in order in, one hash over all of them out.

use sha2::{Digest, Sha256};

/// A link: SHA-256 over the link before and the body.
pub type Link = [u8; 32];

/// What stands before the first body of an epoch.
pub const START: Link = [0; 32];

/// `SHA-256(previous ‖ body)`.
pub fn link(previous: &Link, body: &[u8]) -> Link {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(body);
    hash.finalize().into()
}
