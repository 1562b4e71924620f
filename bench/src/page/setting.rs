//! Where, over which link and with which programs a run was made.

use std::fmt::{self, Display};

use crate::page::escape::Escaped;
use crate::record::{LineKind, LineRecord, RunRecord};
use crate::row::Unit;
use crate::table::Figure;

/// The line of a run, in a few words.
pub(crate) struct LineName<'a>(pub(crate) &'a RunRecord);

impl Display for LineName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineRecord { kind, shape, .. } = &self.0.line;
        f.write_str(match kind {
            LineKind::Loopback => "the loopback",
            LineKind::Link => "a link",
            LineKind::Relay => "a relay",
            LineKind::Target => "a server of the user's",
        })?;
        let Some(shape) = shape else { return Ok(()) };
        write!(f, " of {} ms", shape.rtt_ms)?;
        shape.rate_mbit.map_or(Ok(()), |rate| write!(f, " and {rate} Mbit/s"))
    }
}

/// The part of the page on a run's setting.
pub(crate) struct Setting<'a> {
    /// The run.
    pub(crate) run: &'a RunRecord,
    /// Unique in the page.
    pub(crate) id: &'a str,
}

impl Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunRecord { started, machine, versions, line, login, trees, quick_check_matches, repeats, .. } = self.run;
        writeln!(f, "<section id=\"{}\">\n<h3>Machine and programs</h3>\n<dl class=\"setting\">", Escaped(self.id))?;
        let mut entry = |name: &str, text: &str| writeln!(f, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(text));
        entry("date", started)?;
        entry("line", &LineName(self.run).to_string())?;
        if let Some(why) = &line.without_link {
            entry("no link between network namespaces", why)?;
        }
        if let Some(bytes) = line.queue_bytes {
            entry("queue before the line, each way", &Figure(bytes as f64, Unit::Bytes).to_string())?;
        }
        if let Some(wire) = login.wire {
            let (bytes, seconds) =
                (Figure(wire.total_bytes() as f64, Unit::Bytes), Figure(login.seconds, Unit::Seconds));
            entry("a login alone", &format!("{bytes} on the wire, {seconds}"))?;
        }
        for (name, login) in [("OpenSSH", &self.run.logins.openssh), ("Cutover", &self.run.logins.cutover)] {
            if let Some(wire) = login.wire {
                let bytes = Figure(wire.total_bytes() as f64, Unit::Bytes).to_string();
                entry(&format!("a login of {name}'s SSH client, without a session"), &bytes)?;
            }
        }
        let memory = machine.memory_bytes as f64 / f64::from(1 << 30);
        entry("machine", &format!("{} cores of {}, {memory:.0} GiB", machine.cores, machine.cpu))?;
        entry("system", &format!("{}, Linux {}", machine.system, machine.kernel))?;
        entry("deployed to", &machine.filesystem)?;
        entry("load at the start", &machine.load)?;
        entry("Cutover", &format!("{}, SHA-256 {}", versions.cutover, versions.cutover_sha256))?;
        for (name, version) in [("rsync", &versions.rsync), ("ssh", &versions.ssh), ("sshd", &versions.sshd)] {
            entry(name, version)?;
        }
        for (label, tree) in ["tree A", "tree B", "tree C"].iter().zip(trees.all()) {
            let bytes = Figure(tree.bytes as f64, Unit::Bytes);
            let counts = format!("{} files, {} directories, {} symlinks", tree.files, tree.directories, tree.symlinks);
            entry(label, &format!("{}: {counts}, {bytes}", tree.name))?;
        }
        entry("equal path, size and mtime in A and B", &format!("{quick_check_matches} files"))?;
        entry("timed runs of each contender", &repeats.to_string())?;
        f.write_str("</dl>\n</section>\n")
    }
}
