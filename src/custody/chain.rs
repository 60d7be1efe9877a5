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

/// The first sequence after `after` that is missing or whose link does not follow; `None` for an unbroken chain.
/// `previous` is the link at `after`; `rows` are (sequence, body, link as kept), ascending.
pub fn first_break<'a>(
    after: u64,
    previous: &Link,
    rows: impl IntoIterator<Item = (u64, &'a [u8], &'a Link)>,
) -> Option<u64> {
    let (mut expected, mut previous) = (after + 1, *previous);
    for (sequence, body, kept) in rows {
        previous = link(&previous, body);
        if sequence != expected || previous != *kept {
            return Some(expected);
        }
        expected += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(bodies: &[&'static str]) -> Vec<(u64, &'static [u8], Link)> {
        let mut at = START;
        let rows = bodies.iter().zip(1..).map(|(body, sequence)| {
            at = link(&at, body.as_bytes());
            (sequence, body.as_bytes(), at)
        });
        rows.collect()
    }

    fn check(rows: &[(u64, &'static [u8], Link)]) -> Option<u64> {
        first_break(0, &START, rows.iter().map(|(sequence, body, link)| (*sequence, *body, link)))
    }

    #[test]
    fn a_chain_breaks_where_a_body_changed_or_a_row_is_missing() {
        let whole = chained(&["a", "b", "c", "d"]);
        assert_eq!(check(&whole), None);
        assert_eq!(check(&[]), None);

        let mut changed = whole.clone();
        changed[1].1 = b"B";
        assert_eq!(check(&changed), Some(2));

        let mut without = whole.clone();
        without.remove(2);
        assert_eq!(check(&without), Some(3));

        let middle = whole[1].2;
        let rest = whole[2..].iter().map(|(sequence, body, link)| (*sequence, *body, link));
        assert_eq!(first_break(2, &middle, rest), None);
        assert_eq!(check(&whole[1..]), Some(1));
    }
}
