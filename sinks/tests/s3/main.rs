//! The S3 sink against real servers, and against one that answers what these cannot be made to.

mod answers;
mod keys;
mod large;
mod objects;
mod place;
mod promises;
mod server;
mod there;
mod trouble;
