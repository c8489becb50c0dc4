//! Room `media`.

pub mod encode;
pub mod flv;
pub mod hub;
pub mod live_queue;
pub mod mux;
pub mod packet;
