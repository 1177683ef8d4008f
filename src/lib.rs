//! auditline pulls audit logs out of SaaS vendors and delivers every record, normalized and redacted, to a SIEM.

pub mod document;
pub mod event;
pub mod journal;
pub mod transform;
