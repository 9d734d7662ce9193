//! What the end of a fetch means for its record.

use std::time::Duration;

use sendbeacon_fetch::{AbandonReason, NetworkError, TimeoutKind, host::Progress};

use crate::event::Outcome;

/// The outcome of a record that was cleared.
pub(super) fn cleared(may_be_sent: bool) -> Outcome {
    ended_unfinished(AbandonReason::SiteDataCleared.into(), may_be_sent)
}

/// The outcome of a record that was kept for so long that it has expired.
pub(super) fn expired(after: Duration, may_be_sent: bool) -> Outcome {
    ended_unfinished(NetworkError::Timeout { kind: TimeoutKind::Kept, after }, may_be_sent)
}

fn ended_unfinished(error: NetworkError, may_be_sent: bool) -> Outcome {
    let progress = if may_be_sent { Progress::InPart } else { Progress::Unsent };
    Outcome::Failed { error, progress }
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
