//! Curves as a picture: SVG, both axes logarithmic, readable on a light and on a dark page.

use std::fmt::Write as _;

use crate::curves::{Curve, SIZES};
use crate::results::round;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
/// The field of the curves: left, right, top, bottom.
const FIELD: [f64; 4] = [64.0, 440.0, 24.0, 372.0];
/// Powers of ten of nanoseconds.
const DECADES: [i32; 2] = [1, 5];
/// Lines of a label's height.
const LINE: f64 = 17.0;
/// Told apart also by those who see few colours; legible on white and on black.
const COLOURS: [&str; 8] =
    ["#0f8f8f", "#c2571a", "#7a68d8", "#b8860b", "#4a8a2a", "#b8437c", "#4878b8", "#8a6a5a"];
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#333}.grid{stroke:#8886;stroke-width:1}\
    .line{fill:none;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}}";

/// The picture, with words for those who do not see it.
pub(crate) fn draw(curves: &[Curve]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">What one event costs, by how many doors, devices, sources or leases there are</title>\n\
         <desc id=\"d\">{}</desc>\n<style>{STYLE}</style>\n",
        describe(curves)
    );
    axes(&mut svg);
    let mut labels: Vec<(f64, usize)> =
        curves.iter().enumerate().map(|(number, curve)| (y(curve.nanoseconds[3]), number)).collect();
    labels.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = FIELD[2];
    for (place, number) in labels {
        let (curve, colour) = (&curves[number], COLOURS[number % COLOURS.len()]);
        let points: Vec<String> = SIZES
            .iter()
            .zip(curve.nanoseconds)
            .map(|(size, nanoseconds)| format!("{:.1},{:.1}", x(*size), y(nanoseconds)))
            .collect();
        line(
            &mut svg,
            &format!("<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>", points.join(" ")),
        );
        for point in &points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            line(&mut svg, &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>"));
        }
        // Labels do not cover one another.
        let at = place.max(lowest);
        lowest = at + LINE;
        let label = format!("{} ({})", curve.name, time(curve.nanoseconds[3]));
        line(
            &mut svg,
            &format!("<circle cx=\"{}\" cy=\"{at:.1}\" r=\"4\" fill=\"{colour}\"/>", FIELD[1] + 14.0),
        );
        line(&mut svg, &format!("<text x=\"{}\" y=\"{:.1}\">{label}</text>", FIELD[1] + 24.0, at + 4.0));
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String) {
    let [left, right, top, bottom] = FIELD;
    for size in SIZES {
        let x = x(size);
        line(
            svg,
            &format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"),
        );
        line(
            svg,
            &format!(
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                grouped(size)
            ),
        );
    }
    for decade in DECADES[0]..=DECADES[1] {
        let nanoseconds = 10_f64.powi(decade);
        let y = y(nanoseconds);
        line(
            svg,
            &format!("<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"),
        );
        let label =
            if decade < 3 { format!("{nanoseconds} ns") } else { format!("{} µs", nanoseconds / 1_000.0) };
        line(
            svg,
            &format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", left - 8.0, y + 4.0),
        );
    }
    line(svg, &format!("<text x=\"{left}\" y=\"{}\">processor time of one event</text>", top - 10.0));
    let middle = f64::midpoint(left, right);
    line(
        svg,
        &format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">how many there are</text>",
            bottom + 40.0
        ),
    );
}

fn describe(curves: &[Curve]) -> String {
    let said = curves.iter().map(|curve| {
        let [one, .., most] = curve.nanoseconds;
        format!("{}: {} with one, {} with 100,000.", curve.name, time(one), time(most))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn x(size: u32) -> f64 {
    let [left, right, ..] = FIELD;
    left + (right - left) * f64::from(size).log10() / f64::from(SIZES[3]).log10()
}

fn y(nanoseconds: f64) -> f64 {
    let [.., top, bottom] = FIELD;
    let [low, high] = DECADES.map(f64::from);
    let part = (nanoseconds.max(1.0).log10() - low) / (high - low);
    assert!((0.0..=1.0).contains(&part), "{nanoseconds} ns are outside the picture");
    bottom - (bottom - top) * part
}

fn time(nanoseconds: f64) -> String {
    if nanoseconds < 1_000.0 {
        format!("{} ns", round(nanoseconds))
    } else {
        format!("{} µs", round(nanoseconds / 1_000.0))
    }
}

fn grouped(number: u32) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

fn line(svg: &mut String, text: &str) {
    writeln!(svg, "{text}").expect("text takes text");
}
