//! The network side: one future that owns every fetch of a user agent, and the timer.

mod dispatcher;
mod driver;
mod fetches;
mod mailbox;
mod retries;
mod run_fetch;
mod shutdown;
mod teller;
mod trying_again;

pub(crate) use self::{
    dispatcher::Dispatcher,
    driver::Driver,
    mailbox::{Mailbox, Message, Reply},
    retries::Retries,
};
