//! Tests of the outbox in a file.

mod damage;
mod keeping;
mod processes;
mod removal;
mod support;
