//! Runs a template: nodes and a context into text, within [`STEPS_MAX`] steps and
//! [`OUTPUT_BYTES_MAX`] bytes.

use std::{collections::BTreeMap, sync::Arc};

use model::Labels;

use super::{
    Context, DEPTH_MAX, Fault, OUTPUT_BYTES_MAX, STEPS_MAX,
    functions::{self, Arguments},
    time,
    tree::{Base, Branch, Command, Node, Operand, Pipeline, Tree},
    value::{AlertData, Value},
};

/// How a list of nodes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// A template at work.
pub(super) struct Run<'a> {
    tree: &'a Tree,
    pub(super) context: &'a Context<'a>,
    /// Names and values in scope, the innermost last.
    variables: Vec<(String, Value)>,
    out: String,
    steps: u32,
    depth: u32,
}

pub(super) fn expand(tree: &Tree, context: &Context<'_>) -> Result<String, Fault> {
    let data = Value::Alert(Arc::new(AlertData {
        labels: map(context.labels),
        external_labels: map(context.external_labels),
        external_url: context.external_url.to_owned(),
        value: context.value,
    }));
    let given = |name: &str, field: &str| {
        let value = data.field(field).expect("the data has its fields");
        (name.to_owned(), value)
    };
    let variables = vec![
        (String::new(), data.clone()),
        given("labels", "Labels"),
        given("externalLabels", "ExternalLabels"),
        given("externalURL", "ExternalURL"),
        given("value", "Value"),
    ];
    let mut run = Run {
        tree,
        context,
        variables,
        out: String::new(),
        steps: 0,
        depth: 0,
    };
    run.nodes(&tree.body, &data)?;
    Ok(run.out)
}

/// Labels as templates see them.
pub(super) fn map(labels: &Labels) -> Arc<BTreeMap<String, String>> {
    let pairs = labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
    Arc::new(pairs.collect())
}

impl Run<'_> {
    /// Counts one step.
    fn step(&mut self, at: usize) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            let message = format!("the template takes more than {STEPS_MAX} steps");
            return Err(Fault::new(at, message));
        }
        Ok(())
    }

    fn write(&mut self, at: usize, text: &str) -> Result<(), Fault> {
        if self.out.len() + text.len() > OUTPUT_BYTES_MAX {
            let message = format!("the template expands to more than {OUTPUT_BYTES_MAX} bytes");
            return Err(Fault::new(at, message));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// Runs nodes in a scope of their own.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Fault> {
        let scope = self.variables.len();
        let mut flow = Ok(Flow::On);
        for node in nodes {
            flow = self.node(node, dot);
            if flow != Ok(Flow::On) {
                break;
            }
        }
        self.variables.truncate(scope);
        flow
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.write(0, text)?,
            Node::Output(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(pipeline.at, &value.printed())?;
                }
            }
            Node::If(branch) => return self.either(branch, dot, false),
            Node::With(branch) => return self.either(branch, dot, true),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Template { at, name, dot: of } => {
                let value = match of {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                self.call(*at, name, &value)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// `if` and `with`: the latter makes the value the dot.
    fn either(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, Fault> {
        let scope = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        let flow = if value.is_true() {
            self.nodes(&branch.then, if with { &value } else { dot })
        } else {
            self.nodes(&branch.otherwise, dot)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, Fault> {
        let pipeline = &branch.pipeline;
        let over = self.commands(pipeline, dot)?;
        let items: Vec<(Value, Value)> = match over {
            Value::Nil => Vec::new(),
            Value::Samples(samples) => (0..)
                .zip(samples.iter())
                .map(|(i, s)| (Value::Int(i), Value::Sample(Arc::clone(s))))
                .collect(),
            Value::Labels(labels) => labels
                .iter()
                .map(|(k, v)| (Value::Text(k.clone()), Value::Text(v.clone())))
                .collect(),
            Value::Map(map) => map
                .iter()
                .map(|(k, v)| (Value::Text(k.clone()), v.clone()))
                .collect(),
            Value::Int(count) => (0..count.min(i64::from(STEPS_MAX) + 1))
                .map(|i| (Value::Int(i), Value::Int(i)))
                .collect(),
            other => {
                let message = format!("range can't iterate over {}", other.printed());
                return Err(Fault::new(pipeline.at, message));
            }
        };
        if items.is_empty() {
            return self.nodes(&branch.otherwise, dot);
        }
        let scope = self.variables.len();
        for (key, item) in items {
            self.step(pipeline.at)?;
            self.iteration(pipeline, key, &item);
            let flow = self.nodes(&branch.then, &item)?;
            if !pipeline.assigns {
                self.variables.truncate(scope);
            }
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// Sets the variables of a `range` for one item.
    fn iteration(&mut self, pipeline: &Pipeline, key: Value, item: &Value) {
        match pipeline.variables.as_slice() {
            [] => {}
            [one] => self.set(one, item.clone(), pipeline.assigns),
            [first, second, ..] => {
                self.set(first, key, pipeline.assigns);
                self.set(second, item.clone(), pipeline.assigns);
            }
        }
    }

    fn set(&mut self, name: &str, value: Value, assigns: bool) {
        let found = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        match found {
            Some((_, old)) if assigns => *old = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// Runs a template that was defined; it sees no variables but `$`.
    fn call(&mut self, at: usize, name: &str, dot: &Value) -> Result<(), Fault> {
        self.step(at)?;
        let tree = self.tree;
        let Some(nodes) = tree.defined.get(name) else {
            return Err(Fault::new(at, format!("template {name:?} not defined")));
        };
        if self.depth == DEPTH_MAX {
            let message = format!("templates call each other deeper than {DEPTH_MAX} levels");
            return Err(Fault::new(at, message));
        }
        self.depth += 1;
        let outside = std::mem::take(&mut self.variables);
        self.variables.push((String::new(), dot.clone()));
        let ran = self.nodes(nodes, dot);
        self.variables = outside;
        self.depth -= 1;
        ran.map(|_flow| ())
    }

    /// What a defined template gives, for the function `tmpl`.
    pub(super) fn called(&mut self, at: usize, name: &str, dot: &Value) -> Result<String, Fault> {
        let before = std::mem::take(&mut self.out);
        let ran = self.call(at, name, dot);
        let inner = std::mem::replace(&mut self.out, before);
        ran.map(|()| inner)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Fault> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Fault> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, dot, piped)?);
        }
        Ok(piped.expect("a pipeline has a command"))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        self.step(command.at)?;
        let (first, rest) = command
            .operands
            .split_first()
            .expect("a command has an operand");
        if let Base::Function(name) = &first.base {
            let value = self.function(first, name, rest, dot, piped)?;
            return fields(value, first);
        }
        if rest.is_empty() && piped.is_none() {
            return self.operand(first, dot);
        }
        self.method(first, rest, dot, piped)
    }

    /// The one method with an argument that values have: a time's `Format`.
    fn method(
        &mut self,
        first: &Operand,
        rest: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut on = first.clone();
        let arguments = self.arguments(rest, dot, piped)?;
        if on.fields.pop().as_deref() == Some("Format")
            && let Value::Time(seconds) = self.operand(&on, dot)?
            && let [Value::Text(layout)] = arguments.as_slice()
        {
            return Ok(Value::Text(time::format(seconds, layout)));
        }
        Err(Fault::new(first.at, "can't give argument to non-function"))
    }

    fn arguments(
        &mut self,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            values.push(self.operand(operand, dot)?);
        }
        values.extend(piped);
        Ok(values)
    }

    fn function(
        &mut self,
        at: &Operand,
        name: &str,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        if name == "and" || name == "or" {
            return self.short_circuit(at, name == "or", operands, dot, piped);
        }
        let values = self.arguments(operands, dot, piped)?;
        if name == "tmpl" {
            return match values.as_slice() {
                [Value::Text(name), dot] => self.called(at.at, name, dot).map(Value::Text),
                _ => Err(Fault::new(at.at, "tmpl wants a name and a value")),
            };
        }
        let arguments = Arguments { name, values };
        functions::call(arguments, self.context)
            .map_err(|what| Fault::new(at.at, format!("error calling {name}: {what}")))
    }

    /// `and` and `or`: the first argument that decides, those after it not evaluated.
    fn short_circuit(
        &mut self,
        at: &Operand,
        decides: bool,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut last = None;
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if value.is_true() == decides {
                return Ok(value);
            }
            last = Some(value);
        }
        piped
            .or(last)
            .ok_or_else(|| Fault::new(at.at, "wrong number of args: want at least 1 got 0"))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Fault> {
        self.step(operand.at)?;
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Literal(value) => value.clone(),
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                let undefined = || Fault::new(operand.at, format!("undefined variable: ${name}"));
                found.ok_or_else(undefined)?.1.clone()
            }
            Base::Function(name) => self.function(operand, name, &[], dot, None)?,
            Base::Pipeline(inner) => self.pipeline(inner, dot)?,
        };
        fields(base, operand)
    }
}

fn fields(base: Value, operand: &Operand) -> Result<Value, Fault> {
    let fields = operand.fields.iter();
    let value = fields
        .into_iter()
        .try_fold(base, |value, name| value.field(name));
    value.map_err(|message| Fault::new(operand.at, message))
}
