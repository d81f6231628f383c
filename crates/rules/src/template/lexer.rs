//! Text and actions into tokens, with Go's `{{- ` and ` -}}` trimming what stands around.

use super::Fault;

/// A token of an action, or the text between actions.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.name`; of `.a.b` two.
    Field(String),
    Dot,
    /// `$name`; `$` alone has an empty name.
    Variable(String),
    Word(String),
    Str(String),
    Number(String),
    Char(char),
    Pipe,
    LeftParen,
    RightParen,
    Declare,
    Assign,
    Comma,
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
    /// Whether white space stands before it: `.a .b` is two values, `.a.b` one.
    pub(super) spaced: bool,
}

/// All tokens of a template.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Fault> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
    };
    let mut trim = false;
    while lexer.at < text.len() {
        let begin = lexer.at;
        let rest = &text[begin..];
        let Some(open) = rest.find("{{") else {
            lexer.plain(begin, rest, trim, false);
            break;
        };
        let after = &rest[open + 2..];
        let trims = after
            .strip_prefix('-')
            .is_some_and(|r| r.starts_with(char::is_whitespace));
        lexer.plain(begin, &rest[..open], trim, trims);
        lexer.at = begin + open + 2 + usize::from(trims);
        trim = lexer.action(begin + open)?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Placed>,
}

impl<'t> Lexer<'t> {
    fn plain(&mut self, at: usize, text: &str, trim_left: bool, trim_right: bool) {
        let text = if trim_left { text.trim_start() } else { text };
        let text = if trim_right { text.trim_end() } else { text };
        if !text.is_empty() {
            self.push(Token::Text(text.to_owned()), at, false);
        }
    }

    fn push(&mut self, token: Token, at: usize, spaced: bool) {
        self.tokens.push(Placed { token, at, spaced });
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// One action; whether it trims the text after it.
    fn action(&mut self, open: usize) -> Result<bool, Fault> {
        let inner = self.rest().trim_start();
        if let Some(comment) = inner.strip_prefix("/*") {
            let end = comment.find("*/");
            let end = end.ok_or_else(|| Fault::new(open, "unclosed comment"))?;
            self.at = self.text.len() - comment.len() + end + 2;
            let close = self.close(self.rest().starts_with(char::is_whitespace));
            return close.ok_or_else(|| Fault::new(open, "comment ends before closing delimiter"));
        }
        self.push(Token::Open, open, false);
        loop {
            let before = self.at;
            self.at = self.text.len() - self.rest().trim_start().len();
            let spaced = self.at > before;
            let at = self.at;
            if let Some(trims) = self.close(spaced) {
                self.push(Token::Close, at, spaced);
                return Ok(trims);
            }
            let token = self.token(open)?;
            self.push(token, at, spaced);
        }
    }

    /// Steps over `}}` or ` -}}`; whether it trims.
    fn close(&mut self, spaced: bool) -> Option<bool> {
        let rest = self.rest().trim_start();
        if rest.starts_with("}}") {
            self.at = self.text.len() - rest.len() + 2;
            return Some(false);
        }
        if spaced && rest.starts_with("-}}") {
            self.at = self.text.len() - rest.len() + 3;
            return Some(true);
        }
        None
    }

    fn token(&mut self, open: usize) -> Result<Token, Fault> {
        let (at, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else {
            return Err(Fault::new(open, "unclosed action"));
        };
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::LeftParen, 1),
            ')' => (Token::RightParen, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Assign, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '"' => self.quoted()?,
            '`' => self.raw()?,
            '\'' => self.character()?,
            '$' => {
                let name = word(&rest[1..]);
                (Token::Variable(name.to_owned()), 1 + name.len())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                let token = if name.is_empty() {
                    Token::Dot
                } else {
                    Token::Field(name.to_owned())
                };
                (token, 1 + name.len())
            }
            '0'..='9' | '+' | '-' | '.' => {
                let length = number(rest);
                (Token::Number(rest[..length].to_owned()), length)
            }
            c if c.is_alphabetic() || c == '_' => {
                let name = word(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            c => {
                let what = format!("unexpected {c:?} in an action");
                return Err(Fault::new(at, what));
            }
        };
        self.at += length;
        Ok(token)
    }

    fn quoted(&self) -> Result<(Token, usize), Fault> {
        let rest = &self.rest()[1..];
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    let text = unescaped(&rest[..at]);
                    let text =
                        text.ok_or_else(|| Fault::new(self.at, "a bad escape in a string"))?;
                    return Ok((Token::Str(text), at + 2));
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err(Fault::new(self.at, "unterminated quoted string"))
    }

    fn raw(&self) -> Result<(Token, usize), Fault> {
        let rest = &self.rest()[1..];
        let end = rest
            .find('`')
            .ok_or_else(|| Fault::new(self.at, "unterminated raw quoted string"))?;
        Ok((Token::Str(rest[..end].replace('\r', "")), end + 2))
    }

    fn character(&self) -> Result<(Token, usize), Fault> {
        let fault = || Fault::new(self.at, "unterminated character constant");
        let rest = &self.rest()[1..];
        let from = usize::from(rest.starts_with('\\'));
        let skip = from + rest[from..].chars().next().map_or(0, char::len_utf8);
        let end = skip + rest[skip..].find('\'').ok_or_else(fault)?;
        let text = unescaped(&rest[..end]).ok_or_else(fault)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok((Token::Char(c), end + 2)),
            _ => Err(fault()),
        }
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// Length of the number at the start.
fn number(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && (at == 0 || matches!(before, 'e' | 'E' | 'p' | 'P'));
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// A string literal's inside, as Go reads it.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let c = match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            c @ ('\\' | '"' | '\'') => c,
            'x' => take(&mut chars, 2, 16, "")?,
            'u' => take(&mut chars, 4, 16, "")?,
            'U' => take(&mut chars, 8, 16, "")?,
            c @ '0'..='7' => take(&mut chars, 2, 8, &c.to_string())?,
            _ => return None,
        };
        plain.push(c);
    }
    Some(plain)
}

/// The character whose code the next digits are.
fn take(chars: &mut std::str::Chars<'_>, digits: usize, radix: u32, first: &str) -> Option<char> {
    let text: String = first.chars().chain(chars.by_ref().take(digits)).collect();
    if text.len() != digits + first.len() {
        return None;
    }
    u32::from_str_radix(&text, radix)
        .ok()
        .and_then(char::from_u32)
}
