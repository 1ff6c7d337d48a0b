//! Medians, and Markdown tables of them.

use std::fmt;

/// A title, what the rows hold, a row per peer and remarks.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<String>)>,
    pub remarks: Vec<String>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(f, "| | {} |", self.columns.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(self.columns.len()))?;
        for (name, cells) in &self.rows {
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        if !self.remarks.is_empty() {
            writeln!(f)?;
        }
        for remark in &self.remarks {
            writeln!(f, "- {remark}")?;
        }
        Ok(())
    }
}

/// The measurements of one peer, a row per round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    pub fn add(&mut self, values: impl Into<Vec<f64>>) {
        self.0.push(values.into());
    }

    /// The median of one column; not a number when nothing was measured.
    pub fn median(&self, column: usize) -> f64 {
        let mut values: Vec<f64> = self.0.iter().filter_map(|row| row.get(column).copied()).collect();
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.5)
    }

    /// The sum of one column, for counts of what must not happen at all.
    pub fn sum(&self, column: usize) -> f64 {
        self.0.iter().filter_map(|row| row.get(column)).sum()
    }
}

/// A quantile of sorted values.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        length => sorted[((length - 1) as f64 * part).round() as usize],
    }
}

/// A number as people write it: thousands apart, decimals only where they say something.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_as_many_digits_as_mean_something() {
        let written = [0.5, 12.34, 123.4, 27_179.4, 1_234_567.0, -1500.0, f64::NAN].map(number);
        assert_eq!(written, ["0.50", "12.3", "123", "27,179", "1,234,567", "-1,500", "–"]);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let mut rounds = Rounds::default();
        for value in [3.0, 100.0, 1.0] {
            rounds.add([value]);
        }
        assert_eq!((rounds.median(0), rounds.sum(0)), (3.0, 104.0));
        assert!(rounds.median(1).is_nan());
    }
}
