//! The picture of the few comparisons that matter: bars of time and of bytes, Cutover's beside rsync's.
//!
//! ```text
//!                     Time                        Bytes
//! First deploy        ▇▇▇▇▇▇▇▇▇▇ 5.53 s           ▇▇▇▇▇▇▇▇▇▇ 231 MB
//! rsync -a            ░░░░░░░░░ 4.98 s            ░░░░░░░░░ 209 MB
//! ```
//! Both scales are linear and begin at zero. On each line rsync's bar is the unit, so that a bar of Cutover's that is half
//! as long is half of rsync's figure; the figures themselves stand at the ends. One SVG, without anything from elsewhere,
//! with a transparent ground, for light and dark surroundings.

use crate::comparison::row::Row;
use crate::paper::figure::brief;
use crate::paper::point::Point;

const WIDTH: u32 = 860;

/// The left ends of the two panels.
const PANELS: [u32; 2] = [270, 575];

/// The length of rsync's bars.
const UNIT: f64 = 190.0;

/// The room above the first line and below the last, and the height of a line with its two bars.
const TOP: usize = 34;
const BOTTOM: usize = 44;
const LINE: usize = 50;
const BAR: usize = 13;
const TICK: usize = 8;

/// A bar that would be thinner is not to be seen; its figure says how little it is.
const LEAST_BAR: f64 = 1.0;

const STYLE: &str = "text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.head{font-weight:600}.figure{font-size:11px}.small{font-size:11px;fill:#59636e}.middle{text-anchor:middle}\
.ours{fill:#0969da}.theirs{fill:#afb8c1}.grid{stroke:#d1d9e0}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}\
.ours{fill:#4493f8}.theirs{fill:#656c76}.grid{stroke:#3d444d}}";

/// Draws the points.
pub(crate) fn picture(points: &[Point]) -> String {
    let bottom = TOP + LINE * points.len();
    let height = bottom + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>Cutover beside rsync: time and bytes of deploys</title>\n\
         <style>{STYLE}</style>\n"
    );
    for (left, name) in PANELS.into_iter().zip(["Time", "Bytes on the wire"]) {
        svg += &text(left, 18, "head", name);
        svg += &grid(left, bottom);
    }
    svg += &legend();
    for (number, point) in points.iter().enumerate() {
        let top = TOP + LINE * number;
        svg += &text(0, top + 14, "head", point.words);
        svg += &text(0, top + 31, "small", &point.modes(""));
        for (left, row) in PANELS.into_iter().zip([&point.seconds, &point.bytes]) {
            svg += &bars(left, top, row);
        }
    }
    svg += &text(0, bottom + 32, "small", "Linear scales; on each line rsync is 1. Shorter is better.");
    svg + "</svg>\n"
}

/// A line at nothing, and ticks at half of rsync's figure and at rsync's: figures stand where longer lines would be.
fn grid(left: u32, bottom: usize) -> String {
    let line = |share: f64, top: usize, name: &str| {
        let x = f64::from(left) + UNIT * share;
        format!(
            "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" y2=\"{bottom}\"/>\n\
             <text class=\"small middle\" x=\"{x}\" y=\"{}\">{name}</text>\n",
            bottom + 14,
        )
    };
    line(0.0, TOP, "0") + &line(0.5, bottom - TICK, "½") + &line(1.0, bottom - TICK, "1")
}

fn legend() -> String {
    let entry = |x: u32, class: &str, name: &str| {
        format!("<rect class=\"{class}\" x=\"{x}\" y=\"8\" width=\"{BAR}\" height=\"{BAR}\" rx=\"2\"/>\n")
            + &text(x + 19, 19, "", name)
    };
    entry(0, "ours", "Cutover") + &entry(90, "theirs", "rsync")
}

fn bars(left: u32, top: usize, row: &Row) -> String {
    let bar = |class: &str, y: usize, share: f64, figure: &str| {
        let length = (UNIT * share).max(LEAST_BAR);
        let end = f64::from(left) + length + 6.0;
        format!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\"/>\n\
             <text class=\"figure\" x=\"{end:.1}\" y=\"{}\">{figure}</text>\n",
            y + 10,
        )
    };
    let ours = bar("ours", top + 4, row.ratio().unwrap_or(0.0), &brief(row.ours, row.unit));
    ours + &bar("theirs", top + 5 + BAR, 1.0, &brief(row.theirs, row.unit))
}

fn text(x: u32, y: usize, class: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::row::Unit;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let row = Row::new("seconds", Unit::Seconds, vec![1.0], "rsync", vec![4.0]);
        let drawn = bars(100, 0, &row);
        assert!(drawn.contains("width=\"47.5\"") && drawn.contains("width=\"190.0\""), "{drawn}");
        assert!(drawn.contains(">1.00 s<") && drawn.contains(">4.00 s<"), "{drawn}");
        // So little that it is not to be seen is drawn all the same.
        let row = Row::new("bytes", Unit::Bytes, vec![1.0], "rsync", vec![1e6]);
        assert!(bars(100, 0, &row).contains("width=\"1.0\""));
    }

    #[test]
    fn a_picture_needs_nothing_from_elsewhere() {
        let row = |quantity: &str, unit| Row::new(quantity, unit, vec![1.0], "rsync -a", vec![2.0]);
        let point = Point {
            words: "a < b & c",
            run: String::new(),
            seconds: row("seconds", Unit::Seconds),
            bytes: row("bytes", Unit::Bytes),
        };
        let svg = picture(&[point]);
        assert!(svg.contains("a &lt; b &amp; c"));
        assert_eq!(svg.matches("http").count(), 1, "the namespace alone");
        assert!(svg.contains("prefers-color-scheme:dark"));
    }
}
