//! The colours, for light and dark. A test keeps their contrast (WCAG 2.2: 4.5 for text, 3 for marks).

use std::fmt::{self, Display};

/// One set of colours.
struct Palette {
    /// Behind everything.
    page: &'static str,
    /// Behind the first column of tables and the lines that were run.
    panel: &'static str,
    /// Text.
    ink: &'static str,
    /// Lesser text.
    soft: &'static str,
    /// Grid lines and borders: decoration, nothing rests on them.
    rule: &'static str,
    /// Marks of Cutover, and links.
    ours: &'static str,
    /// Marks of the others.
    rival: &'static str,
}

const LIGHT: Palette = Palette {
    page: "#fcfbf9",
    panel: "#f3f1ec",
    ink: "#1d2024",
    soft: "#585d66",
    rule: "#dad7cf",
    ours: "#a83c0c",
    rival: "#858b95",
};

const DARK: Palette = Palette {
    page: "#15171a",
    panel: "#1f2226",
    ink: "#e9e7e2",
    soft: "#a9adb5",
    rule: "#363a40",
    ours: "#ff9d61",
    rival: "#7d848f",
};

/// The colours as custom properties of CSS.
pub(crate) struct Variables;

impl Display for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ":root {{ color-scheme: light dark;{LIGHT} }}")?;
        writeln!(f, "@media (prefers-color-scheme: dark) {{ :root {{{DARK} }} }}")
    }
}

impl Display for Palette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Palette { page, panel, ink, soft, rule, ours, rival } = self;
        write!(
            f,
            " --page: {page}; --panel: {panel}; --ink: {ink}; --soft: {soft}; --rule: {rule}; --ours: {ours}; --rival: {rival};"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn black_on_white_has_the_greatest_contrast() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
    }

    #[test]
    fn text_and_marks_stand_out_in_light_and_dark() {
        for palette in [LIGHT, DARK] {
            for behind in [palette.page, palette.panel] {
                for text in [palette.ink, palette.soft, palette.ours] {
                    assert!(contrast(text, behind) >= 4.5, "{text} on {behind}: {}", contrast(text, behind));
                }
            }
            let marks = contrast(palette.rival, palette.page);
            assert!(marks >= 3.0, "{} on {}: {marks}", palette.rival, palette.page);
        }
    }
}
