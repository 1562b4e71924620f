//! Bars: one for each contender, from zero or on a logarithmic axis.
//!
//! Lengths are percentages of the width and heights are pixels, so that text keeps its size on a telephone. A bar's name
//! stands above it and its figure behind it; nothing has to be looked up.

use std::fmt::{self, Display};

use crate::page::escape::Escaped;
use crate::page::scale::{Scale, tick};
use crate::row::{Summary, Unit};
use crate::table::Figure;

/// The width that the axis takes, in per cent; the rest is for the figure behind the longest bar.
const AXIS: f64 = 74.0;

/// In pixels: a bar with its name, the bar itself, and what stands below the last one.
const PITCH: f64 = 40.0;
const THICKNESS: f64 = 14.0;
const FOOT: f64 = 44.0;

/// One bar.
#[derive(Debug)]
pub(crate) struct Bar {
    /// Its name.
    pub(crate) label: String,
    /// Whether it is Cutover's.
    pub(crate) is_ours: bool,
    /// Its length and spread.
    pub(crate) summary: Summary,
}

/// A chart.
#[derive(Debug)]
pub(crate) struct Bars {
    /// Unique in the page.
    pub(crate) id: String,
    /// What is shown.
    pub(crate) title: String,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// The bars, from the top.
    pub(crate) bars: Vec<Bar>,
}

impl Bars {
    fn scale(&self) -> Scale {
        // Where spread is drawn it must fit.
        let values: Vec<f64> = self.bars.iter().flat_map(|bar| [bar.summary.median, bar.summary.max]).collect();
        Scale::fitting(&values)
    }

    /// Says all that the picture shows, for who cannot see it.
    fn description(&self) -> String {
        let bars: Vec<String> =
            self.bars.iter().map(|bar| format!("{}: {}", bar.label, Figure(bar.summary.median, self.unit))).collect();
        let axis = if self.scale().is_log() { "On a log scale" } else { "From zero" };
        format!("{axis}. {}.", bars.join("; "))
    }
}

impl Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale();
        let foot = PITCH * self.bars.len() as f64;
        let id = Escaped(&self.id);
        writeln!(
            f,
            "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" width=\"100%\" height=\"{}\">\n\
             <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>",
            foot + FOOT,
            Escaped(&self.title),
            Escaped(&self.description()),
        )?;
        for value in scale.ticks(if scale.is_log() { 4 } else { 5 }) {
            write_tick(f, scale, value, foot, self.unit)?;
        }
        for (number, bar) in self.bars.iter().enumerate() {
            write_bar(f, bar, PITCH * number as f64, scale, self.unit)?;
        }
        let axis = match (scale.is_log(), self.unit) {
            (true, _) => "log scale: each power of ten is one step",
            (false, Unit::Seconds) => "seconds, from zero",
            (false, Unit::Bytes) => "bytes, from zero",
            (false, _) => "from zero",
        };
        writeln!(f, "<text class=\"axis\" x=\"0\" y=\"{}\">{axis}</text>\n</svg>", foot + 36.0)
    }
}

fn at(place: f64) -> f64 {
    // Two digits of a per cent are below a pixel, and keep the page small.
    (place * AXIS * 100.0).round() / 100.0
}

fn write_tick(out: &mut fmt::Formatter<'_>, scale: Scale, value: f64, foot: f64, unit: Unit) -> fmt::Result {
    let x = at(scale.place(value));
    let class = if x == 0.0 { "base" } else { "grid" };
    let anchor = if x == 0.0 { "start" } else { "middle" };
    writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x}%\" x2=\"{x}%\" y1=\"0\" y2=\"{foot}\"/>\
         <text class=\"tick\" x=\"{x}%\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
        foot + 16.0,
        tick(value, unit),
    )
}

fn write_bar(out: &mut fmt::Formatter<'_>, bar: &Bar, top: f64, scale: Scale, unit: Unit) -> fmt::Result {
    let Summary { median, min, max, samples } = bar.summary;
    let class = if bar.is_ours { "ours" } else { "rival" };
    let [length, least, greatest] = [median, min, max].map(|value| at(scale.place(value)));
    let y = top + 19.0;
    let middle = y + THICKNESS / 2.0;
    writeln!(
        out,
        "<g class=\"{class}\"><text class=\"name\" x=\"0\" y=\"{}\" dx=\"4\">{}</text>\
         <rect x=\"0\" y=\"{y}\" width=\"{length}%\" height=\"{THICKNESS}\"/>",
        top + 14.0,
        Escaped(&bar.label),
    )?;
    if samples > 1 {
        writeln!(
            out,
            "<line class=\"spread\" x1=\"{least}%\" x2=\"{greatest}%\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <line class=\"spread\" x1=\"{least}%\" x2=\"{least}%\" y1=\"{0}\" y2=\"{1}\"/>\
             <line class=\"spread\" x1=\"{greatest}%\" x2=\"{greatest}%\" y1=\"{0}\" y2=\"{1}\"/>",
            middle - 4.0,
            middle + 4.0,
        )?;
    }
    writeln!(
        out,
        "<text class=\"value\" x=\"{}%\" y=\"{}\" dx=\"6\">{}</text></g>",
        length.max(if samples > 1 { greatest } else { 0.0 }),
        middle + 4.5,
        Figure(median, unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, is_ours: bool, samples: &[f64]) -> Bar {
        Bar { label: label.to_owned(), is_ours, summary: Summary::of(samples.iter().copied()).unwrap() }
    }

    fn bars(unit: Unit, bars: Vec<Bar>) -> String {
        Bars { id: "x".to_owned(), title: "first".to_owned(), unit, bars }.to_string()
    }

    #[test]
    fn lengths_are_proportional_and_begin_at_zero() {
        let svg = bars(Unit::Seconds, vec![bar("cutover", true, &[5.0]), bar("rsync", false, &[20.0])]);
        assert!(svg.contains("<rect x=\"0\" y=\"19\" width=\"18.5%\" height=\"14\"/>"), "{svg}");
        assert!(svg.contains("<rect x=\"0\" y=\"59\" width=\"74%\" height=\"14\"/>"), "{svg}");
        assert!(svg.contains(">seconds, from zero</text>"), "{svg}");
        assert!(svg.contains("<desc id=\"x-d\">From zero. cutover: 5.000 s; rsync: 20.000 s.</desc>"), "{svg}");
        assert_eq!(svg.matches("class=\"spread\"").count(), 0);
    }

    #[test]
    fn a_logarithmic_axis_says_so() {
        let svg = bars(Unit::Bytes, vec![bar("cutover", true, &[1e4]), bar("rsync", false, &[1e7])]);
        assert!(svg.contains(">log scale: each power of ten is one step</text>"), "{svg}");
        // From 10^3 to 10^7.
        assert!(svg.contains("width=\"18.5%\"") && svg.contains("width=\"74%\""), "{svg}");
        assert!(!svg.contains("from zero"), "{svg}");
    }

    #[test]
    fn spread_is_drawn_from_least_to_greatest() {
        let svg = bars(Unit::Seconds, vec![bar("cutover", true, &[1.0, 2.0, 4.0])]);
        assert!(svg.contains("<line class=\"spread\" x1=\"18.5%\" x2=\"74%\" y1=\"26\" y2=\"26\"/>"), "{svg}");
        assert!(svg.contains("<text class=\"value\" x=\"74%\""), "{svg}");
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let svg = bars(Unit::Seconds, vec![bar("</text><script>", false, &[1.0])]);
        assert!(!svg.contains("<script"), "{svg}");
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;"), "{svg}");
    }
}
