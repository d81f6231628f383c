//! Everything of ours that crosses a process boundary: requests, replies, events, the knob protocol.
//!
//! JSON over HTTP. Unknown keys are ignored when reading, so that messages can grow.
//! [`knobs`] is spoken between `alluse` and the services it tunes; [`control`] between `alluse`
//! and the people and programs that watch it; [`live`] is its stream of events.

pub mod control;
pub mod knobs;
pub mod live;
