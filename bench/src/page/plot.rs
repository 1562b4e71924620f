//! Points and lines: one series for each contender.
//!
//! Ours is thick and goes by `C`; each of the others is thin and goes by a letter at its end, so that nobody needs to
//! tell colours apart. Across, places are per cent of the width; down, they are pixels.

use std::fmt::{self, Display};

use crate::page::escape::Escaped;
use crate::page::scale::Scale;

/// Where the first value of the axis across stands, and the last, in per cent. What stands above the grid at the left is
/// named there; letters stand at the right.
const LEFT: f64 = 15.0;
const RIGHT: f64 = 89.0;
const LETTERS: f64 = 95.0;

/// In pixels: the top and the bottom of the axis upwards, of which the top leaves room for its own value below the axis's name, what stands below it, and the least distance of two letters.
const TOP: f64 = 34.0;
const BOTTOM: f64 = 300.0;
const FOOT: f64 = 44.0;
const LETTER_PITCH: f64 = 14.0;

/// An axis with its name and what is marked on it.
#[derive(Debug)]
pub(crate) struct Axis {
    /// What it shows, and in which way.
    pub(crate) name: String,
    /// Where values stand.
    pub(crate) scale: Scale,
    /// How a marked value is printed.
    pub(crate) tick: fn(f64) -> String,
}

/// One measured point.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// Its place across.
    pub(crate) x: f64,
    /// Its height.
    pub(crate) y: f64,
    /// What a pointer that rests on it is told.
    pub(crate) note: String,
}

/// The points of one contender.
#[derive(Debug)]
pub(crate) struct Series {
    /// The contender.
    pub(crate) label: String,
    /// Whether it is Cutover.
    pub(crate) is_ours: bool,
    /// From left to right.
    pub(crate) points: Vec<Point>,
}

/// A plot with the list of its letters.
#[derive(Debug)]
pub(crate) struct Plot {
    /// Unique in the page.
    pub(crate) id: String,
    /// What is shown.
    pub(crate) title: String,
    /// Across.
    pub(crate) x: Axis,
    /// Upwards.
    pub(crate) y: Axis,
    /// Cutover first.
    pub(crate) series: Vec<Series>,
}

/// Returns the letter of a series: `C` is Cutover's, `C2` its next mode's; the others go from `a` on.
pub(crate) fn letters<'a>(are_ours: impl IntoIterator<Item = &'a bool>) -> Vec<String> {
    let (mut ours, mut rivals) = (0_u32, 0_u32);
    let mut letter = |is_ours: &bool| {
        if *is_ours {
            ours += 1;
            return if ours == 1 { "C".to_owned() } else { format!("C{ours}") };
        }
        rivals += 1;
        // With more than 26 the letters are followed by a number.
        let (round, at) = ((rivals - 1) / 26, (rivals - 1) % 26);
        let letter = char::from_u32(u32::from('a') + at).unwrap_or('?');
        if round == 0 { letter.to_string() } else { format!("{letter}{round}") }
    };
    are_ours.into_iter().map(&mut letter).collect()
}

impl Plot {
    fn across(&self, value: f64) -> f64 {
        ((LEFT + (RIGHT - LEFT) * self.x.scale.place(value)) * 100.0).round() / 100.0
    }

    fn height(&self, value: f64) -> f64 {
        ((BOTTOM - (BOTTOM - TOP) * self.y.scale.place(value)) * 10.0).round() / 10.0
    }

    fn description(&self) -> String {
        let series: Vec<String> = self
            .series
            .iter()
            .map(|series| {
                let notes: Vec<&str> = series.points.iter().map(|point| point.note.as_str()).collect();
                format!("{}: {}", series.label, notes.join(", "))
            })
            .collect();
        format!("Across: {}. Upwards: {}. {}.", self.x.name, self.y.name, series.join("; "))
    }

    fn write_grid(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for value in self.y.scale.ticks(5) {
            let y = self.height(value);
            let class = if y == BOTTOM { "base" } else { "grid" };
            writeln!(
                out,
                "<line class=\"{class}\" x1=\"0\" x2=\"{RIGHT}%\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"0\" y=\"{}\">{}</text>",
                y - 4.0,
                Escaped(&(self.y.tick)(value)),
            )?;
        }
        for value in self.x.scale.ticks(4) {
            let x = self.across(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{x}%\" x2=\"{x}%\" y1=\"{BOTTOM}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{x}%\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 5.0,
                BOTTOM + 19.0,
                Escaped(&(self.x.tick)(value)),
            )?;
        }
        writeln!(out, "<text class=\"axis\" x=\"0\" y=\"{}\">across: {}</text>", BOTTOM + 38.0, Escaped(&self.x.name),)
    }

    fn write_series(&self, out: &mut fmt::Formatter<'_>, series: &Series, letter: &str, letter_y: f64) -> fmt::Result {
        let Some(last) = series.points.last() else { return Ok(()) };
        let class = if series.is_ours { "ours" } else { "rival" };
        writeln!(out, "<g class=\"{class}\">")?;
        for pair in series.points.windows(2) {
            let [from, to] = [&pair[0], &pair[1]].map(|point| (self.across(point.x), self.height(point.y)));
            writeln!(
                out,
                "<line class=\"run\" x1=\"{}%\" y1=\"{}\" x2=\"{}%\" y2=\"{}\"/>",
                from.0, from.1, to.0, to.1
            )?;
        }
        writeln!(
            out,
            "<line class=\"lead\" x1=\"{}%\" y1=\"{}\" x2=\"{}%\" y2=\"{letter_y}\"/>",
            self.across(last.x),
            self.height(last.y),
            LETTERS - 2.0,
        )?;
        for point in &series.points {
            writeln!(
                out,
                "<circle cx=\"{}%\" cy=\"{}\" r=\"{}\"><title>{}: {}</title></circle>",
                self.across(point.x),
                self.height(point.y),
                if series.is_ours { 5 } else { 3 },
                Escaped(&series.label),
                Escaped(&point.note),
            )?;
        }
        let y = letter_y + 4.5;
        writeln!(out, "<text class=\"letter\" x=\"{LETTERS}%\" y=\"{y}\" text-anchor=\"middle\">{letter}</text></g>")
    }

    /// Returns where the letters stand: beside the last point, and apart from each other.
    fn letter_heights(&self) -> Vec<f64> {
        let wanted = self.series.iter().map(|series| series.points.last().map_or(BOTTOM, |point| self.height(point.y)));
        spread_out(&wanted.collect::<Vec<_>>())
    }
}

/// Moves heights apart, in their order, as little as one pass down and one pass up will do.
fn spread_out(wanted: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let mut placed = wanted.to_vec();
    let mut above = f64::NEG_INFINITY;
    for &at in &order {
        placed[at] = wanted[at].max(above + LETTER_PITCH);
        above = placed[at];
    }
    let mut below = BOTTOM + LETTER_PITCH;
    for &at in order.iter().rev() {
        placed[at] = placed[at].min(below - LETTER_PITCH);
        below = placed[at];
    }
    placed
}

impl Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = Escaped(&self.id);
        writeln!(
            f,
            "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" width=\"100%\" height=\"{}\">\n\
             <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n\
             <text class=\"axis\" x=\"0\" y=\"10\">{}</text>",
            BOTTOM + FOOT,
            Escaped(&self.title),
            Escaped(&self.description()),
            Escaped(&self.y.name),
        )?;
        self.write_grid(f)?;
        let letters = letters(self.series.iter().map(|series| &series.is_ours));
        let heights = self.letter_heights();
        // From the last to the first: what is drawn later lies above, and ours comes first.
        for ((series, letter), height) in self.series.iter().zip(&letters).zip(heights).rev() {
            self.write_series(f, series, letter, height)?;
        }
        f.write_str("</svg>\n<ul class=\"letters\">\n")?;
        for (series, letter) in self.series.iter().zip(&letters) {
            let class = if series.is_ours { " class=\"ours\"" } else { "" };
            writeln!(f, "<li{class}><b>{letter}</b> {}</li>", Escaped(&series.label))?;
        }
        f.write_str("</ul>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(label: &str, is_ours: bool, points: &[(f64, f64)]) -> Series {
        let point = |&(x, y): &(f64, f64)| Point { x, y, note: format!("{x} {y}") };
        Series { label: label.to_owned(), is_ours, points: points.iter().map(point).collect() }
    }

    fn plot(series: Vec<Series>) -> String {
        let axis = |name: &str, values: &[f64]| Axis {
            name: name.to_owned(),
            scale: Scale::linear(values),
            tick: |value| value.to_string(),
        };
        let (x, y) = (axis("ms", &[100.0]), axis("seconds", &[10.0]));
        Plot { id: "p".to_owned(), title: "time".to_owned(), x, y, series }.to_string()
    }

    #[test]
    fn points_stand_where_their_values_are() {
        let svg = plot(vec![series("cutover", true, &[(0.0, 0.0), (100.0, 10.0)])]);
        assert!(svg.contains("<line class=\"run\" x1=\"15%\" y1=\"300\" x2=\"89%\" y2=\"34\"/>"), "{svg}");
        assert!(svg.contains("<circle cx=\"15%\" cy=\"300\" r=\"5\"><title>cutover: 0 0</title></circle>"), "{svg}");
    }

    #[test]
    fn each_series_has_a_letter_of_its_own() {
        let svg = plot(vec![
            series("cutover", true, &[(1.0, 1.0)]),
            series("tar", false, &[(1.0, 2.0)]),
            series("<b>rsync", false, &[(1.0, 3.0)]),
        ]);
        assert!(svg.contains("<li class=\"ours\"><b>C</b> cutover</li>"), "{svg}");
        assert!(svg.contains("<li><b>a</b> tar</li>"), "{svg}");
        assert!(svg.contains("<li><b>b</b> &lt;b&gt;rsync</li>"), "{svg}");
        assert!(!svg.contains("<b>rsync"), "{svg}");
        assert_eq!(letters(&[true, true, false]), ["C", "C2", "a"]);
        let many = letters(&[false; 28]);
        assert_eq!((many[25].as_str(), many[26].as_str()), ("z", "a1"));
    }

    #[test]
    fn letters_do_not_lie_on_each_other() {
        let placed = spread_out(&[100.0, 100.0, 101.0, 300.0, 300.0]);
        assert_eq!(placed, [100.0, 114.0, 128.0, 286.0, 300.0]);
    }
}
