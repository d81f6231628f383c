//! A Pratt parser (V. Pratt, "Top down operator precedence", 1973): one pass, one token of
//! lookahead, linear in the length of the text.
//!
//! Operators at the same level are taken in a loop, so a chain costs no stack; whatever does
//! recurse is counted against the limit of depth. Syntax comes first, types after it, as in
//! Prometheus: see `check`.

mod aggregate;
mod binary;
mod check;
mod duration;
mod selector;

use crate::ast::{Call, Expr, Number, Paren, Text, Unary};
use crate::error::ParseError;
use crate::functions::function;
use crate::lexer::{Fault, Keyword, Lexer, Token, TokenKind, keyword};
use crate::limits::Limits;
use crate::literal;
use crate::position::Position;
use model::Matcher;

/// Parses a query within the default limits.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    parse_within(query, &Limits::default())
}

/// Parses a selector of series, such as the HTTP API's `match[]`.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let limits = Limits::default();
    let parsed = within_length(text, &limits).and_then(|()| {
        let mut parser = Parser::new(text, &limits)?;
        let expr = parser.whole()?;
        check::types(&expr, text)?;
        match expr {
            Expr::Vector(v) if v.offset.is_none() && v.at.is_none() => Ok(v.matchers),
            other => Err(("expected a series selector".to_owned(), other.position())),
        }
    });
    parsed.map_err(|fault| parse_error(text, fault))
}

/// Parses a bare selector as `match[]` of the HTTP API takes it: no modifier, no parentheses; it
/// may select everything.
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let limits = Limits::default();
    let parsed =
        within_length(text, &limits).and_then(|()| Parser::new(text, &limits)?.metric_selector());
    parsed.map_err(|fault| parse_error(text, fault))
}

pub(crate) fn parse_within(query: &str, limits: &Limits) -> Result<Expr, ParseError> {
    let parsed = within_length(query, limits).and_then(|()| {
        let expr = Parser::new(query, limits)?.whole()?;
        check::types(&expr, query)?;
        Ok(expr)
    });
    parsed.map_err(|fault| parse_error(query, fault))
}

fn within_length(query: &str, limits: &Limits) -> Result<(), Fault> {
    if query.len() <= limits.query_bytes {
        return Ok(());
    }
    let message = format!(
        "query is {} bytes long, at most {} allowed",
        query.len(),
        limits.query_bytes
    );
    Err((message, Position::new(0, 0)))
}

fn parse_error(text: &str, (message, position): Fault) -> ParseError {
    ParseError {
        message,
        position,
        at: position.line_column(text),
    }
}

/// The state of parsing: the lexer, and the token at hand.
struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    /// End of the last token taken.
    last_end: usize,
    depth: usize,
    operators: usize,
    limits: &'a Limits,
}

/// Binds tighter than every operator but `^`: what a sign applies to.
const SIGN_OPERAND: u8 = 6;

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: &'a Limits) -> Result<Self, Fault> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next()?;
        Ok(Self {
            text,
            lexer,
            token,
            last_end: 0,
            depth: 0,
            operators: 0,
            limits,
        })
    }

    /// The whole text as one expression.
    fn whole(&mut self) -> Result<Expr, Fault> {
        if self.token.kind == TokenKind::End {
            return Err((
                "no expression found in input".to_owned(),
                Position::new(0, 0),
            ));
        }
        let expr = self.expr(0)?;
        match self.token.kind {
            TokenKind::End => Ok(expr),
            _ => self.unexpected("", ""),
        }
    }

    /// The whole text as a bare selector.
    fn metric_selector(&mut self) -> Result<Vec<Matcher>, Fault> {
        let name = match self.token.kind {
            TokenKind::LeftBrace => None,
            TokenKind::MetricName => Some(self.advance()?),
            TokenKind::Word if self.keyword().is_none_or(Keyword::may_name) => {
                Some(self.advance()?)
            }
            _ => return self.unexpected("", ""),
        };
        match self.selector(name)? {
            Expr::Vector(v) if self.at(TokenKind::End) => Ok(v.matchers),
            _ => self.unexpected("", ""),
        }
    }

    fn slice(&self, position: Position) -> &'a str {
        &self.text[position.start..position.end]
    }

    fn word(&self) -> &'a str {
        self.slice(self.token.position)
    }

    /// Takes the token at hand.
    fn advance(&mut self) -> Result<Token, Fault> {
        let taken = self.token;
        self.last_end = taken.position.end;
        self.token = self.lexer.next()?;
        Ok(taken)
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.token.kind == kind
    }

    /// Takes the token if it is of this kind.
    fn accept(&mut self, kind: TokenKind) -> Result<bool, Fault> {
        let found = self.at(kind);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: TokenKind, context: &str, wanted: &str) -> Result<Token, Fault> {
        if self.at(kind) {
            self.advance()
        } else {
            self.unexpected(context, wanted)
        }
    }

    /// The keyword at hand, if the token is one.
    fn keyword(&self) -> Option<Keyword> {
        if self.at(TokenKind::Word) {
            keyword(self.word())
        } else {
            None
        }
    }

    fn accept_keyword(&mut self, wanted: Keyword) -> Result<bool, Fault> {
        let found = self.keyword() == Some(wanted);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// The token after the one at hand.
    fn second(&self) -> Result<TokenKind, Fault> {
        Ok(self.lexer.clone().next()?.kind)
    }

    /// Complains about the token at hand.
    fn unexpected<T>(&self, context: &str, wanted: &str) -> Result<T, Fault> {
        let mut message = format!("unexpected {}", self.describe());
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !wanted.is_empty() {
            message.push_str(&format!(", expected {wanted}"));
        }
        Err((message, self.token.position))
    }

    fn describe(&self) -> String {
        let word = self.word();
        match self.token.kind {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Number => format!("number {word:?}"),
            TokenKind::Duration => format!("duration {word:?}"),
            TokenKind::Text => format!("string {word:?}"),
            TokenKind::MetricName => format!("metric identifier {word:?}"),
            TokenKind::Operator(_) | TokenKind::At | TokenKind::Matches | TokenKind::MatchesNot => {
                format!("<op:{word}>")
            }
            TokenKind::Word => match keyword(word) {
                Some(Keyword::Operator(_)) => format!("<op:{word}>"),
                Some(Keyword::Aggregate(_)) => format!("<aggr:{word}>"),
                Some(Keyword::Infinity | Keyword::NotANumber) => format!("number {word:?}"),
                Some(_) => format!("<{word}>"),
                None => format!("identifier {word:?}"),
            },
            _ => format!("{word:?}"),
        }
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= self.limits.depth {
            let message = format!("query is nested deeper than {} levels", self.limits.depth);
            return Err((message, self.token.position));
        }
        let before = self.depth;
        self.depth += 1;
        let parsed = parse(self);
        self.depth = before;
        parsed
    }

    /// An expression whose operators all bind at least as tightly as `lowest`.
    fn expr(&mut self, lowest: u8) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let left = parser.signed()?;
            parser.binary_chain(left, lowest)
        })
    }

    /// A sign and its operand, or something without a sign.
    fn signed(&mut self) -> Result<Expr, Fault> {
        use crate::ast::BinaryOp::{Add, Sub};
        let TokenKind::Operator(sign @ (Add | Sub)) = self.token.kind else {
            let primary = self.primary()?;
            return self.suffixes(primary);
        };
        let sign_position = self.advance()?.position;
        let inner = self.expr(SIGN_OPERAND)?;
        let negative = sign == Sub;
        let position = sign_position.to(inner.position());
        Ok(match inner {
            Expr::Number(n) => {
                let value = if negative { -n.value } else { n.value };
                Expr::Number(Number {
                    value,
                    position,
                    ..n
                })
            }
            inner => Expr::Unary(Box::new(Unary {
                negative,
                inner,
                position,
            })),
        })
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        match self.token.kind {
            TokenKind::Number | TokenKind::Duration => Ok(Expr::Number(self.number()?)),
            TokenKind::Text => self.text_literal(),
            TokenKind::LeftParen => self.paren(),
            TokenKind::LeftBrace => self.selector(None),
            TokenKind::MetricName => {
                let name = self.advance()?;
                self.selector(Some(name))
            }
            TokenKind::Word => self.named(),
            _ => self.unexpected("", ""),
        }
    }

    fn named(&mut self) -> Result<Expr, Fault> {
        let calls = self.second()? == TokenKind::LeftParen;
        match self.keyword() {
            Some(Keyword::Infinity | Keyword::NotANumber) => Ok(Expr::Number(self.number()?)),
            Some(Keyword::Aggregate(op)) if calls || self.groups_next()? => self.aggregate(op),
            Some(keyword) if !keyword.may_name() => self.unexpected("", ""),
            None | Some(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range)
                if calls =>
            {
                self.call()
            }
            _ => {
                let name = self.advance()?;
                self.selector(Some(name))
            }
        }
    }

    /// Whether `by` or `without` follows the token at hand.
    fn groups_next(&self) -> Result<bool, Fault> {
        let next = self.lexer.clone().next()?;
        let is_word = next.kind == TokenKind::Word;
        let word = is_word
            .then(|| keyword(self.slice(next.position)))
            .flatten();
        Ok(matches!(word, Some(Keyword::By | Keyword::Without)))
    }

    /// A number, a duration, `inf` or `nan`, whichever is at hand.
    fn number(&mut self) -> Result<Number, Fault> {
        let token = self.advance()?;
        let (text, position) = (self.slice(token.position), token.position);
        if token.kind == TokenKind::Duration {
            let ms = literal::duration_ms(text).map_err(|why| (why, position))?;
            return Ok(Number {
                value: ms as f64 / 1000.0,
                is_duration: true,
                position,
            });
        }
        match literal::number(text) {
            Ok(value) => Ok(Number {
                value,
                is_duration: false,
                position,
            }),
            Err(why) => {
                let whose = "error parsing number: strconv.ParseFloat: parsing";
                Err((format!("{whose} {text:?}: {why}"), position))
            }
        }
    }

    /// A number with or without a sign.
    fn signed_number(&mut self, context: &str, wanted: &str) -> Result<Number, Fault> {
        use crate::ast::BinaryOp::{Add, Sub};
        let start = self.token.position;
        let negative = self.at(TokenKind::Operator(Sub));
        if negative || self.at(TokenKind::Operator(Add)) {
            self.advance()?;
        }
        let is_word = matches!(
            self.keyword(),
            Some(Keyword::Infinity | Keyword::NotANumber)
        );
        if !is_word && !self.at(TokenKind::Number) && !self.at(TokenKind::Duration) {
            return self.unexpected(context, wanted);
        }
        let n = self.number()?;
        let value = if negative { -n.value } else { n.value };
        Ok(Number {
            value,
            position: start.to(n.position),
            ..n
        })
    }

    /// The value of a string token.
    fn unquoted(&self, token: Token) -> Result<literal::Unquoted, Fault> {
        let text = self.slice(token.position);
        literal::unquote(text).map_err(|why| (why, token.position))
    }

    fn text_literal(&mut self) -> Result<Expr, Fault> {
        let token = self.advance()?;
        let literal::Unquoted { value, is_valid } = self.unquoted(token)?;
        Ok(Expr::Text(Text {
            value,
            is_valid,
            position: token.position,
        }))
    }

    fn paren(&mut self) -> Result<Expr, Fault> {
        let open = self.advance()?;
        let inner = self.expr(0)?;
        let close = self.expect(TokenKind::RightParen, "", "")?;
        let position = open.position.to(close.position);
        Ok(Expr::Paren(Box::new(Paren { inner, position })))
    }

    fn call(&mut self) -> Result<Expr, Fault> {
        let name_token = self.advance()?;
        let name = self.slice(name_token.position);
        let args = self.arguments()?;
        // Only start(), end(), step() and range() are keywords, and so known in any case.
        let known = function(name)
            .or_else(|| keyword(name).and_then(|_| function(&name.to_ascii_lowercase())));
        let Some(function) = known else {
            let message = format!("unknown function with name {name:?}");
            return Err((message, name_token.position));
        };
        let step_invariant =
            !function.kind.depends_on_time() && args.iter().all(Expr::step_invariant);
        let position = Position::new(name_token.position.start, self.last_end);
        Ok(Expr::Call(Call {
            function,
            args,
            step_invariant,
            position,
        }))
    }

    /// `(a, b, …)`
    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        self.expect(TokenKind::LeftParen, "aggregation", "")?;
        let mut args = Vec::new();
        if self.accept(TokenKind::RightParen)? {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            let comma = self.token.position;
            if !self.accept(TokenKind::Comma)? {
                break;
            }
            if self.at(TokenKind::RightParen) {
                let message = "trailing commas not allowed in function call args";
                return Err((message.to_owned(), comma));
            }
        }
        self.expect(TokenKind::RightParen, "", "")?;
        Ok(args)
    }
}
