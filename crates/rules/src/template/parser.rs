//! Tokens into nodes. Functions and variables that do not exist are mistakes already here, as in
//! Go: a rule file with one is refused when it is read, not when its alert fires.

use std::collections::BTreeMap;

use super::{
    DEPTH_MAX, Fault, functions,
    lexer::{Placed, Token, tokens},
    tree::{Base, Branch, Command, Node, Operand, Pipeline, Tree},
    value::Value,
};

/// Variables that each template of a rule begins with.
pub(super) const GIVEN: [&str; 4] = ["labels", "externalLabels", "externalURL", "value"];

/// What ended a list of nodes: the text, `end`, or `else`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Text,
    Block,
    /// `else`, its `}}` or what follows (`if`, `with`) not yet read.
    Else,
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    next: usize,
    depth: u32,
    /// Names in scope, the innermost last.
    variables: Vec<String>,
    /// Loops around.
    loops: u32,
    defined: BTreeMap<String, Vec<Node>>,
}

pub(super) fn parse(text: &str) -> Result<Tree, Fault> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        variables: GIVEN.map(str::to_owned).to_vec(),
        loops: 0,
        defined: BTreeMap::new(),
    };
    let (body, end) = parser.nodes()?;
    if end != Ended::Text {
        return Err(parser.fault("unexpected {{end}} or {{else}}"));
    }
    Ok(Tree {
        text: text.to_owned(),
        body,
        defined: parser.defined,
    })
}

impl Parser<'_> {
    /// A fault at the token before the next one.
    fn fault(&self, message: impl Into<String>) -> Fault {
        let token = self.tokens.get(self.next.saturating_sub(1));
        Fault::new(token.map_or(self.text.len(), |t| t.at), message)
    }

    fn peek(&self) -> Option<&Placed> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Placed> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|next| next.token == *token);
        self.next += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        self.accept(&Token::Word(word.to_owned()))
    }

    fn close(&mut self, context: &str) -> Result<(), Fault> {
        if self.accept(&Token::Close) {
            return Ok(());
        }
        self.next += 1;
        Err(self.fault(format!("unexpected token in {context}")))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Ended), Fault> {
        let mut nodes = Vec::new();
        while let Some(placed) = self.take() {
            match placed.token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Open => {
                    if self.accept_word("end") {
                        self.close("end")?;
                        return Ok((nodes, Ended::Block));
                    }
                    if self.accept_word("else") {
                        return Ok((nodes, Ended::Else));
                    }
                    nodes.extend(self.action(placed.at)?);
                }
                _ => return Err(self.fault("unexpected token")),
            }
        }
        Ok((nodes, Ended::Text))
    }

    fn action(&mut self, at: usize) -> Result<Option<Node>, Fault> {
        let word = match self.peek().map(|placed| &placed.token) {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        let known = matches!(
            word.as_str(),
            "if" | "with" | "range" | "define" | "block" | "template" | "break" | "continue"
        );
        self.next += usize::from(known);
        Ok(Some(match word.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => {
                self.loops += 1;
                let branch = self.branch("range");
                self.loops -= 1;
                Node::Range(branch?)
            }
            "define" => return self.define().map(|()| None),
            "block" => self.block(at)?,
            "template" => self.template(at)?,
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(self.fault(format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.close(&word)?;
                match word.as_str() {
                    "break" => Node::Break,
                    _ => Node::Continue,
                }
            }
            _ => {
                let pipeline = self.pipeline(1)?;
                self.close("command")?;
                Node::Output(pipeline)
            }
        }))
    }

    /// The rest of `if`, `with` and `range`. Variables it declares end with it.
    fn branch(&mut self, kind: &str) -> Result<Branch, Fault> {
        let scope = self.variables.len();
        let branch = self.deeper(|parser| parser.branch_within(kind));
        self.variables.truncate(scope);
        branch
    }

    fn branch_within(&mut self, kind: &str) -> Result<Branch, Fault> {
        let most = if kind == "range" { 2 } else { 1 };
        let pipeline = self.pipeline(most)?;
        self.close(kind)?;
        let scope = self.variables.len();
        let (then, end) = self.nodes()?;
        self.variables.truncate(scope);
        let otherwise = match end {
            Ended::Block => Vec::new(),
            Ended::Text => return Err(self.fault("unexpected EOF: an {{end}} is missing")),
            Ended::Else => self.otherwise(kind)?,
        };
        Ok(Branch {
            pipeline,
            then,
            otherwise,
        })
    }

    /// After `else`: another condition, or what is run when none held.
    fn otherwise(&mut self, kind: &str) -> Result<Vec<Node>, Fault> {
        if kind == "if" && self.accept_word("if") {
            return Ok(vec![Node::If(self.branch("if")?)]);
        }
        if kind == "with" && self.accept_word("with") {
            return Ok(vec![Node::With(self.branch("with")?)]);
        }
        self.close("else")?;
        match self.nodes()? {
            (nodes, Ended::Block) => Ok(nodes),
            (_, Ended::Text) => Err(self.fault("unexpected EOF: an {{end}} is missing")),
            (_, Ended::Else) => Err(self.fault("expected end; found {{else}}")),
        }
    }

    fn name(&mut self, context: &str) -> Result<String, Fault> {
        match self.take().map(|placed| placed.token) {
            Some(Token::Str(name)) => Ok(name),
            _ => Err(self.fault(format!("expected a name in quotes after {context}"))),
        }
    }

    fn define(&mut self) -> Result<(), Fault> {
        if self.depth > 0 {
            return Err(self.fault("unexpected {{define}}: it stands on the outermost level only"));
        }
        let name = self.name("define")?;
        self.close("define")?;
        let nodes = self.apart()?;
        self.defined.insert(name, nodes);
        Ok(())
    }

    /// The nodes of a template of its own, which sees no variables from outside.
    fn apart(&mut self) -> Result<Vec<Node>, Fault> {
        let (variables, loops) = (std::mem::take(&mut self.variables), self.loops);
        self.loops = 0;
        let nodes = self.deeper(Self::nodes);
        (self.variables, self.loops) = (variables, loops);
        match nodes? {
            (nodes, Ended::Block) => Ok(nodes),
            (_, Ended::Text) => Err(self.fault("unexpected EOF: an {{end}} is missing")),
            (_, Ended::Else) => Err(self.fault("unexpected {{else}}")),
        }
    }

    fn block(&mut self, at: usize) -> Result<Node, Fault> {
        let name = self.name("block")?;
        let dot = self.pipeline(1)?;
        self.close("block")?;
        let nodes = self.apart()?;
        self.defined.insert(name.clone(), nodes);
        let dot = Some(dot);
        Ok(Node::Template { at, name, dot })
    }

    fn template(&mut self, at: usize) -> Result<Node, Fault> {
        let name = self.name("template")?;
        let dot = if self.accept(&Token::Close) {
            None
        } else {
            let dot = self.pipeline(1)?;
            self.close("template")?;
            Some(dot)
        };
        Ok(Node::Template { at, name, dot })
    }

    /// A pipeline with at most so many variables before it.
    fn pipeline(&mut self, variables_max: usize) -> Result<Pipeline, Fault> {
        self.deeper(|parser| parser.pipeline_within(variables_max))
    }

    fn pipeline_within(&mut self, variables_max: usize) -> Result<Pipeline, Fault> {
        let at = self.peek().map_or(self.text.len(), |placed| placed.at);
        let (variables, assigns) = self.declarations(variables_max)?;
        let mut commands = vec![self.command()?];
        while self.accept(&Token::Pipe) {
            let command = self.command()?;
            let first = &command.operands[0];
            if matches!(first.base, Base::Literal(_)) {
                return Err(self.fault("non executable command in pipeline"));
            }
            commands.push(command);
        }
        if assigns {
            for name in &variables {
                self.known(name)?;
            }
        } else {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline {
            at,
            variables,
            assigns,
            commands,
        })
    }

    /// `$a :=`, `$a, $b :=`, `$a =`.
    fn declarations(&mut self, most: usize) -> Result<(Vec<String>, bool), Fault> {
        let begin = self.next;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek().map(|p| p.token.clone()) {
            self.next += 1;
            names.push(name);
            if self.accept(&Token::Comma) {
                continue;
            }
            let assigns = self.accept(&Token::Assign);
            if !assigns && !self.accept(&Token::Declare) {
                break;
            }
            if names.len() > most {
                return Err(self.fault("too many declarations"));
            }
            return Ok((names, assigns));
        }
        self.next = begin;
        Ok((Vec::new(), false))
    }

    fn known(&self, name: &str) -> Result<(), Fault> {
        if name.is_empty() || self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(self.fault(format!("undefined variable \"${name}\"")))
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let at = self.peek().map_or(self.text.len(), |placed| placed.at);
        let mut operands = Vec::new();
        while let Some(operand) = self.operand()? {
            operands.push(operand);
            let ends = matches!(
                self.peek().map(|placed| &placed.token),
                None | Some(Token::Close | Token::Pipe | Token::RightParen)
            );
            if !ends && !self.peek().is_some_and(|next| next.spaced) {
                self.next += 1;
                return Err(self.fault("unexpected token in operand"));
            }
        }
        if operands.is_empty() {
            self.next += 1;
            return Err(self.fault("missing value for command"));
        }
        Ok(Command { at, operands })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let Some(placed) = self.peek().cloned() else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        self.next += 1;
        let base = match placed.token {
            Token::Dot => Base::Dot,
            Token::Field(name) => {
                fields.push(name);
                Base::Dot
            }
            Token::Variable(name) => {
                self.known(&name)?;
                Base::Variable(name)
            }
            Token::Str(text) => Base::Literal(Value::Text(text)),
            Token::Char(c) => Base::Literal(Value::Int(i64::from(u32::from(c)))),
            Token::Number(text) => Base::Literal(self.number(&text)?),
            Token::Word(word) => self.word(word)?,
            Token::LeftParen => {
                let inner = self.pipeline(1)?;
                if !self.accept(&Token::RightParen) {
                    return Err(self.fault("unclosed left paren"));
                }
                Base::Pipeline(Box::new(inner))
            }
            Token::Close | Token::Pipe | Token::RightParen => {
                self.next -= 1;
                return Ok(None);
            }
            Token::Text(_) | Token::Open | Token::Declare | Token::Assign | Token::Comma => {
                return Err(self.fault("unexpected token in operand"));
            }
        };
        while let Some(next) = self.peek().filter(|next| !next.spaced) {
            let Token::Field(name) = &next.token else {
                break;
            };
            fields.push(name.clone());
            self.next += 1;
        }
        if matches!(base, Base::Literal(_)) && !fields.is_empty() {
            return Err(self.fault("unexpected . after a constant"));
        }
        Ok(Some(Operand {
            at: placed.at,
            base,
            fields,
        }))
    }

    fn word(&self, word: String) -> Result<Base, Fault> {
        Ok(match word.as_str() {
            "true" => Base::Literal(Value::Bool(true)),
            "false" => Base::Literal(Value::Bool(false)),
            "nil" => Base::Literal(Value::Nil),
            _ if functions::is_known(&word) => Base::Function(word),
            _ => return Err(self.fault(format!("function {word:?} not defined"))),
        })
    }

    fn number(&self, text: &str) -> Result<Value, Fault> {
        let plain = text.replace('_', "");
        let unsigned = plain.trim_start_matches(['+', '-']);
        let radix = [("0x", 16), ("0b", 2), ("0o", 8)]
            .into_iter()
            .find_map(|(prefix, radix)| Some((unsigned.strip_prefix(prefix)?, radix)));
        let whole = match radix {
            Some((digits, radix)) => i64::from_str_radix(digits, radix)
                .ok()
                .map(|n| if plain.starts_with('-') { -n } else { n }),
            None => plain.parse().ok(),
        };
        if let Some(whole) = whole {
            return Ok(Value::Int(whole));
        }
        let looks_right = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match plain.parse::<f64>() {
            Ok(value) if looks_right => Ok(Value::Float(value)),
            _ => Err(self.fault(format!("bad number syntax: {text:?}"))),
        }
    }
}
