//! The ways a browser reaches a logger. Each is a [`host::link::Link`] and knows nothing of what is said over it.

pub(crate) mod serial;
