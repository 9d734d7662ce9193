//! The content process's end of a channel: its user agent, whose requests cross the channel.

mod clients;
mod frame_writer;
mod incoming;
mod network_process;
mod unfinished;
mod user_agent;

pub use self::user_agent::RemoteUserAgent;
