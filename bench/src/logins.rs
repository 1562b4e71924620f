//! Measures the cost of a login, which is SSH's and no tool's: by each of the two SSH clients that take part, up to where
//! it asks for a session; and with a session that does nothing.

use crate::failure::Result;
use crate::lab::laboratory::Lab;
use crate::line::way::Line;
use crate::record::logins::Logins;
use crate::tools::site::Site;

/// Measures the three logins.
pub(crate) fn measure(lab: &Lab) -> Result<Logins> {
    let refusing = lab.refusing_ssh_config();
    Ok(Logins {
        openssh: lab.measure_refused(&lab.ssh(&refusing).arg("true"))?,
        cutover: lab.measure_refused(&Site::new(lab, "nowhere").status_line(lab, &refusing))?,
        session: lab.measure(&lab.ssh(&lab.ssh_config(Line::Counted)).arg("true"), Line::Counted)?.1,
    })
}
