//! The user agent and its builder.

mod agent;
mod builder;

pub use self::{
    agent::UserAgent,
    builder::{BuildError, UserAgentBuilder},
};
