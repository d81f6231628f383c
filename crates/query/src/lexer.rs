//! Text to tokens, one pass, on demand. A token keeps its place; its text is a slice of the query.

use crate::ast::{AggregateOp, BinaryOp};
use crate::literal;
use crate::position::Position;

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) position: Position,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    End,
    Number,
    Duration,
    Text,
    /// A word without a colon; keywords included.
    Word,
    /// A word with a colon: only ever a metric's name.
    MetricName,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    /// `@`
    At,
    /// An operator written in signs; `!=` also matches labels.
    Operator(BinaryOp),
}

/// A word with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Offset,
    Smoothed,
    Anchored,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    Infinity,
    NotANumber,
}

impl Keyword {
    /// Whether a metric may have this name all the same.
    pub(crate) fn may_name(self) -> bool {
        !matches!(
            self,
            Self::Bool
                | Self::On
                | Self::Ignoring
                | Self::GroupLeft
                | Self::GroupRight
                | Self::Infinity
                | Self::NotANumber
                | Self::Operator(BinaryOp::Atan2)
        )
    }
}

const KEYWORDS: &[(&str, Keyword)] = &[
    ("and", Keyword::Operator(BinaryOp::And)),
    ("or", Keyword::Operator(BinaryOp::Or)),
    ("unless", Keyword::Operator(BinaryOp::Unless)),
    ("atan2", Keyword::Operator(BinaryOp::Atan2)),
    ("sum", Keyword::Aggregate(AggregateOp::Sum)),
    ("avg", Keyword::Aggregate(AggregateOp::Avg)),
    ("count", Keyword::Aggregate(AggregateOp::Count)),
    ("min", Keyword::Aggregate(AggregateOp::Min)),
    ("max", Keyword::Aggregate(AggregateOp::Max)),
    ("group", Keyword::Aggregate(AggregateOp::Group)),
    ("stddev", Keyword::Aggregate(AggregateOp::Stddev)),
    ("stdvar", Keyword::Aggregate(AggregateOp::Stdvar)),
    ("topk", Keyword::Aggregate(AggregateOp::Topk)),
    ("bottomk", Keyword::Aggregate(AggregateOp::Bottomk)),
    ("count_values", Keyword::Aggregate(AggregateOp::CountValues)),
    ("quantile", Keyword::Aggregate(AggregateOp::Quantile)),
    ("limitk", Keyword::Aggregate(AggregateOp::Limitk)),
    ("limit_ratio", Keyword::Aggregate(AggregateOp::LimitRatio)),
    ("offset", Keyword::Offset),
    ("smoothed", Keyword::Smoothed),
    ("anchored", Keyword::Anchored),
    ("by", Keyword::By),
    ("without", Keyword::Without),
    ("on", Keyword::On),
    ("ignoring", Keyword::Ignoring),
    ("group_left", Keyword::GroupLeft),
    ("group_right", Keyword::GroupRight),
    ("fill", Keyword::Fill),
    ("fill_left", Keyword::FillLeft),
    ("fill_right", Keyword::FillRight),
    ("bool", Keyword::Bool),
    ("start", Keyword::Start),
    ("end", Keyword::End),
    ("step", Keyword::Step),
    ("range", Keyword::Range),
    ("inf", Keyword::Infinity),
    ("nan", Keyword::NotANumber),
];

/// The meaning of a word, in any case of letters.
pub(crate) fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, k)| *k)
}

/// What is wrong with the text, and where.
pub(crate) type Fault = (String, Position);

/// Hands out tokens.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    parens_open: usize,
    in_braces: bool,
    in_brackets: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            parens_open: 0,
            in_braces: false,
            in_brackets: false,
        }
    }

    /// The next token. After [`TokenKind::End`] it stays there.
    pub(crate) fn next(&mut self) -> Result<Token, Fault> {
        self.skip_blanks();
        let start = self.at;
        let Some(c) = self.peek() else {
            return self.end();
        };
        let kind = match c {
            '"' | '\'' => self.quoted(c)?,
            '`' => self.raw()?,
            _ if self.in_braces => self.in_braces(c)?,
            '0'..='9' => self.number()?,
            '.' if self.peek_second().is_some_and(|d| d.is_ascii_digit()) => self.number()?,
            'a'..='z' | 'A'..='Z' | '_' => self.word(!self.in_brackets),
            ':' if !self.in_brackets => self.word(true),
            _ => self.sign(c)?,
        };
        Ok(Token {
            kind,
            position: Position::new(start, self.at),
        })
    }

    fn end(&self) -> Result<Token, Fault> {
        let here = Position::new(self.text.len(), self.text.len());
        let open = if self.in_braces {
            "unexpected end of input inside braces"
        } else if self.parens_open > 0 {
            "unclosed left parenthesis"
        } else if self.in_brackets {
            "unclosed left bracket"
        } else {
            return Ok(Token {
                kind: TokenKind::End,
                position: here,
            });
        };
        Err((open.to_owned(), here))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.text[self.at..].chars().nth(1)
    }

    fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(b) = bytes.get(self.at) {
            match b {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &bytes[self.at..];
                    let line = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    self.at += line.unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    fn fault<T>(&self, start: usize, message: impl Into<String>) -> Result<T, Fault> {
        Err((message.into(), Position::new(start, self.text.len())))
    }

    /// Takes `kind`, `length` bytes long.
    fn take(&mut self, length: usize, kind: TokenKind) -> TokenKind {
        self.at += length;
        kind
    }

    fn word(&mut self, colons: bool) -> TokenKind {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let has_colon = rest[..length].contains(':');
        self.take(
            length,
            if has_colon {
                TokenKind::MetricName
            } else {
                TokenKind::Word
            },
        )
    }

    fn in_braces(&mut self, c: char) -> Result<TokenKind, Fault> {
        let start = self.at;
        let second = self.peek_second();
        Ok(match (c, second) {
            ('a'..='z' | 'A'..='Z' | '_', _) => self.word(false),
            (',', _) => self.take(1, TokenKind::Comma),
            ('=', Some('~')) => self.take(2, TokenKind::Matches),
            ('=', _) => self.take(1, TokenKind::Assign),
            ('!', Some('~')) => self.take(2, TokenKind::MatchesNot),
            ('!', Some('=')) => self.take(2, TokenKind::Operator(BinaryOp::NotEqual)),
            ('!', other) => {
                let other = describe(other);
                let message = format!("unexpected character after '!' inside braces: {other}");
                return self.fault(start, message);
            }
            ('}', _) => {
                self.in_braces = false;
                self.take(1, TokenKind::RightBrace)
            }
            ('{', _) => return self.fault(start, "unexpected left brace '{'"),
            _ => {
                return self.fault(start, format!("unexpected character inside braces: '{c}'"));
            }
        })
    }

    fn sign(&mut self, c: char) -> Result<TokenKind, Fault> {
        use BinaryOp as Op;
        let start = self.at;
        Ok(match (c, self.peek_second()) {
            (',', _) => self.take(1, TokenKind::Comma),
            ('*', _) => self.take(1, TokenKind::Operator(Op::Mul)),
            ('/', _) => self.take(1, TokenKind::Operator(Op::Div)),
            ('%', _) => self.take(1, TokenKind::Operator(Op::Mod)),
            ('+', _) => self.take(1, TokenKind::Operator(Op::Add)),
            ('-', _) => self.take(1, TokenKind::Operator(Op::Sub)),
            ('^', _) => self.take(1, TokenKind::Operator(Op::Pow)),
            ('=', Some('=')) => self.take(2, TokenKind::Operator(Op::Equal)),
            ('=', Some('~')) => {
                return self.fault(start, "unexpected character after '=': '~'");
            }
            ('=', _) => self.take(1, TokenKind::Assign),
            ('!', Some('=')) => self.take(2, TokenKind::Operator(Op::NotEqual)),
            ('!', other) => {
                let message = format!("unexpected character after '!': {}", describe(other));
                return self.fault(start, message);
            }
            ('<', Some('=')) => self.take(2, TokenKind::Operator(Op::LessEqual)),
            ('<', Some('/')) => self.take(2, TokenKind::Operator(Op::TrimUpper)),
            ('<', _) => self.take(1, TokenKind::Operator(Op::Less)),
            ('>', Some('=')) => self.take(2, TokenKind::Operator(Op::GreaterEqual)),
            ('>', Some('/')) => self.take(2, TokenKind::Operator(Op::TrimLower)),
            ('>', _) => self.take(1, TokenKind::Operator(Op::Greater)),
            ('@', _) => self.take(1, TokenKind::At),
            (':', _) => self.take(1, TokenKind::Colon),
            _ => return self.bracket(c),
        })
    }

    fn bracket(&mut self, c: char) -> Result<TokenKind, Fault> {
        let start = self.at;
        match c {
            '(' => self.parens_open += 1,
            ')' if self.parens_open == 0 => {
                return self.fault(start, "unexpected right parenthesis ')'");
            }
            ')' => self.parens_open -= 1,
            '{' => self.in_braces = true,
            '[' if self.in_brackets => return self.fault(start, "unexpected left bracket '['"),
            '[' => self.in_brackets = true,
            ']' if !self.in_brackets => return self.fault(start, "unexpected right bracket ']'"),
            ']' => self.in_brackets = false,
            _ => return self.fault(start, format!("unexpected character: '{c}'")),
        }
        Ok(self.take(
            1,
            match c {
                '(' => TokenKind::LeftParen,
                ')' => TokenKind::RightParen,
                '{' => TokenKind::LeftBrace,
                '[' => TokenKind::LeftBracket,
                _ => TokenKind::RightBracket,
            },
        ))
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut i = start + 1;
        loop {
            match bytes.get(i) {
                None | Some(b'\n') => return self.fault(start, "unterminated quoted string"),
                Some(b'\\') => i += 2,
                Some(b) if *b == quote as u8 => break,
                Some(_) => i += 1,
            }
        }
        match literal::unquote(&self.text[start..=i]) {
            Ok(_) => Ok(self.take(i + 1 - start, TokenKind::Text)),
            Err(why) => self.fault(start, why),
        }
    }

    fn raw(&mut self) -> Result<TokenKind, Fault> {
        match self.text[self.at + 1..].find('`') {
            Some(length) => Ok(self.take(length + 2, TokenKind::Text)),
            None => self.fault(self.at, "unterminated raw string"),
        }
    }

    fn number(&mut self) -> Result<TokenKind, Fault> {
        let rest = &self.text[self.at..];
        let ends = |length: usize| {
            !rest[length..]
                .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        };
        if let Some(length) = number_length(rest).filter(|n| ends(*n)) {
            return Ok(self.take(length, TokenKind::Number));
        }
        if let Some(length) = duration_length(rest).filter(|n| ends(*n)) {
            return Ok(self.take(length, TokenKind::Duration));
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let bad = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.fault(self.at, format!("bad number or duration syntax: {bad:?}"))
    }
}

fn describe(c: Option<char>) -> String {
    c.map_or_else(|| "end of input".to_owned(), |c| format!("'{c}'"))
}

/// Length of the number `text` begins with: decimal with fraction and exponent, or hexadecimal;
/// single underscores between digits. `None` if there is none or it is malformed.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        let underscore = usize::from(bytes.get(2) == Some(&b'_'));
        let digits = digits_length(&bytes[2 + underscore..], |b| b.is_ascii_hexdigit())?;
        // `0x` alone is a number, though one that cannot be read.
        return Some(2 + underscore + digits);
    }
    let decimal = |b: u8| b.is_ascii_digit();
    let mut n = digits_length(bytes, decimal)?;
    if bytes.get(n) == Some(&b'.') {
        n += 1;
        if matches!(bytes.get(n), Some(b'_' | b'.')) {
            return None;
        }
        n += digits_length(&bytes[n..], decimal)?;
    }
    if matches!(bytes.get(n), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(n + 1), Some(b'+' | b'-')));
        let digits = digits_length(&bytes[n + 1 + sign..], decimal)?;
        if digits == 0 {
            return None;
        }
        n += 1 + sign + digits;
    }
    Some(n)
}

/// Length of a run of digits with single underscores between them; `None` if an underscore is
/// misplaced.
fn digits_length(bytes: &[u8], is_digit: impl Fn(u8) -> bool) -> Option<usize> {
    let mut n = 0;
    while let Some(b) = bytes.get(n) {
        let is_next_digit = || bytes.get(n + 1).is_some_and(|next| is_digit(*next));
        match *b {
            b if is_digit(b) => n += 1,
            b'_' if n > 0 && is_next_digit() => n += 1,
            b'_' if n > 0 => return None,
            _ => break,
        }
    }
    Some(n)
}

/// Length of a run of numbers with units, such as `1h30m`.
fn duration_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut n = 0;
    loop {
        let digits = bytes[n..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return (n > 0).then_some(n);
        }
        n += digits;
        n += match (bytes.get(n), bytes.get(n + 1)) {
            (Some(b'm'), Some(b's')) => 2,
            (Some(b's' | b'm' | b'h' | b'd' | b'w' | b'y'), _) => 1,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(query: &str) -> Result<Vec<&str>, String> {
        let mut lexer = Lexer::new(query);
        let mut found = Vec::new();
        loop {
            let token = lexer.next().map_err(|(message, _)| message)?;
            if token.kind == TokenKind::End {
                return Ok(found);
            }
            found.push(&query[token.position.start..token.position.end]);
        }
    }

    #[test]
    fn numbers_durations_and_words_are_told_apart() {
        let query = "1 .5 1e-3 0x1F 1_000 5m 1h30m500ms a:b c[5m:1m]";
        let wanted = [
            "1",
            ".5",
            "1e-3",
            "0x1F",
            "1_000",
            "5m",
            "1h30m500ms",
            "a:b",
            "c",
            "[",
            "5m",
            ":",
            "1m",
            "]",
        ];
        assert_eq!(texts(query).unwrap(), wanted);
    }

    #[test]
    fn malformed_numbers_are_refused() {
        for bad in ["1__0", "1_", "1e", "5q", "1.2.3x", "5m3", "1._5"] {
            assert!(texts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn comments_and_blanks_are_skipped() {
        assert_eq!(texts("a # b\n + # c").unwrap(), ["a", "+"]);
    }
}
