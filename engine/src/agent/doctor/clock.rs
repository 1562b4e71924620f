//! Compares the clock of the server with that of the client. The message was on its way for a moment, which counts as a
//! difference too.

use crate::agent::clock::now;
use crate::report::Finding;
use crate::wire::message::DoctorOrder;

use super::look::Look;

/// The greatest difference that is no finding, in seconds. Release names have seconds, and a busy server may read the
/// message seconds after it was sent.
const SECONDS_MAX: u64 = 10;

pub(super) fn look(order: &DoctorOrder) -> Look {
    compare(now(), order.second)
}

fn compare(server: u64, client: u64) -> Look {
    let ahead = i64::try_from(server).unwrap_or(i64::MAX).saturating_sub(i64::try_from(client).unwrap_or(i64::MAX));
    let mut look = Look::default();
    if ahead.unsigned_abs() > SECONDS_MAX {
        look.find(Finding::ClockDiffers { ahead });
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_differs_by_more_than_some_seconds_is_found() {
        let check = |server: u64, client: u64, expected: Option<i64>| {
            let found = compare(server, client).findings;
            assert_eq!(found, expected.map(|ahead| Finding::ClockDiffers { ahead }).into_iter().collect::<Vec<_>>());
        };
        check(1000, 1000, None);
        check(1010, 1000, None);
        check(1000, 1010, None);
        check(1011, 1000, Some(11));
        check(1000, 4600, Some(-3600));
    }
}
