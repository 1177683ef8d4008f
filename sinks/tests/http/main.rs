//! The HTTP sink against a real server, and against servers that misbehave.

mod again;
mod place;
mod promises;
mod refused;
mod requests;
#[path = "../siem/mod.rs"]
mod siem;
mod trouble;
