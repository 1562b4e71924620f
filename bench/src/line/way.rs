//! The ways to the server, and their purpose.

use std::fmt;

use crate::line::shape::Shape;

/// A way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The shortest: for runs that bring about a state and are not measured.
    Direct,
    /// As a user's: for seconds.
    Timed,
    /// As a user's, with bytes counted and memory watched.
    Counted,
}

impl Line {
    /// Tells whether the way leads through the carrier, on a line of that shape.
    pub(crate) fn is_carried(self, shape: Option<Shape>) -> bool {
        match self {
            Line::Direct => false,
            Line::Timed => shape.is_some(),
            Line::Counted => true,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Line::Direct => "direct",
            Line::Timed => "timed",
            Line::Counted => "counted",
        })
    }
}
