//! auditline pulls audit logs out of SaaS vendors and delivers every record, normalized and redacted, to a SIEM.
//!
//! ```text
//!              budget (one per upstream credential)
//!                │
//!  vendor API ─► source ─► transforms ─► JOURNAL ─► writer ─► sink (Kafka)
//!                pages     normalize     SQLite     writer ─► sink (S3)
//!                          enrich        one file   writer ─► sink (syslog)
//!                          redact          │
//!                                          └─ cursor + records + seen ids: one transaction
//! ```
//!
//! The modules stand in the order in which they may use each other: each uses only what stands before it.

mod chain;
pub mod document;
pub mod event;
pub mod journal;

pub mod transform;

pub mod connector;

pub mod source;

pub mod config;

pub mod engine;

pub mod server;

pub mod simulator;

pub mod cli;

pub use self::chain::chain;
