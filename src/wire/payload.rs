//! One file a payload: the record of the house in, the fields of the contract out. Absent values are `null`, keys never vanish.

pub mod asset;
pub mod digest;
pub mod downtime;
pub mod meter;
pub mod notice;
pub mod operator;
pub mod order;
pub mod picture;
pub mod process;
pub mod production;
pub mod reply;
pub mod report;
pub mod shift;
pub mod state;
pub mod window;
pub mod work_order;
pub mod work_request;
