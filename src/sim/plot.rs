//! The figures of `scale.rs` as an SVG picture: three diagrams side by side with logarithmic axes.

use std::fmt::Write as _;

use super::scale::{Cost, Series};

const PANEL: f64 = 300.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 52.0;
const SIDE: f64 = 220.0;
const HEIGHT: f64 = TOP + SIDE + 60.0;
const COLOURS: [&str; 3] = ["#1f6fb2", "#c0504d", "#3f8f3f"];
/// The decades of the axis of nodes: about 3 to 2,000.
const NODES: (f64, f64) = (0.5, 3.3);

type Bounds = fn(&Cost) -> (f64, f64);

struct Panel {
    title: &'static str,
    /// The decades of the vertical axis.
    decades: (f64, f64),
    value: fn(&Cost) -> f64,
    /// The bounds of the formula. `None` if it gives none for this value.
    bounds: Option<Bounds>,
}

#[expect(clippy::cast_precision_loss, reason = "numbers of a picture")]
const PANELS: [Panel; 3] = [
    Panel {
        title: "lines an update costs the herd",
        decades: (0.5, 3.7),
        value: |cost| cost.lines,
        bounds: Some(|cost| {
            let (low, high) = cost.bounds();
            (low as f64, high as f64)
        }),
    },
    Panel {
        title: "bytes an update costs a node",
        decades: (1.5, 3.5),
        value: |cost| cost.bytes / cost.nodes as f64,
        bounds: None,
    },
    Panel {
        title: "milliseconds to the last node",
        decades: (0.8, 4.0),
        value: |cost| cost.reached_ms,
        bounds: None,
    },
];

pub(super) fn picture(series: &[Series]) -> String {
    let width = PANEL * PANELS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>One update: lines, bytes and time against the number of nodes</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in PANELS.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate({},0)\">", PANEL * index as f64);
        draw(&mut svg, panel, series);
        svg += "</g>\n";
    }
    for (index, (name, _)) in series.iter().enumerate() {
        let (x, y) = (LEFT + 150.0 * index as f64, HEIGHT - 12.0);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 4.0,
            COLOURS[index],
            x + 9.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" fill=\"#555\">shaded: m to 2m - n + 1 lines, with n nodes and m edges</text>",
        LEFT + 470.0,
        HEIGHT - 12.0
    );
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, series: &[Series]) {
    let along = |nodes: f64| LEFT + (nodes.log10() - NODES.0) / (NODES.1 - NODES.0) * SIDE;
    let (low, high) = panel.decades;
    let up = |value: f64| TOP + SIDE - (value.max(1.0).log10() - low) / (high - low) * SIDE;
    let _ =
        writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>", TOP - 18.0, panel.title);
    for nodes in [10.0, 100.0, 1000.0] {
        let x = along(nodes);
        grid_line(svg, (x, TOP), (x, TOP + SIDE));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{nodes}</text>",
            TOP + SIDE + 15.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">nodes</text>",
        LEFT + SIDE,
        TOP + SIDE + 28.0
    );
    for value in [10.0, 100.0, 1000.0, 10_000.0] {
        if (low..=high).contains(&f64::log10(value)) {
            let y = up(value);
            grid_line(svg, (LEFT, y), (LEFT + SIDE, y));
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{value}</text>",
                LEFT - 5.0,
                y + 4.0
            );
        }
    }
    for ((_, costs), colour) in series.iter().zip(COLOURS) {
        let at = |cost: &Cost, value: f64| {
            #[expect(clippy::cast_precision_loss, reason = "numbers of a picture")]
            let x = along(cost.nodes as f64);
            format!("{x:.1},{:.1}", up(value))
        };
        if let Some(bounds) = panel.bounds {
            let lower = costs.iter().map(|cost| at(cost, bounds(cost).0));
            let upper = costs.iter().rev().map(|cost| at(cost, bounds(cost).1));
            let points: Vec<String> = lower.chain(upper).collect();
            let _ = writeln!(
                svg,
                "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>",
                points.join(" ")
            );
        }
        let points: Vec<String> = costs.iter().map(|cost| at(cost, (panel.value)(cost))).collect();
        let _ =
            writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", points.join(" "));
        for point in points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
}

fn grid_line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}
