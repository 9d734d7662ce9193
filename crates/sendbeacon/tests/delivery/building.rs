//! Tests of the settings with which no user agent can be built.

use sendbeacon::{BuildError, KeepaliveLimits, Scheduling, UserAgent, UserAgentBuilder};

/// The error of a build with the settings that `configure` makes.
fn error(configure: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder) -> BuildError {
    configure(UserAgent::builder()).build().expect_err("the settings are refused")
}

#[test]
fn a_scheduling_with_a_limit_of_0_is_an_error() {
    let default = Scheduling::default();
    for scheduling in
        [default.with_per_origin(0), default.with_per_partition(0), default.with_overall(0)]
    {
        let error = error(|builder| builder.scheduling(scheduling));
        assert!(matches!(error, BuildError::Scheduling), "{error:?}");
    }
}

#[test]
fn keepalive_limits_beyond_the_largest_are_an_error() {
    let most = KeepaliveLimits::MAX;
    for limits in [
        KeepaliveLimits { body_bytes: most.body_bytes + 1, ..most },
        KeepaliveLimits { url_bytes: most.url_bytes + 1, ..most },
    ] {
        let error = error(|builder| builder.keepalive_limits(limits));
        assert!(matches!(error, BuildError::KeepaliveLimits), "{error:?}");
    }
}

#[test]
fn the_smallest_scheduling_and_the_largest_keepalive_limits_can_be_built() {
    let ones = Scheduling::default().with_per_origin(1).with_per_partition(1).with_overall(1);
    let builder = UserAgent::builder().scheduling(ones).keepalive_limits(KeepaliveLimits::MAX);
    assert!(builder.build().is_ok());
}
