//! The nodes of a template.

use std::collections::BTreeMap;

use super::value::Value;

/// A whole template with those it defines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) text: String,
    pub(super) body: Vec<Node>,
    /// By `define` and `block`.
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Output(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        at: usize,
        name: String,
        dot: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// A pipeline, and what is run for what it gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each given the result of the one before as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    /// Variables set to the result; two only for `range`.
    pub(super) variables: Vec<String>,
    /// Whether they were there before (`=`), or begin here (`:=`).
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value, and arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) operands: Vec<Operand>,
}

/// A value, and the fields taken from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

/// What a value begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Pipeline(Box<Pipeline>),
}
