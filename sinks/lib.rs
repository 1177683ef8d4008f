//! x
pub mod secret;
pub mod units;
