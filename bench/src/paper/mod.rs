//! Tables and a picture of kept runs, for people. All figures come from [`crate::comparison`].

pub(crate) mod digest;
mod figure;
mod marks;
mod picture;
mod point;
pub(crate) mod table;
