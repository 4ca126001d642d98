//! The key pairs of the boards of a herd with secret links. One seed in [`SECRET_SEEDS`] has them: a handshake costs as much
//! as thousands of lines.

use super::plan::Plan;
use crate::proto::auth::KEY_BYTES;
use crate::proto::node::secret::{Mode, PublicKeys, Secrecy};
use crate::proto::noise::key_pair::KeyPair;

/// One seed in so many has secret links, if its herd has a key.
pub(super) const SECRET_SEEDS: u64 = 8;

/// The key pairs of the boards.
pub(super) struct Pairs {
    pairs: Vec<KeyPair>,
    public_keys: Vec<PublicKeys>,
}

impl Pairs {
    /// `None` for a herd with signed links.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let private =
            |host: usize| [u8::try_from(host).map_or(u8::MAX, |host| host.wrapping_add(1)); KEY_BYTES];
        plan.secret.then(|| {
            let pairs: Vec<KeyPair> = (0..plan.nodes).map(|host| KeyPair::new(private(host))).collect();
            let public_keys = pairs.iter().map(|pair| [Some(*pair.public()), None]).collect();
            Pairs { pairs, public_keys }
        })
    }

    pub(super) fn pair(&self, host: usize) -> &KeyPair {
        &self.pairs[host]
    }

    pub(super) fn secrecy(&self, host: usize) -> Secrecy<'_> {
        Secrecy { mode: Mode::Only, pair: &self.pairs[host], public_keys: &self.public_keys }
    }
}
