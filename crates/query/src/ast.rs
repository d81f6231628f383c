//! The tree of a parsed query.
//!
//! A chain such as `1+1+1+…` is a tree as deep to the left as it is long: [`Binary`] is dropped
//! and walked without recursion on that side (see [`Expr::spine`]). Every other depth is bounded
//! by the parser.

use model::Matcher;

use crate::functions::Function;
use crate::position::Position;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A number, or a duration used as a number of seconds.
    Number(Number),
    /// A text.
    Text(Text),
    /// An expression in parentheses.
    Paren(Box<Paren>),
    /// A sign before an expression.
    Unary(Box<Unary>),
    /// Two expressions and an operator.
    Binary(Box<Binary>),
    /// A function call.
    Call(Call),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// The newest sample of each matching series.
    Vector(Box<VectorSelector>),
    /// A time range of each matching series.
    Matrix(Box<MatrixSelector>),
    /// An expression evaluated over a time range.
    Subquery(Box<Subquery>),
}

/// The four types of PromQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// A number at each step.
    Scalar,
    /// A text.
    String,
    /// A set of series, one sample each.
    Vector,
    /// A set of series, a range of samples each.
    Matrix,
}

impl ValueType {
    /// As Prometheus's documentation calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// A number literal.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Its value; seconds if written as a duration.
    pub value: f64,
    /// Whether it was written as a duration, such as `5m`.
    pub is_duration: bool,
    /// Where it stands.
    pub position: Position,
}

/// By bits, so that NaN equals itself.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.is_duration == other.is_duration
    }
}

/// A string literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Its value, unquoted; bytes that are no UTF-8 show as U+FFFD.
    pub value: String,
    /// Whether all its bytes are UTF-8.
    pub is_valid: bool,
    /// Where it stands.
    pub position: Position,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Paren {
    /// What stands inside.
    pub inner: Expr,
    /// Where it stands, parentheses included.
    pub position: Position,
}

/// A sign before an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// Whether the sign is `-`.
    pub negative: bool,
    /// What it stands before.
    pub inner: Expr,
    /// Where it stands.
    pub position: Position,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterEqual,
    /// `<=`
    LessEqual,
    /// `</`: keeps a histogram's observations below a bound
    TrimUpper,
    /// `>/`: keeps a histogram's observations above a bound
    TrimLower,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `atan2`
    Atan2,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterEqual => ">=",
            Self::LessEqual => "<=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Atan2 => "atan2",
            Self::Pow => "^",
        }
    }

    /// Whether it compares.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Greater
                | Self::Less
                | Self::GreaterEqual
                | Self::LessEqual
        )
    }

    /// Whether it works on sets of series.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    /// Whether its result means something else than its operands, so that the metric's name,
    /// type and unit are dropped.
    #[must_use]
    pub fn changes_meaning(self) -> bool {
        matches!(
            self,
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Atan2 | Self::Pow
        )
    }

    /// How tightly it binds; larger binds tighter.
    #[must_use]
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::Less
            | Self::GreaterEqual
            | Self::LessEqual
            | Self::TrimUpper
            | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }
}

/// How many series of one side may match one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// One and one.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How the series of two vectors are paired.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    /// Whether `labels` are the ones that must agree (`on`), or the ones that need not
    /// (`ignoring`).
    pub on: bool,
    /// The labels named.
    pub labels: Vec<String>,
    /// How many on each side.
    pub cardinality: Cardinality,
    /// Labels taken over from the side of the one.
    pub include: Vec<String>,
    /// Value for a missing left-hand sample.
    pub fill_left: Option<Number>,
    /// Value for a missing right-hand sample.
    pub fill_right: Option<Number>,
}

/// Two expressions and an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// Whether a comparison answers 0 or 1 instead of filtering.
    pub returns_bool: bool,
    /// How series are paired; means nothing if an operand is a scalar.
    pub matching: Matching,
    /// Type of the result.
    pub value_type: ValueType,
    /// Whether the result is the same at every step.
    pub step_invariant: bool,
    /// Where it stands.
    pub position: Position,
}

/// Unrolls a left-deep chain, which may be longer than the stack is deep.
impl Drop for Binary {
    fn drop(&mut self) {
        let mut next = std::mem::replace(&mut self.left, Expr::nothing());
        while let Expr::Binary(mut chain) = next {
            next = std::mem::replace(&mut chain.left, Expr::nothing());
        }
    }
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Whether the result is the same at every step.
    pub step_invariant: bool,
    /// Where it stands.
    pub position: Position,
}

/// An aggregation operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// How many.
    Count,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// 1 for each group.
    Group,
    /// Standard deviation.
    Stddev,
    /// Variance.
    Stdvar,
    /// The k largest.
    Topk,
    /// The k smallest.
    Bottomk,
    /// How many of each value.
    CountValues,
    /// A quantile.
    Quantile,
    /// Any k.
    Limitk,
    /// About a share.
    LimitRatio,
}

impl AggregateOp {
    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before the vector.
    #[must_use]
    pub fn takes_parameter(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::CountValues
                | Self::Quantile
                | Self::Limitk
                | Self::LimitRatio
        )
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub inner: Expr,
    /// The parameter of operators that take one.
    pub parameter: Option<Expr>,
    /// Whether `labels` are dropped (`without`) rather than kept (`by`).
    pub without: bool,
    /// The labels named.
    pub labels: Vec<String>,
    /// Whether the result is the same at every step.
    pub step_invariant: bool,
    /// Where it stands.
    pub position: Position,
}

/// A fixed time of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// `@ <seconds>`, in ms.
    Time(i64),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// A length of time that may depend on the query's step and range.
#[derive(Debug, Clone, PartialEq)]
pub enum Duration {
    /// Written out; the number's value is in seconds.
    Literal(Number),
    /// `step()`
    Step(Position),
    /// `range()`
    Range(Position),
    /// `-x`
    Negative(Box<Duration>, Position),
    /// Two durations and one of `+ - * / % ^`.
    Binary(BinaryOp, Box<Duration>, Box<Duration>),
    /// `min_of(x, y)`
    MinOf(Box<Duration>, Box<Duration>, Position),
    /// `max_of(x, y)`
    MaxOf(Box<Duration>, Box<Duration>, Position),
    /// `(x)`
    Paren(Box<Duration>, Position),
}

/// How samples outside of the range or missing at the time are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extension {
    /// Not at all.
    #[default]
    None,
    /// The last sample before the range counts as its first.
    Anchored,
    /// Values at the edges are interpolated.
    Smoothed,
}

/// The newest sample of each matching series.
#[derive(Debug, Clone)]
pub struct VectorSelector {
    /// The name written before the braces, if any; it is among the matchers too, as the last.
    pub name: Option<String>,
    /// All must hold; in the order of the text, which only `absent()` looks at.
    pub matchers: Vec<Matcher>,
    /// How far the time is moved into the past.
    pub offset: Option<Duration>,
    /// A fixed time instead of the step's.
    pub at: Option<At>,
    /// How gaps are made up for.
    pub extension: Extension,
    /// Where it stands.
    pub position: Position,
}

/// By meaning: matchers in any order.
impl PartialEq for VectorSelector {
    fn eq(&self, other: &Self) -> bool {
        fn sorted(selector: &VectorSelector) -> Vec<&Matcher> {
            let mut matchers: Vec<&Matcher> = selector.matchers.iter().collect();
            matchers.sort_by_key(|m| (&m.name, m.op.as_str(), &m.value));
            matchers
        }
        let modifiers = |s: &Self| (s.at, s.extension);
        self.name == other.name
            && sorted(self) == sorted(other)
            && self.offset == other.offset
            && modifiers(self) == modifiers(other)
            && self.position == other.position
    }
}

/// A time range of each matching series.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// Which series, and when. Its position ends before the bracket.
    pub selector: VectorSelector,
    /// How long.
    pub range: Duration,
    /// Where it stands.
    pub position: Position,
}

/// An expression evaluated over a time range.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub inner: Expr,
    /// How long.
    pub range: Duration,
    /// How often; the engine's default if absent.
    pub step: Option<Duration>,
    /// How far the time is moved into the past.
    pub offset: Option<Duration>,
    /// A fixed time instead of the step's.
    pub at: Option<At>,
    /// Where it stands.
    pub position: Position,
}

impl Expr {
    /// A leaf to leave behind where a child was taken out.
    pub(crate) fn nothing() -> Self {
        Self::Number(Number {
            value: 0.0,
            is_duration: false,
            position: Position::default(),
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Number(n) => n.position,
            Self::Text(t) => t.position,
            Self::Paren(p) => p.position,
            Self::Unary(u) => u.position,
            Self::Binary(b) => b.position,
            Self::Call(c) => c.position,
            Self::Aggregate(a) => a.position,
            Self::Vector(v) => v.position,
            Self::Matrix(m) => m.position,
            Self::Subquery(s) => s.position,
        }
    }

    /// Type of the result.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::Text(_) => ValueType::String,
            Self::Paren(p) => p.inner.value_type(),
            Self::Unary(u) => u.inner.value_type(),
            Self::Binary(b) => b.value_type,
            Self::Call(c) => c.function.returns,
            Self::Aggregate(_) | Self::Vector(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
        }
    }

    /// Whether the result is the same at every step of a query.
    #[must_use]
    pub fn step_invariant(&self) -> bool {
        match self {
            Self::Number(_) | Self::Text(_) => true,
            Self::Paren(p) => p.inner.step_invariant(),
            Self::Unary(u) => u.inner.step_invariant(),
            Self::Binary(b) => b.step_invariant,
            Self::Call(c) => c.step_invariant,
            Self::Aggregate(a) => a.step_invariant,
            Self::Vector(v) => v.at.is_some(),
            Self::Matrix(m) => m.selector.at.is_some(),
            Self::Subquery(s) => s.at.is_some(),
        }
    }

    /// Every selector in the expression, from left to right. Linear, without recursion.
    #[must_use]
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let (mut found, mut waiting) = (Vec::new(), vec![self]);
        while let Some(expression) = waiting.pop() {
            match expression {
                Self::Number(_) | Self::Text(_) => {}
                Self::Paren(paren) => waiting.push(&paren.inner),
                Self::Unary(unary) => waiting.push(&unary.inner),
                Self::Binary(binary) => waiting.extend([&binary.right, &binary.left]),
                Self::Call(call) => waiting.extend(call.args.iter().rev()),
                Self::Aggregate(aggregate) => {
                    waiting.push(&aggregate.inner);
                    waiting.extend(&aggregate.parameter);
                }
                Self::Vector(selector) => found.push(&**selector),
                Self::Matrix(matrix) => found.push(&matrix.selector),
                Self::Subquery(subquery) => waiting.push(&subquery.inner),
            }
        }
        found
    }

    /// Without the parentheses around it.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        let mut inner = self;
        while let Self::Paren(p) = inner {
            inner = &p.inner;
        }
        inner
    }

    /// The leftmost operand of a chain of binary operators, and the operators from the innermost
    /// to the outermost: what lets a chain of any length be walked in a loop.
    #[must_use]
    pub fn spine(&self) -> (&Self, Vec<&Binary>) {
        let mut chain = Vec::new();
        let mut leftmost = self;
        while let Self::Binary(binary) = leftmost {
            chain.push(&**binary);
            leftmost = &binary.left;
        }
        chain.reverse();
        (leftmost, chain)
    }
}
