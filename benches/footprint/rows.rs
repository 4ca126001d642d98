//! The table: rows of samples, one column for each program; medians, ratios, and which program is better.

use std::fmt;

/// One thing that is measured. Less is better, unless the row says otherwise.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// The ratio of the first program to the second that is aimed at, if any.
    pub(crate) target: Option<f64>,
    pub(crate) more_is_better: bool,
    /// The samples of each program.
    pub(crate) samples: Vec<Vec<f64>>,
}

impl Row {
    pub(crate) fn median(&self, which: usize) -> Option<f64> {
        let mut sorted = self.samples[which].clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().checked_sub(1)?;
        Some(f64::midpoint(sorted[middle / 2], sorted[middle.div_ceil(2)]))
    }

    /// The first program's median over the second's. Two medians of 0 have the ratio 1; otherwise a second median of 0 has none.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (first, second) = (self.median(0)?, self.median(1)?);
        let ratio = if first == second { 1.0 } else { first / second };
        ratio.is_finite().then_some(ratio)
    }

    fn verdict(&self) -> &'static str {
        let is_measured = self.samples.iter().take(2).all(|samples| !samples.is_empty());
        let ratio = self.ratio().unwrap_or(if is_measured { f64::INFINITY } else { 1.0 });
        let worse = if self.more_is_better { ratio < 1.0 / EVEN } else { ratio > EVEN };
        let aimed_at = if is_absolute(self.what) { self.median(0).unwrap_or(0.0) } else { ratio };
        let missed = self
            .target
            .is_some_and(|target| if self.more_is_better { aimed_at < target } else { aimed_at > target });
        match (worse, missed) {
            (true, true) => "lost, over its target",
            (true, false) => "lost",
            (false, true) => "won, short of its target",
            (false, false) => "",
        }
    }
}

/// All rows, in the order in which they were first measured.
pub(crate) struct Table {
    pub(crate) programs: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) missing: Vec<String>,
}

impl Table {
    pub(crate) fn new(programs: Vec<String>) -> Table {
        Table { programs, rows: Vec::new(), missing: Vec::new() }
    }

    /// Adds a sample of a program to a row.
    pub(crate) fn add(&mut self, which: usize, what: &'static str, unit: &'static str, sample: f64) {
        let row = match self.rows.iter().position(|row| row.what == what) {
            Some(at) => &mut self.rows[at],
            None => {
                let samples = vec![Vec::new(); self.programs.len()];
                self.rows.push(Row {
                    what,
                    unit,
                    target: target(what),
                    more_is_better: unit == "a second",
                    samples,
                });
                self.rows.last_mut().expect("it was just added")
            }
        };
        row.samples[which].push(sample);
    }

    pub(crate) fn json(&self) -> String {
        let row = |row: &Row| {
            serde_json::json!({
                "what": row.what, "unit": row.unit, "target": row.target,
                "ratio": row.ratio(), "median": row.median(0),
                "samples": self.programs.iter().zip(&row.samples).collect::<std::collections::BTreeMap<_, _>>(),
            })
        };
        let rows: Vec<String> = self.rows.iter().map(|each| row(each).to_string()).collect();
        let (programs, missing) = (serde_json::json!(self.programs), serde_json::json!(self.missing));
        // A line for each row, so that a change shows which rows differ.
        format!("{{\"missing\":{missing},\n\"programs\":{programs},\n\"rows\":[\n{}\n]}}\n", rows.join(",\n"))
    }
}

/// Closer than this two programs are alike.
const EVEN: f64 = 1.01;

/// Whether a target is the first program's own figure and no ratio.
fn is_absolute(what: &str) -> bool {
    what.starts_with("allocations") || what == "idle, private memory"
}

/// The ratio that a row is to have at most (at least, where more is better).
fn target(what: &str) -> Option<f64> {
    match what {
        "program, with TLS" | "program, places file alone" => Some(0.97),
        "idle, private memory" => Some(220.0),
        "a connection" => Some(0.75),
        "after 4,000 connections have gone"
        | "five nodes, PSS in all"
        | "instructions a request, one client"
        | "instructions a request, 64 clients" => Some(1.0),
        "allocations a request, one client" | "allocations a request, 64 clients" => Some(0.2),
        "requests, 64 clients, 16 at a time" | "requests, 64 clients, one at a time" => Some(0.95),
        _ => None,
    }
}

/// A figure with three digits that count.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1e4 => {
            let digits = format!("{number:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// The median of a program, and the least and the largest if they differ.
fn cell(row: &Row, which: usize) -> String {
    let Some(median) = row.median(which) else { return "-".to_owned() };
    let samples = &row.samples[which];
    let least = short(samples.iter().copied().fold(f64::INFINITY, f64::min));
    let most = short(samples.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    if least == most { short(median) } else { format!("{} ({least}–{most})", short(median)) }
}

impl Table {
    fn names(&self, which: std::ops::Range<usize>) -> String {
        self.programs[which].join(" | ")
    }

    /// The first two programs, and which of them is better.
    fn pair(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "| what | unit | {} | ratio | aim | |", self.names(0..2))?;
        writeln!(f, "|---|---|---:|---:|---:|---:|---|")?;
        for row in &self.rows {
            let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let target = match row.target {
                Some(target) if is_absolute(row.what) => format!("{} itself", short(target)),
                Some(target) => format!("{target:.2}"),
                None => String::new(),
            };
            let (first, second) = (cell(row, 0), cell(row, 1));
            let verdict = row.verdict();
            writeln!(
                f,
                "| {} | {} | {first} | {second} | {ratio} | {target} | {verdict} |",
                row.what, row.unit
            )?;
        }
        Ok(())
    }

    /// The first program beside the references.
    fn references(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let all = 2..self.programs.len();
        writeln!(f, "\n| what | unit | {} | {} |", self.names(0..1), self.names(all.clone()))?;
        writeln!(f, "|---|---|---:|{}", "---:|".repeat(all.len()))?;
        for row in self.rows.iter().filter(|row| all.clone().any(|which| row.median(which).is_some())) {
            let first = row.median(0).map_or_else(|| "-".to_owned(), short);
            write!(f, "| {} | {} | {first} |", row.what, row.unit)?;
            all.clone().try_for_each(|which| write!(f, " {} |", cell(row, which)))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.pair(f)?;
        if self.programs.len() > 2 {
            self.references(f)?;
        }
        self.missing.iter().try_for_each(|missing| writeln!(f, "\nnot measured: {missing}"))
    }
}
