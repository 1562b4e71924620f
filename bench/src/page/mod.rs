//! The page of one or several kept runs: one HTML file that needs nothing beside it.
//!
//! It is made of the raw records alone, so that it can be made again of any kept run. It holds no script and loads
//! nothing; its policy forbids both, so that a name which slipped through the escaping could still do nothing.
//!
//! ```text
//! glance      for each scenario: ours, and the best rival, whichever it is
//! plots       bytes against the size of the change; time against the round-trip time, where runs differ in it; time,
//!             bytes and memory against what grows
//! scenarios   bars, and the table with every figure; comparisons and their aims; the lines that were run
//! setting     machine, link, programs, trees
//! ```
//! Bars begin at zero, unless their range demands a logarithmic axis, which then says so. Each plot has its table.

mod bars;
mod change;
mod escape;
mod figures;
mod growth;
mod latency;
mod palette;
mod plot;
mod scale;
mod scenario;
mod setting;

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use crate::failure::{Context, Result};
use crate::page::change::Changes;
use crate::page::escape::Escaped;
use crate::page::figures::Glance;
use crate::page::growth::Growths;
use crate::page::latency::Latencies;
use crate::page::scenario::Section;
use crate::page::setting::{LineName, Setting};
use crate::record::RunRecord;

const STYLE: &str = include_str!("page.css");

/// What a browser may do with the page: show its own styles.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A page of runs, to be printed.
pub(crate) struct Page<'a>(pub(crate) &'a [RunRecord]);

/// Writes the page of runs.
pub(crate) fn write(runs: &[RunRecord], to: &Path) -> Result<()> {
    fs::write(to, Page(runs).to_string()).context(|| format!("Could not write `{}`", to.display()))
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|run| run.name.as_str()).collect();
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>Cutover, measured: {}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n",
            Escaped(&names.join(", ")),
            palette::Variables,
        )?;
        write_header(f, self.0)?;
        if let [run] = self.0 {
            let glance = Glance(run).to_string();
            if !glance.is_empty() {
                write!(f, "<section id=\"glance\">\n<h2>At a glance</h2>\n{glance}</section>\n")?;
            }
        }
        write!(f, "{}{}{}", Latencies(self.0), Changes(self.0), Growths(self.0))?;
        for (number, run) in self.0.iter().enumerate() {
            write_run(f, run, number, self.0.len() > 1)?;
        }
        write_reading(f)?;
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

fn write_header(out: &mut fmt::Formatter<'_>, runs: &[RunRecord]) -> fmt::Result {
    out.write_str(
        "<header>\n<h1>Cutover, measured</h1>\n<p class=\"lead\">Each tool brings the same directory to the same server \
         over the same SSH, in turn, and what it made there is compared with the source, file by file. Less is \
         better, everywhere.</p>\n<nav aria-label=\"On this page\">\n<ul>\n",
    )?;
    for (number, run) in runs.iter().enumerate() {
        write!(out, "<li>{}<ul>", Escaped(&run_title(run, runs.len())))?;
        for scenario in &run.scenarios {
            let name = Escaped(&scenario.name);
            write!(out, "<li><a href=\"#r{number}-{name}\">{name}</a></li>")?;
        }
        writeln!(out, "<li><a href=\"#setting-{number}\">machine and programs</a></li></ul></li>")?;
    }
    out.write_str("<li><a href=\"#reading\">how to read this page</a></li>\n</ul>\n</nav>\n</header>\n")
}

/// Where there is one run only, its name says nothing that the date does not.
fn run_title(run: &RunRecord, runs: usize) -> String {
    let link = LineName(run);
    if runs == 1 { format!("{}, {link}", run.started) } else { format!("Run {}: {link}", run.name) }
}

fn write_run(out: &mut fmt::Formatter<'_>, run: &RunRecord, number: usize, is_one_of_many: bool) -> fmt::Result {
    writeln!(
        out,
        "<section id=\"run-{number}\">\n<h2>Run {}: {}</h2>",
        Escaped(&run.name),
        Escaped(&LineName(run).to_string())
    )?;
    if is_one_of_many {
        write!(out, "{}", Glance(run))?;
    }
    for scenario in &run.scenarios {
        write!(out, "{}", Section { scenario, id: &format!("r{number}-{}", scenario.name) })?;
    }
    write!(out, "{}", Setting { run, id: &format!("setting-{number}") })?;
    out.write_str("</section>\n")
}

fn write_reading(out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str(
        "<section id=\"reading\">\n<h2>How to read this page</h2>\n<ul class=\"prose\">\n\
         <li>Bars and points are medians. The thin line across a bar goes from the least to the greatest of its \
         samples; a figure without one comes from a single run. Tables give the median, and below it the least and \
         the greatest.</li>\n\
         <li>Cutover is the bar with the bold name, and <b>C</b> in plots. Other tools go by small letters there, the \
         same ones throughout a plot and its table.</li>\n\
         <li>An axis begins at zero unless it says <em>log scale</em>. On a log scale the length of a bar means little: \
         compare where the bars end.</li>\n\
         <li>Bytes are TCP payload in both directions, SSH with its handshake included, counted outside the programs \
         and the same way for all. KB, MB and GB are powers of 1000; MiB is for memory.</li>\n\
         <li>Seconds are from the start of the first command that a user must run to the end of the last, on both \
         sides.</li>\n\
         <li>Processor time is the kernel’s account of each side, <code>ssh</code> and <code>sshd</code> with their \
         cryptography included.</li>\n\
         <li>Waits for the server are how often the client had to hear from it before it went on, its login included; only a \
         link with a delay can tell.</li>\n\
         </ul>\n</section>\n",
    )
}

#[cfg(test)]
pub(crate) mod tests;
