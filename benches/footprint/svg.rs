//! The table as a picture: a bar a row, as long as the ratio of the two programs, on a scale where half and double are
//! equally far from alike.

use std::fmt::Write;

use crate::rows::Table;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 300.0;
const ROW: f64 = 20.0;
/// The scale ends at a quarter and at four times.
const ENDS: f64 = 2.0;

pub(crate) fn picture(table: &Table) -> String {
    let rows: Vec<_> = table.rows.iter().filter_map(|row| Some((row, row.ratio()?))).collect();
    let height = ROW * (rows.len() as f64 + 3.0);
    let middle = LABELS + (WIDTH - LABELS) / 2.0;
    let half = (WIDTH - LABELS) / 2.0 - 60.0;
    let at = |ratio: f64| middle + ratio.max(1e-9).log2().clamp(-ENDS, ENDS) / ENDS * half;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">{} / {}; to the left the first needs less</text>\n",
        table.programs[0],
        table.programs.get(1).map_or("-", String::as_str)
    );
    for (ratio, label) in [(0.25, "1/4"), (0.5, "1/2"), (1.0, "1"), (2.0, "2"), (4.0, "4")] {
        let x = at(ratio);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#ccc\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{label}</text>",
            ROW * 1.8,
            height - ROW,
            height - 6.0
        );
    }
    for (index, (row, ratio)) in rows.into_iter().enumerate() {
        // Where more is better the bar shows what one request costs, so that left is good in every row.
        let cost = if row.more_is_better { 1.0 / ratio } else { ratio };
        let (y, x) = (ROW * (index as f64 + 2.0), at(cost));
        let colour = if cost > 1.005 { "#c0504d" } else { "#4f81bd" };
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{:.1}\">{}</text><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{ratio:.2}</text>",
            y + 14.0,
            row.what,
            x.min(middle),
            y + 4.0,
            (x - middle).abs().max(1.0),
            ROW - 8.0,
            if x < middle { x - 4.0 } else { x + 4.0 },
            y + 14.0,
            if x < middle { "end" } else { "start" }
        );
    }
    svg + "</svg>\n"
}
