//! What a person sees: one file a view. Views hold the words; they read [`Logger`](crate::logger::Logger) and give it
//! orders, and never talk to a logger themselves.

mod course;
mod details;
mod device_card;
mod firmware_file;
mod hindrance;
mod memory_map;
pub(crate) mod shell;
mod update;
mod virtual_logger;
mod welcome;
