//! Selectors of series, and what may follow an expression: ranges, subqueries, `offset`, `@`,
//! `anchored`, `smoothed`.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::Parser;
use crate::ast::{
    At, BinaryOp, Duration, Expr, Extension, MatrixSelector, Subquery, VectorSelector,
};
use crate::lexer::{Fault, Keyword, Token, TokenKind};
use crate::position::Position;

impl Parser<'_> {
    /// A selector whose name, if it has one, was taken already.
    pub(super) fn selector(&mut self, name: Option<Token>) -> Result<Expr, Fault> {
        let start = name.map_or(self.token.position.start, |t| t.position.start);
        let mut matchers = if self.at(TokenKind::LeftBrace) {
            self.matchers()?
        } else {
            vec![]
        };
        let name = name.map(|token| self.slice(token.position).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        Ok(Expr::Vector(Box::new(VectorSelector {
            name,
            matchers,
            offset: None,
            at: None,
            extension: Extension::None,
            position: Position::new(start, self.last_end),
        })))
    }

    /// `{a="b", …}`
    fn matchers(&mut self) -> Result<Vec<Matcher>, Fault> {
        const CONTEXT: &str = "label matching";
        self.advance()?;
        let mut matchers = Vec::new();
        while !self.accept(TokenKind::RightBrace)? {
            matchers.push(self.matcher()?);
            if !self.accept(TokenKind::Comma)? && !self.at(TokenKind::RightBrace) {
                return self.unexpected(CONTEXT, "\",\" or \"}\"");
            }
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, Fault> {
        const CONTEXT: &str = "label matching";
        let label = match self.token.kind {
            TokenKind::Word | TokenKind::Text => self.advance()?,
            _ => return self.unexpected(CONTEXT, "identifier or \"}\""),
        };
        let quoted = label.kind == TokenKind::Text;
        let name = if quoted {
            self.unquoted(label)?.value
        } else {
            self.slice(label.position).to_owned()
        };
        let op = match self.token.kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::Matches => MatchOp::Regex,
            TokenKind::MatchesNot => MatchOp::NotRegex,
            // A quoted text alone is the metric's name.
            TokenKind::Comma | TokenKind::RightBrace if quoted => {
                return Ok(Matcher::equal(METRIC_NAME, name));
            }
            _ => return self.unexpected(CONTEXT, "label matching operator"),
        };
        self.advance()?;
        let value_token = self.expect(TokenKind::Text, CONTEXT, "string")?;
        let value = self.unquoted(value_token)?.value;
        Matcher::new(name, op, value)
            .map_err(|e| (regex_fault(&e), label.position.to(value_token.position)))
    }

    /// Ranges and modifiers after an expression.
    pub(super) fn suffixes(&mut self, mut expr: Expr) -> Result<Expr, Fault> {
        loop {
            expr = match (self.token.kind, self.keyword()) {
                (TokenKind::LeftBracket, _) => self.bracketed(expr)?,
                (TokenKind::At, _) => self.at_modifier(expr)?,
                (_, Some(Keyword::Offset)) => self.offset_modifier(expr)?,
                (_, Some(Keyword::Anchored)) => self.extended(expr, Extension::Anchored)?,
                (_, Some(Keyword::Smoothed)) => self.extended(expr, Extension::Smoothed)?,
                _ => return Ok(expr),
            };
        }
    }

    /// `[range]` or `[range:step]`.
    fn bracketed(&mut self, expr: Expr) -> Result<Expr, Fault> {
        let open = self.advance()?.position;
        let range = self.positive_duration("subquery or range selector")?;
        if self.accept(TokenKind::Colon)? {
            return self.subquery(expr, range);
        }
        let close = self.expect(
            TokenKind::RightBracket,
            "subquery or range",
            "\":\" or \"]\"",
        )?;
        let position = Position::new(expr.position().start, close.position.end);
        let refusal = match &expr {
            Expr::Vector(v) if v.offset.is_some() => "no offset modifiers allowed before range",
            Expr::Vector(v) if v.at.is_some() => "no @ modifiers allowed before range",
            Expr::Vector(_) => "",
            _ => "ranges only allowed for vector selectors",
        };
        match expr {
            Expr::Vector(selector) if refusal.is_empty() => {
                Ok(Expr::Matrix(Box::new(MatrixSelector {
                    selector: *selector,
                    range,
                    position,
                })))
            }
            _ => Err((refusal.to_owned(), open.to(close.position))),
        }
    }

    fn subquery(&mut self, inner: Expr, range: Duration) -> Result<Expr, Fault> {
        const CONTEXT: &str = "subquery selector";
        let step = if self.at(TokenKind::RightBracket) {
            None
        } else {
            Some(self.positive_duration(CONTEXT)?)
        };
        let close = self.expect(TokenKind::RightBracket, CONTEXT, "\"]\"")?;
        let position = Position::new(inner.position().start, close.position.end);
        Ok(Expr::Subquery(Box::new(Subquery {
            inner,
            range,
            step,
            offset: None,
            at: None,
            position,
        })))
    }

    fn offset_modifier(&mut self, mut expr: Expr) -> Result<Expr, Fault> {
        self.advance()?;
        let offset = self.offset_duration()?;
        let end = self.last_end;
        let position = expr.position();
        let Some((slot, _)) = time_slots(&mut expr) else {
            return misplaced("offset", position);
        };
        if slot.replace(offset).is_some() {
            return Err(("offset may not be set multiple times".to_owned(), position));
        }
        stretch(&mut expr, end);
        Ok(expr)
    }

    fn at_modifier(&mut self, mut expr: Expr) -> Result<Expr, Fault> {
        self.advance()?;
        let at = self.at_time(expr.position())?;
        let end = self.last_end;
        let position = expr.position();
        let Some((_, slot)) = time_slots(&mut expr) else {
            return misplaced("@", position);
        };
        if slot.replace(at).is_some() {
            return Err((
                "@ <timestamp> may not be set multiple times".to_owned(),
                position,
            ));
        }
        stretch(&mut expr, end);
        Ok(expr)
    }

    fn at_time(&mut self, position: Position) -> Result<At, Fault> {
        let fixed = match self.keyword() {
            Some(Keyword::Start) => At::Start,
            Some(Keyword::End) => At::End,
            _ => {
                let seconds = self.signed_number("@", "timestamp")?.value;
                let ms = (seconds * 1000.0).round();
                // Beyond ±292 million years: no time, and no number of ms.
                if ms.is_nan() || ms.abs() >= i64::MAX as f64 {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds:.6}");
                    return Err((message, position));
                }
                return Ok(At::Time(ms as i64));
            }
        };
        self.advance()?;
        self.expect(TokenKind::LeftParen, "@", "timestamp")?;
        self.expect(TokenKind::RightParen, "@", "timestamp")?;
        Ok(fixed)
    }

    fn extended(&mut self, mut expr: Expr, extension: Extension) -> Result<Expr, Fault> {
        let word = self.word().to_ascii_lowercase();
        self.advance()?;
        let position = expr.position();
        let selector = match &mut expr {
            Expr::Vector(v) => &mut **v,
            Expr::Matrix(m) => &mut m.selector,
            Expr::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return Err((message, position));
            }
            _ => return Err((format!("{word} modifier not implemented"), position)),
        };
        if selector.extension != Extension::None && selector.extension != extension {
            let message = "anchored and smoothed modifiers cannot be used together";
            return Err((message.to_owned(), position));
        }
        selector.extension = extension;
        Ok(expr)
    }
}

/// Where `offset` and `@` of an expression are kept, if it may have them.
fn time_slots(expr: &mut Expr) -> Option<(&mut Option<Duration>, &mut Option<At>)> {
    match expr {
        Expr::Vector(v) => Some((&mut v.offset, &mut v.at)),
        Expr::Matrix(m) => Some((&mut m.selector.offset, &mut m.selector.at)),
        Expr::Subquery(s) => Some((&mut s.offset, &mut s.at)),
        _ => None,
    }
}

fn misplaced<T>(modifier: &str, position: Position) -> Result<T, Fault> {
    let message = format!(
        "{modifier} modifier must be preceded by an instant vector selector or range vector \
         selector or a subquery"
    );
    Err((message, position))
}

/// Makes a selector or subquery reach to `end`.
fn stretch(expr: &mut Expr, end: usize) {
    match expr {
        Expr::Vector(v) => v.position.end = end,
        Expr::Matrix(m) => m.position.end = end,
        Expr::Subquery(s) => s.position.end = end,
        _ => {}
    }
}

/// The last line of a regular expression's error says what is wrong; the others draw it.
pub(crate) fn regex_fault(error: &regex::Error) -> String {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    format!(
        "error parsing regexp: {}",
        why.trim_start_matches("error: ")
    )
}
