//! Everything of ours that crosses a process boundary: requests, replies, events, the knob protocol.
