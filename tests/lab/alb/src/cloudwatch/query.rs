//! A `GetMetricData` request, read from whichever protocol it came in.

use jiff::Timestamp;
use serde_json::Value;

use super::stat::Stat;
use crate::error::ApiError;
use crate::metrics::{Dimensions, Metric};

/// The namespace that is answered here.
pub(super) const NAMESPACE: &str = "AWS/ApplicationELB";

/// "You can include up to 500 MetricDataQuery structures", and this many data points, in one call.
const MAX_QUERIES: usize = 500;
pub(super) const MAX_POINTS: usize = 100_800;

/// A valid request about the metrics here.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) queries: Vec<Query>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) ascending: bool,
    pub(super) max_points: usize,
    pub(super) token: Option<String>,
}

/// One series that is asked for.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) label: String,
    /// None for a metric, unit or dimension that this namespace does not have: no data, no error.
    pub(super) series: Option<(Metric, Dimensions)>,
    pub(super) stat: Stat,
    /// Seconds.
    pub(super) period: i64,
}

/// The queries of a request that are about the metrics here, and the others.
pub(super) fn split(request: &Value) -> (Vec<&Value>, Vec<&Value>) {
    let queries = request["MetricDataQueries"].as_array().map_or(&[][..], Vec::as_slice);
    queries.iter().partition(|query| query["MetricStat"]["Metric"]["Namespace"].as_str() == Some(NAMESPACE))
}

/// Reads the request as if `queries` were all of its queries.
pub(super) fn parse(request: &Value, queries: &[&Value]) -> Result<Request, ApiError> {
    if queries.len() > MAX_QUERIES {
        return Err(ApiError::validation(format!(
            "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
        )));
    }
    let mut parsed: Vec<Query> = Vec::new();
    for query in queries {
        let id = query["Id"].as_str().unwrap_or_default();
        let valid = id.starts_with(|char: char| char.is_ascii_lowercase())
            && id.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !valid {
            return Err(ApiError::validation(format!("The value '{id}' for field 'Id' is not valid")));
        }
        if parsed.iter().any(|known| known.id == id) {
            return Err(ApiError::validation(format!("The values for field 'Id' are not unique: '{id}'")));
        }
        if query["ReturnData"].as_bool() == Some(false) || query["ReturnData"] == "false" {
            continue;
        }
        parsed.push(self::query(id, query)?);
    }
    let start = time(&request["StartTime"], "StartTime")?;
    let end = time(&request["EndTime"], "EndTime")?;
    if start >= end {
        return Err(ApiError::validation("The parameter StartTime must be less than the parameter EndTime."));
    }
    let ascending = match request["ScanBy"].as_str() {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => return Err(ApiError::validation(format!("'{other}' is not a valid ScanBy"))),
    };
    let max_points = match &request["MaxDatapoints"] {
        Value::Null => MAX_POINTS,
        given => integer(given)
            .and_then(|points| usize::try_from(points).ok())
            .filter(|points| (1..=MAX_POINTS).contains(points))
            .ok_or_else(|| ApiError::validation(format!("MaxDatapoints must be between 1 and {MAX_POINTS}")))?,
    };
    Ok(Request {
        queries: parsed,
        start,
        end,
        ascending,
        max_points,
        token: request["NextToken"].as_str().filter(|token| !token.is_empty()).map(ToOwned::to_owned),
    })
}

fn query(id: &str, query: &Value) -> Result<Query, ApiError> {
    let given = &query["MetricStat"];
    let stat = given["Stat"].as_str().unwrap_or_default();
    let stat_parsed = Stat::parse(stat)
        .ok_or_else(|| ApiError::validation(format!("The value '{stat}' for parameter Stat is not valid")))?;
    let period = integer(&given["Period"])
        .filter(|period| [1, 5, 10, 20, 30].contains(period) || (*period > 0 && period % 60 == 0))
        .ok_or_else(|| ApiError::validation("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60"))?;
    let name = given["Metric"]["MetricName"].as_str().unwrap_or_default();
    let series = series(name, &given["Unit"], &given["Metric"]["Dimensions"]);
    let label = query["Label"].as_str().map_or_else(
        || match series.as_ref().and_then(|(_, dimensions)| dimensions.target_group.as_deref()) {
            Some(group) => format!("{group} {name}"),
            None => name.to_owned(),
        },
        ToOwned::to_owned,
    );
    Ok(Query { id: id.to_owned(), label, series, stat: stat_parsed, period })
}

/// A series, unless this namespace has no such metric, unit or dimension.
pub(super) fn series(metric: &str, unit: &Value, dimensions: &Value) -> Option<(Metric, Dimensions)> {
    let metric = Metric::from_name(metric)?;
    let measured = unit.as_str().is_none_or(|unit| unit == metric.unit());
    Some((metric, self::dimensions(dimensions).filter(|_| measured)?))
}

/// The dimensions, unless there is one that is not known here.
fn dimensions(given: &Value) -> Option<Dimensions> {
    let mut dimensions = Dimensions::default();
    for dimension in given.as_array().map_or(&[][..], Vec::as_slice) {
        let field = match dimension["Name"].as_str()? {
            "LoadBalancer" => &mut dimensions.load_balancer,
            "TargetGroup" => &mut dimensions.target_group,
            "AvailabilityZone" => &mut dimensions.zone,
            _ => return None,
        };
        *field = Some(dimension["Value"].as_str()?.to_owned());
    }
    Some(dimensions)
}

/// Numbers of the Query protocol are texts.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Seconds since the epoch (JSON, CBOR), or ISO 8601 (Query).
#[expect(clippy::cast_possible_truncation, reason = "out of range is refused by Timestamp")]
fn time(value: &Value, name: &str) -> Result<Timestamp, ApiError> {
    let from_seconds = |seconds: f64| Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok();
    let read = match value {
        Value::Number(seconds) => seconds.as_f64().and_then(from_seconds),
        Value::String(text) => text
            .parse()
            .ok()
            .or_else(|| text.parse::<f64>().ok().and_then(from_seconds))
            .or_else(|| format!("{text}Z").parse().ok()),
        _ => None,
    };
    read.ok_or_else(|| ApiError::validation(format!("The parameter {name} must be a timestamp")))
}
