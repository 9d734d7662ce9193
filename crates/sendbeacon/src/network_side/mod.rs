//! The network side: one future that owns every fetch of a user agent, and the timer.

mod dispatcher;
mod driver;
mod fetches;
mod mailbox;
#[cfg(feature = "outbox")]
mod outbox;
mod retries;
mod run_fetch;
mod shutdown;
mod teller;
mod trying_again;

#[cfg(feature = "outbox")]
pub(crate) use self::outbox::Keeping;
pub(crate) use self::{
    dispatcher::Dispatcher,
    driver::Driver,
    mailbox::{Mailbox, Message, Reply},
    retries::Retries,
};
