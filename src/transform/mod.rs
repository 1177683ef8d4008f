//! What happens to an event between the vendor's answer and the journal.

pub mod redact;
