//! The functions of PromQL: names, types, and what they are.

use crate::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Which one it is.
    pub kind: Kind,
    /// Types of its arguments; the last one is that of all further ones.
    pub args: &'static [ValueType],
    /// How many of `args`, counted from the end, may be left out or repeated.
    pub variadic: Variadic,
    /// Type of its result.
    pub returns: ValueType,
}

/// How many arguments a function takes beside the fixed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly those listed.
    None,
    /// The last one listed may be left out, or up to so many given in its place.
    UpTo(usize),
    /// The last one listed may be left out, or any number given in its place.
    Any,
}

macro_rules! functions {
    ($($name:literal $kind:ident ($($arg:ident),*) $variadic:expr => $returns:ident;)+) => {
        /// Which function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($kind),+ }

        /// All functions, sorted by name.
        pub(crate) static FUNCTIONS: &[Function] = &[
            $(Function {
                name: $name,
                kind: Kind::$kind,
                args: &[$($arg),*],
                variadic: $variadic,
                returns: $returns,
            }),+
        ];
    };
}

const FIXED: Variadic = Variadic::None;
const ONE: Variadic = Variadic::UpTo(1);

functions! {
    "abs" Abs (Vector) FIXED => Vector;
    "absent" Absent (Vector) FIXED => Vector;
    "absent_over_time" AbsentOverTime (Matrix) FIXED => Vector;
    "acos" Acos (Vector) FIXED => Vector;
    "acosh" Acosh (Vector) FIXED => Vector;
    "asin" Asin (Vector) FIXED => Vector;
    "asinh" Asinh (Vector) FIXED => Vector;
    "atan" Atan (Vector) FIXED => Vector;
    "atanh" Atanh (Vector) FIXED => Vector;
    "avg_over_time" AvgOverTime (Matrix) FIXED => Vector;
    "ceil" Ceil (Vector) FIXED => Vector;
    "changes" Changes (Matrix) FIXED => Vector;
    "clamp" Clamp (Vector, Scalar, Scalar) FIXED => Vector;
    "clamp_max" ClampMax (Vector, Scalar) FIXED => Vector;
    "clamp_min" ClampMin (Vector, Scalar) FIXED => Vector;
    "cos" Cos (Vector) FIXED => Vector;
    "cosh" Cosh (Vector) FIXED => Vector;
    "count_over_time" CountOverTime (Matrix) FIXED => Vector;
    "day_of_month" DayOfMonth (Vector) ONE => Vector;
    "day_of_week" DayOfWeek (Vector) ONE => Vector;
    "day_of_year" DayOfYear (Vector) ONE => Vector;
    "days_in_month" DaysInMonth (Vector) ONE => Vector;
    "deg" Deg (Vector) FIXED => Vector;
    "delta" Delta (Matrix) FIXED => Vector;
    "deriv" Deriv (Matrix) FIXED => Vector;
    "double_exponential_smoothing" DoubleExponentialSmoothing (Matrix, Scalar, Scalar) FIXED => Vector;
    "end" End () FIXED => Scalar;
    "exp" Exp (Vector) FIXED => Vector;
    "first_over_time" FirstOverTime (Matrix) FIXED => Vector;
    "floor" Floor (Vector) FIXED => Vector;
    "histogram_avg" HistogramAvg (Vector) FIXED => Vector;
    "histogram_count" HistogramCount (Vector) FIXED => Vector;
    "histogram_fraction" HistogramFraction (Scalar, Scalar, Vector) FIXED => Vector;
    "histogram_quantile" HistogramQuantile (Scalar, Vector) FIXED => Vector;
    "histogram_quantiles" HistogramQuantiles (Vector, String, Scalar, Scalar) Variadic::UpTo(9) => Vector;
    "histogram_stddev" HistogramStddev (Vector) FIXED => Vector;
    "histogram_stdvar" HistogramStdvar (Vector) FIXED => Vector;
    "histogram_sum" HistogramSum (Vector) FIXED => Vector;
    "hour" Hour (Vector) ONE => Vector;
    "idelta" Idelta (Matrix) FIXED => Vector;
    "increase" Increase (Matrix) FIXED => Vector;
    "info" Info (Vector, Vector) ONE => Vector;
    "irate" Irate (Matrix) FIXED => Vector;
    "label_join" LabelJoin (Vector, String, String, String) Variadic::Any => Vector;
    "label_replace" LabelReplace (Vector, String, String, String, String) FIXED => Vector;
    "last_over_time" LastOverTime (Matrix) FIXED => Vector;
    "ln" Ln (Vector) FIXED => Vector;
    "log10" Log10 (Vector) FIXED => Vector;
    "log2" Log2 (Vector) FIXED => Vector;
    "mad_over_time" MadOverTime (Matrix) FIXED => Vector;
    "max_of" MaxOf (Scalar, Scalar) FIXED => Scalar;
    "max_over_time" MaxOverTime (Matrix) FIXED => Vector;
    "min_of" MinOf (Scalar, Scalar) FIXED => Scalar;
    "min_over_time" MinOverTime (Matrix) FIXED => Vector;
    "minute" Minute (Vector) ONE => Vector;
    "month" Month (Vector) ONE => Vector;
    "pi" Pi () FIXED => Scalar;
    "predict_linear" PredictLinear (Matrix, Scalar) FIXED => Vector;
    "present_over_time" PresentOverTime (Matrix) FIXED => Vector;
    "quantile_over_time" QuantileOverTime (Scalar, Matrix) FIXED => Vector;
    "rad" Rad (Vector) FIXED => Vector;
    "range" Range () FIXED => Scalar;
    "rate" Rate (Matrix) FIXED => Vector;
    "resets" Resets (Matrix) FIXED => Vector;
    "round" Round (Vector, Scalar) ONE => Vector;
    "scalar" ToScalar (Vector) FIXED => Scalar;
    "sgn" Sgn (Vector) FIXED => Vector;
    "sin" Sin (Vector) FIXED => Vector;
    "sinh" Sinh (Vector) FIXED => Vector;
    "sort" Sort (Vector) FIXED => Vector;
    "sort_by_label" SortByLabel (Vector, String) Variadic::Any => Vector;
    "sort_by_label_desc" SortByLabelDesc (Vector, String) Variadic::Any => Vector;
    "sort_desc" SortDesc (Vector) FIXED => Vector;
    "sqrt" Sqrt (Vector) FIXED => Vector;
    "start" Start () FIXED => Scalar;
    "start_timestamp" StartTimestamp (Vector) FIXED => Vector;
    "stddev_over_time" StddevOverTime (Matrix) FIXED => Vector;
    "stdvar_over_time" StdvarOverTime (Matrix) FIXED => Vector;
    "step" Step () FIXED => Scalar;
    "sum_over_time" SumOverTime (Matrix) FIXED => Vector;
    "tan" Tan (Vector) FIXED => Vector;
    "tanh" Tanh (Vector) FIXED => Vector;
    "time" Time () FIXED => Scalar;
    "timestamp" Timestamp (Vector) FIXED => Vector;
    "ts_of_first_over_time" TsOfFirstOverTime (Matrix) FIXED => Vector;
    "ts_of_last_over_time" TsOfLastOverTime (Matrix) FIXED => Vector;
    "ts_of_max_over_time" TsOfMaxOverTime (Matrix) FIXED => Vector;
    "ts_of_min_over_time" TsOfMinOverTime (Matrix) FIXED => Vector;
    "vector" ToVector (Scalar) FIXED => Vector;
    "year" Year (Vector) ONE => Vector;
}

impl Kind {
    /// Whether the result may change with the time of evaluation though the arguments do not.
    #[must_use]
    pub fn depends_on_time(self) -> bool {
        matches!(
            self,
            Self::DaysInMonth
                | Self::DayOfMonth
                | Self::DayOfWeek
                | Self::DayOfYear
                | Self::Hour
                | Self::Minute
                | Self::Month
                | Self::Year
                | Self::PredictLinear
                | Self::Time
                | Self::Timestamp
        )
    }
}

/// The function of a name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    let found = FUNCTIONS.binary_search_by(|f| f.name.cmp(name));
    found.ok().map(|i| &FUNCTIONS[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        for f in FUNCTIONS {
            assert_eq!(function(f.name), Some(f), "{} is out of order", f.name);
        }
        assert_eq!(function("nope"), None);
    }
}
