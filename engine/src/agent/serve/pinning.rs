//! `pin` and `unpin`: a pinned release stays, whatever retention says.

use std::path::Path;

use crate::error::{Error, ReleaseError};
use crate::pin::{Day, Pin, PinTerms};
use crate::release::{NOTED_BYTES_MAX, ReleaseId};
use crate::report::PinReport;
use crate::wire::bounds::cut_off;
use crate::wire::message::Reply;

use super::Service;
use crate::agent::clock::now;
use crate::agent::site::{Site, marks};

impl Service<'_> {
    /// Pins a release, or unpins it without terms.
    pub(super) fn pin(&self, path: &Path, id: &ReleaseId, terms: Option<&PinTerms>) -> Result<Reply, Error> {
        let Site { lock, layout, mut releases } = self.hold(path)?;
        let at = now();
        let before = releases.known(id)?.marks.pinned.clone().filter(|pin| pin.holds(at));
        let pin = terms.map(|terms| self.pin_of(terms));
        match &pin {
            Some(Pin { until: Some(until), .. }) if at >= until.end() => {
                return Err(ReleaseError::PinIsOver { until: *until, today: Day::at(at) }.into());
            }
            _ => marks::pin(&lock, &layout, &mut releases, id, pin.clone())?,
        }
        Ok(Reply::Pin(PinReport { release: id.clone(), pinned: pin, before, warnings: Vec::new() }))
    }

    fn pin_of(&self, terms: &PinTerms) -> Pin {
        let note = terms.note.clone().map(|note| cut_off(note, NOTED_BYTES_MAX));
        Pin { until: terms.until, note, by: self.hello.provenance.person() }
    }
}
