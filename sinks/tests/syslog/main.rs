//! The syslog sink against rsyslog and syslog-ng, and against receivers that misbehave.

mod certificates;
mod messages;
mod pace;
mod place;
mod receivers;
mod trouble;
