//! Operators between expressions, and how they pair series.

use super::Parser;
use crate::ast::{Binary, BinaryOp, Cardinality, Expr, Matching, ValueType};
use crate::lexer::{Fault, Keyword, TokenKind};

impl Parser<'_> {
    /// Goes on with what follows `left`, as long as it binds at least as tightly as `lowest`.
    pub(super) fn binary_chain(&mut self, mut left: Expr, lowest: u8) -> Result<Expr, Fault> {
        while let Some(op) = self.operator().filter(|op| op.precedence() >= lowest) {
            self.count_operator()?;
            self.advance()?;
            let returns_bool = self.accept_keyword(Keyword::Bool)?;
            let matching = self.matching(op)?;
            let above = op.precedence() + u8::from(op != BinaryOp::Pow);
            let right = self.expr(above)?;
            left = binary(op, left, right, returns_bool, matching);
        }
        Ok(left)
    }

    fn operator(&self) -> Option<BinaryOp> {
        match (self.token.kind, self.keyword()) {
            (TokenKind::Operator(op), _) | (_, Some(Keyword::Operator(op))) => Some(op),
            _ => None,
        }
    }

    fn count_operator(&mut self) -> Result<(), Fault> {
        self.operators += 1;
        if self.operators <= self.limits.operators {
            return Ok(());
        }
        let message = format!("query has more than {} operators", self.limits.operators);
        Err((message, self.token.position))
    }

    fn matching(&mut self, op: BinaryOp) -> Result<Matching, Fault> {
        let mut matching = Matching::default();
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let on = self.accept_keyword(Keyword::On)?;
        if on || self.accept_keyword(Keyword::Ignoring)? {
            matching.on = on;
            matching.labels = self.label_list()?;
            self.grouping(&mut matching)?;
        }
        self.fills(&mut matching)?;
        Ok(matching)
    }

    fn grouping(&mut self, matching: &mut Matching) -> Result<(), Fault> {
        let left = self.accept_keyword(Keyword::GroupLeft)?;
        if left || self.accept_keyword(Keyword::GroupRight)? {
            matching.cardinality = if left {
                Cardinality::ManyToOne
            } else {
                Cardinality::OneToMany
            };
            if self.at(TokenKind::LeftParen) {
                matching.include = self.label_list()?;
            }
        }
        Ok(())
    }

    fn fills(&mut self, matching: &mut Matching) -> Result<(), Fault> {
        loop {
            let (left, right) = match self.keyword() {
                Some(Keyword::Fill) => (true, true),
                Some(Keyword::FillLeft) => (true, false),
                Some(Keyword::FillRight) => (false, true),
                _ => return Ok(()),
            };
            // A metric may be called `fill`.
            if self.second()? != TokenKind::LeftParen {
                return Ok(());
            }
            self.advance()?;
            self.advance()?;
            let value = self.signed_number("fill modifier", "number")?;
            self.expect(TokenKind::RightParen, "fill modifier", "\")\"")?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
    }

    /// `(a, b, …)`: names of labels, quoted or not.
    pub(super) fn label_list(&mut self) -> Result<Vec<String>, Fault> {
        self.expect(TokenKind::LeftParen, "grouping opts", "\"(\"")?;
        let mut labels = Vec::new();
        while !self.accept(TokenKind::RightParen)? {
            labels.push(match self.token.kind {
                TokenKind::Text => {
                    let token = self.advance()?;
                    self.unquoted(token)?.value
                }
                TokenKind::Word => {
                    let token = self.advance()?;
                    self.slice(token.position).to_owned()
                }
                _ => return self.unexpected("grouping opts", "label"),
            });
            if !self.accept(TokenKind::Comma)? && !self.at(TokenKind::RightParen) {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(labels)
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr, returns_bool: bool, matching: Matching) -> Expr {
    let scalar = |e: &Expr| e.value_type() == ValueType::Scalar;
    let value_type = if scalar(&left) && scalar(&right) {
        ValueType::Scalar
    } else {
        ValueType::Vector
    };
    let step_invariant = left.step_invariant() && right.step_invariant();
    let position = left.position().to(right.position());
    Expr::Binary(Box::new(Binary {
        op,
        left,
        right,
        returns_bool,
        matching,
        value_type,
        step_invariant,
        position,
    }))
}
