//! The share of releases rolled back over time, as a picture.

use std::path::Path;

use plotters::prelude::*;
use spillway_simulate::characteristics::Characteristics;

use crate::input::Fault;

/// Width and height in pixels.
const SIZE: (u32, u32) = (900, 520);
/// Told apart by people who see colours differently: Okabe and Ito's.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
];

/// Writes the picture, as SVG.
pub fn write(path: &Path, title: &str, found: &[Characteristics]) -> Result<(), Fault> {
    let svg = draw(title, found).map_err(|problem| Fault::Invalid { name: path.display().to_string(), problem })?;
    std::fs::write(path, svg).map_err(|source| Fault::Unreadable { name: path.display().to_string(), source })
}

fn draw(title: &str, found: &[Characteristics]) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        let last = found.iter().filter_map(|one| one.rollback_minutes.last().copied()).fold(10.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..last * 1.02, 0.0..102.0)
            .map_err(|error| error.to_string())?;
        chart
            .configure_mesh()
            .x_desc("minutes since the first exposure")
            .y_desc("rolled back, % of releases")
            .light_line_style(WHITE)
            .label_style(("sans-serif", 14))
            .draw()
            .map_err(|error| error.to_string())?;
        for (index, one) in found.iter().enumerate() {
            let style = COLOURS[index % COLOURS.len()].stroke_width(2);
            chart
                .draw_series(LineSeries::new(steps(one, last * 1.02), style))
                .map_err(|error| error.to_string())?
                .label(format!("{} ({:.1} %)", one.candidate, 100.0 * one.rolled_back))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 14))
            .draw()
            .map_err(|error| error.to_string())?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// The share rolled back by each minute: it stays, and then it jumps.
fn steps(one: &Characteristics, end: f64) -> Vec<(f64, f64)> {
    let all = one.releases.max(1) as f64;
    let mut points = vec![(0.0, 0.0)];
    for (index, minute) in one.rollback_minutes.iter().enumerate() {
        points.push((*minute, 100.0 * index as f64 / all));
        points.push((*minute, 100.0 * (index + 1) as f64 / all));
    }
    points.push((end, 100.0 * one.rolled_back));
    // A jump of many releases at once is one jump.
    points.dedup_by(|later, earlier| later.0 == earlier.0 && later.1 == earlier.1);
    points
}
