//! The line between client and server: the loopback, or packets between two network namespaces that are delayed and
//! limited. Both are counted.

pub(crate) mod carrier;
pub(crate) mod link;
mod packet;
pub(crate) mod probe;
pub(crate) mod relay;
pub(crate) mod shape;
pub(crate) mod way;
mod wire;
