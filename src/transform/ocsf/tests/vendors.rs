//! The maps of the five vendors, and what they make of their records.
