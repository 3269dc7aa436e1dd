//! The table that the bench ends with.

use comfy_table::{Cell, CellAlignment, Table};

use super::rows::{Bound, Pair, Row, Who};

const HEADER: [&str; 7] = ["", "xl", "vxn", "vxn/xl", "at most", "floor", "vxn/floor"];

/// The rows with the seconds of each of their sides: medians and ratios.
pub fn render(measured: &[(Row, Vec<Vec<f64>>)]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN).set_header(HEADER);
    for (row, seconds) in measured {
        let cells =
            cells(row, seconds).map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(&row.name)).chain(cells));
    }
    let rounds = measured.iter().flat_map(|(_, seconds)| seconds).map(Vec::len).min().unwrap_or(0);
    format!("Medians of {rounds} in seconds, under emulation; the ratios are what counts.\n{table}")
}

/// A row on its own, as it is measured.
pub fn summary(row: &Row, seconds: &[Vec<f64>]) -> String {
    let [xl, vxn, ratio, bound, floor, of_floor] = cells(row, seconds);
    let name = &row.name;
    format!("{name}: xl {xl}, vxn {vxn}, {ratio} of at most {bound}; floor {floor}, {of_floor}")
}

/// The cells of a row after its name, from the seconds of its sides.
fn cells(row: &Row, seconds: &[Vec<f64>]) -> [String; 6] {
    let of = |who| {
        let index = row.sides.iter().position(|side| side.who == who)?;
        median(seconds.get(index)?)
    };
    line(row.bound, of(Who::Xl), of(Who::Vxn), of(Who::Floor))
}

/// One line: both conditions of a pair, and whether they are close enough.
pub fn pair(pair: &Pair, seconds: &[Vec<f64>]) -> String {
    let Pair { conditions: [first, second], at_most, row } = pair;
    let medians: Vec<f64> = seconds.iter().filter_map(|side| median(side)).collect();
    let [a, b] = medians[..] else { return format!("{}: not measured", row.name) };
    let ratio = b / a;
    let mark = if ratio <= *at_most { "met" } else { "MISSED" };
    format!(
        "{}: {first} {a:.2} s, {second} {b:.2} s, ratio {ratio:.2}, at most {at_most:.2}: {mark}",
        row.name
    )
}

/// The cells, of medians. A missed bound is marked.
fn line(bound: Bound, xl: Option<f64>, vxn: Option<f64>, floor: Option<f64>) -> [String; 6] {
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    let (of_xl, of_floor) = (ratio(vxn, xl), ratio(vxn, floor));
    let met = of_xl.is_some_and(|ratio| ratio <= bound.of_xl)
        || of_floor.is_some_and(|ratio| ratio <= bound.of_floor);
    let show = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
    let mark = if met { "" } else { " MISSED" };
    [
        show(xl),
        show(vxn),
        format!("{}{mark}", show(of_xl)),
        format!("{:.2}", bound.of_xl),
        show(floor),
        show(of_floor),
    ]
}

/// The middle one.
pub fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => None,
        1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn conditions_are_compared() {
        let x = Row { name: "x".to_owned(), ..Row::default() };
        let of = Pair { conditions: ["1 MB", "100 MB"], at_most: 1.1, row: x };
        let line = pair(&of, &[vec![1.0, 2.0, 9.0], vec![2.1]]);
        assert_eq!(line, "x: 1 MB 2.00 s, 100 MB 2.10 s, ratio 1.05, at most 1.10: met");
        assert!(pair(&of, &[vec![1.0], vec![1.2]]).ends_with("MISSED"));
    }

    #[test]
    fn a_bound_is_met_by_either_measure() {
        let bound = Bound { of_xl: 0.25, of_floor: 1.3 };
        let missed = |xl, vxn, floor| line(bound, xl, vxn, floor)[2].contains("MISSED");
        assert!(!missed(Some(4.0), Some(1.0), None));
        assert!(missed(Some(4.0), Some(1.1), None));
        assert!(!missed(Some(4.0), Some(1.1), Some(1.0)));
        assert!(missed(Some(4.0), Some(1.1), Some(0.5)));
    }
}
