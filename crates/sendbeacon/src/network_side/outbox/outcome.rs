//! What the end of a fetch means for its record.

use sendbeacon_fetch::{AbandonReason, NetworkError, host::Progress};

use crate::event::Outcome;

/// The outcome of a record that was cleared.
pub(in crate::network_side) fn cleared_outcome() -> Outcome {
    let error = AbandonReason::SiteDataCleared.into();
    Outcome::Failed { error, progress: Progress::Unsent }
}

/// Whether more time might have helped a request.
pub(super) fn is_for_want_of_time(error: &NetworkError) -> bool {
    let is_limit = matches!(
        error,
        NetworkError::Timeout { .. }
            | NetworkError::Abandoned(AbandonReason::Shutdown | AbandonReason::NetworkChanged)
    );
    is_limit || error.is_unreached()
}
