//! Durations and arithmetic on them: in brackets whole expressions, after `offset` one operand.

use super::{Parser, SIGN_OPERAND};
use crate::ast::{BinaryOp, Duration, Number};
use crate::lexer::{Fault, Keyword, TokenKind};
use crate::position::Position;

const WANTED: &str = "number, duration, step(), or range()";

/// Longest duration, seconds: Prometheus keeps nanoseconds in 64 bits.
const SECONDS_MAX: f64 = 9_223_372_036.0;

impl Parser<'_> {
    /// A duration in brackets; if written out, it has to be at least a millisecond.
    pub(super) fn positive_duration(&mut self, context: &str) -> Result<Duration, Fault> {
        let duration = self.duration(0, context)?;
        match duration {
            Duration::Literal(n) if milliseconds(n.value) < 1.0 => {
                Err(("duration must be greater than 0".to_owned(), n.position))
            }
            duration => whole_literal(duration),
        }
    }

    /// What may follow `offset`: a literal with or without sign, a call, or something in
    /// parentheses. Operators after it belong to the expression around.
    pub(super) fn offset_duration(&mut self) -> Result<Duration, Fault> {
        self.deeper(|parser| {
            let Some(negative) = parser.sign() else {
                return whole_literal(parser.duration_operand("offset")?);
            };
            let start = parser.advance()?.position;
            let inner = parser.duration_operand("offset")?;
            whole_literal(signed(negative, inner, start))
        })
    }

    /// Whether the sign at hand is `-`; `None` if there is no sign.
    fn sign(&self) -> Option<bool> {
        match self.token.kind {
            TokenKind::Operator(BinaryOp::Sub) => Some(true),
            TokenKind::Operator(BinaryOp::Add) => Some(false),
            _ => None,
        }
    }

    fn duration(&mut self, lowest: u8, context: &str) -> Result<Duration, Fault> {
        self.deeper(|parser| {
            let mut left = match parser.sign() {
                None => parser.duration_operand(context)?,
                Some(negative) => {
                    let start = parser.advance()?.position;
                    let inner = parser.duration(SIGN_OPERAND, context)?;
                    signed(negative, inner, start)
                }
            };
            while let Some(op) = parser
                .duration_operator()
                .filter(|o| o.precedence() >= lowest)
            {
                parser.advance()?;
                let above = op.precedence() + u8::from(op != BinaryOp::Pow);
                // A chain is as deep as it is long here: count it.
                parser.depth += 1;
                let right = parser.duration(above, context)?;
                left = Duration::Binary(op, Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn duration_operator(&self) -> Option<BinaryOp> {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        match self.token.kind {
            TokenKind::Operator(op @ (Add | Sub | Mul | Div | Mod | Pow)) => Some(op),
            _ => None,
        }
    }

    fn duration_operand(&mut self, context: &str) -> Result<Duration, Fault> {
        let start = self.token.position;
        match self.token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let n = self.number()?;
                if n.value.abs() > SECONDS_MAX {
                    return Err(("duration out of range".to_owned(), n.position));
                }
                Ok(Duration::Literal(n))
            }
            TokenKind::LeftParen => {
                self.advance()?;
                let inner = self.duration(0, context)?;
                let close = self.expect(TokenKind::RightParen, context, "\")\"")?;
                Ok(Duration::Paren(Box::new(inner), start.to(close.position)))
            }
            TokenKind::Word => self.duration_call(context),
            _ => self.unexpected(context, WANTED),
        }
    }

    fn duration_call(&mut self, context: &str) -> Result<Duration, Fault> {
        let start = self.token.position;
        let which = self.keyword();
        let name = self.word().to_ascii_lowercase();
        let is_step = which == Some(Keyword::Step);
        if is_step || which == Some(Keyword::Range) {
            self.advance()?;
            self.expect(TokenKind::LeftParen, context, "\"(\"")?;
            let close = self.expect(TokenKind::RightParen, context, "\")\"")?;
            let position = start.to(close.position);
            return Ok(if is_step {
                Duration::Step(position)
            } else {
                Duration::Range(position)
            });
        }
        if name != "min_of" && name != "max_of" {
            return self.unexpected(context, WANTED);
        }
        self.advance()?;
        self.expect(TokenKind::LeftParen, context, "\"(\"")?;
        let a = Box::new(self.duration(0, context)?);
        self.expect(TokenKind::Comma, context, "\",\"")?;
        let b = Box::new(self.duration(0, context)?);
        let close = self.expect(TokenKind::RightParen, context, "\")\"")?;
        let position = start.to(close.position);
        Ok(if name == "min_of" {
            Duration::MinOf(a, b, position)
        } else {
            Duration::MaxOf(a, b, position)
        })
    }
}

fn signed(negative: bool, inner: Duration, start: Position) -> Duration {
    match inner {
        Duration::Literal(n) => {
            let value = if negative { -n.value } else { n.value };
            Duration::Literal(Number {
                value,
                position: start.to(n.position),
                ..n
            })
        }
        inner if negative => Duration::Negative(Box::new(inner), start),
        inner => inner,
    }
}

/// Whole milliseconds of so many seconds, by way of whole nanoseconds, as Prometheus counts.
fn milliseconds(seconds: f64) -> f64 {
    ((seconds * 1e9).round() / 1e6).trunc()
}

/// A duration that is one literal is kept as whole milliseconds, however it was written.
fn whole_literal(duration: Duration) -> Result<Duration, Fault> {
    Ok(match duration {
        Duration::Literal(n) => {
            let value = milliseconds(n.value) / 1000.0;
            Duration::Literal(Number {
                value,
                is_duration: true,
                ..n
            })
        }
        other => other,
    })
}
