//! What a source promises, held against vendors made for the purpose: a model without a network, and a server.

mod cursor;
mod model;
mod walks;
