//! x
pub mod transform;
