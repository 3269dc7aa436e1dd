//! The syntax of xl's configuration files: `KEY = VALUE` and `KEY += VALUE`, by
//! lines or `;`, where a value is a string, a number, or a list of them that may
//! go over several lines (Xen, tools/libs/util/libxlu_cfg_l.l and libxlu_cfg_y.y).

use super::LineError;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// From 1.
    pub line: usize,
    pub key: String,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A string, without its quotes, or a number as it is written.
    Atom(Vec<u8>),
    /// The line and the bytes of each item.
    List(Vec<(usize, Vec<u8>)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Ident(String),
    Atom(Vec<u8>),
    /// `,` `[` `]` `=` `;`, `+` for `+=`, and the newline.
    Mark(u8),
    End,
}

/// Reads all assignments of `text`. `+=` is resolved: it gives the whole new value.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Assignment>, LineError> {
    let mut parser = Parser::new(text)?;
    let mut assignments: Vec<Assignment> = Vec::new();
    while parser.next != Token::End {
        if let Token::Mark(b'\n' | b';') = parser.next {
            parser.advance()?;
            continue;
        }
        let (line, key, add, value) = parser.assignment()?;
        let earlier = assignments.iter().rev().find(|a| add && a.key == key);
        let value = match earlier {
            Some(earlier) => join(&earlier.value, value).map_err(|what| (line, what))?,
            None => value,
        };
        assignments.push(Assignment { line, key, value });
        parser.end_of_statement()?;
    }
    Ok(assignments)
}

fn join(earlier: &Value, added: Value) -> Result<Value, String> {
    match (earlier, added) {
        (Value::Atom(a), Value::Atom(b)) => Ok(Value::Atom([&a[..], &b].concat())),
        (Value::List(a), Value::List(b)) => Ok(Value::List([&a[..], &b].concat())),
        _ => Err("a list and a string cannot be added".to_owned()),
    }
}

/// Looks one token ahead.
struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The line of `next`.
    line: usize,
    next: Token,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8]) -> Result<Self, LineError> {
        let mut parser = Parser { lexer: Lexer { rest: text, line: 1 }, line: 1, next: Token::End };
        parser.advance()?;
        Ok(parser)
    }

    /// Takes the next token.
    fn advance(&mut self) -> Result<Token, LineError> {
        let (line, token) = self.lexer.token()?;
        self.line = line;
        Ok(std::mem::replace(&mut self.next, token))
    }

    fn assignment(&mut self) -> Result<(usize, String, bool, Value), LineError> {
        let line = self.line;
        let Token::Ident(key) = self.advance()? else {
            return Err((line, "a key is needed here: KEY = VALUE".to_owned()));
        };
        let add = match self.next {
            Token::Mark(b'=') => false,
            Token::Mark(b'+') => true,
            _ => return Err((self.line, format!("'=' is missing after {key}"))),
        };
        self.advance()?;
        Ok((line, key, add, self.value()?))
    }

    fn value(&mut self) -> Result<Value, LineError> {
        let line = self.line;
        match self.advance()? {
            Token::Atom(bytes) => Ok(Value::Atom(bytes)),
            Token::Mark(b'[') => self.list(),
            Token::Ident(word) => Err((line, format!("{word} needs quotes around it"))),
            _ => Err((line, "a value is needed here: \"text\", a number or a [list]".to_owned())),
        }
    }

    /// The items of a list, after its `[`.
    fn list(&mut self) -> Result<Value, LineError> {
        let mut items = Vec::new();
        loop {
            self.skip_newlines()?;
            let line = self.line;
            match self.advance()? {
                Token::Mark(b']') => return Ok(Value::List(items)),
                Token::Atom(bytes) => items.push((line, bytes)),
                Token::End => return Err((line, "']' is missing".to_owned())),
                _ => return Err((line, "a string or ']' is needed here".to_owned())),
            }
            self.skip_newlines()?;
            match self.next {
                Token::Mark(b',') => drop(self.advance()?),
                Token::Mark(b']') => {}
                _ => return Err((self.line, "',' or ']' is needed here".to_owned())),
            }
        }
    }

    fn skip_newlines(&mut self) -> Result<(), LineError> {
        while self.next == Token::Mark(b'\n') {
            self.advance()?;
        }
        Ok(())
    }

    fn end_of_statement(&mut self) -> Result<(), LineError> {
        match self.next {
            Token::End | Token::Mark(b'\n' | b';') => Ok(()),
            _ => Err((self.line, "the end of the line is needed here".to_owned())),
        }
    }
}

struct Lexer<'a> {
    rest: &'a [u8],
    /// The line of `rest`.
    line: usize,
}

impl Lexer<'_> {
    /// The next token, and its line.
    fn token(&mut self) -> Result<(usize, Token), LineError> {
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        if self.rest.starts_with(b"#") {
            self.take_while(|byte| byte != b'\n');
        }
        let line = self.line;
        let Some((&first, after)) = self.rest.split_first() else { return Ok((line, Token::End)) };
        let token = match first {
            b'a'..=b'z' => {
                let word =
                    self.take_while(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_'));
                Token::Ident(String::from_utf8_lossy(word).into_owned())
            }
            b'0'..=b'9' => {
                let word = self.take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'x'));
                Token::Atom(word.to_vec())
            }
            b'\'' | b'"' => Token::Atom(self.string(first).map_err(|what| (line, what))?),
            b'+' if after.starts_with(b"=") => {
                self.rest = &after[1..];
                Token::Mark(b'+')
            }
            b',' | b'[' | b']' | b'=' | b';' | b'\n' => {
                self.rest = after;
                self.line += usize::from(first == b'\n');
                Token::Mark(first)
            }
            other => return Err((line, format!("'{}' is not expected", other.escape_ascii()))),
        };
        Ok((line, token))
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &[u8] {
        let len = self.rest.iter().position(|byte| !wanted(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    /// A string in `quote`s, its escapes resolved.
    fn string(&mut self, quote: u8) -> Result<Vec<u8>, String> {
        let mut rest = self.rest[1..].iter().copied();
        let mut bytes = Vec::new();
        loop {
            match rest.next() {
                None | Some(b'\n') => return Err("the string does not end on its line".to_owned()),
                Some(b'\\') => bytes.push(escape(&mut rest)?),
                Some(byte) if byte == quote => break,
                Some(byte) => bytes.push(byte),
            }
        }
        let len = self.rest.len() - rest.len();
        self.rest = &self.rest[len..];
        Ok(bytes)
    }
}

/// What follows a backslash: a C escape, `\xHH` or up to three octal digits.
fn escape(rest: &mut (impl Iterator<Item = u8> + Clone)) -> Result<u8, String> {
    let bad = || "unknown escape in a string (known: \\\\ \\' \\\" \\a \\b \\f \\n \\r \\t \\v \\xHH \\OOO)";
    Ok(match rest.next().ok_or_else(bad)? {
        byte @ (b'"' | b'\'' | b'\\') => byte,
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'x' => {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            let (high, low) = digit().zip(digit()).ok_or_else(bad)?;
            (high * 16 + low) as u8
        }
        first @ b'0'..=b'7' => {
            let mut value = u32::from(first - b'0');
            for _ in 0..2 {
                let Some(digit) = rest.clone().next().and_then(|b| char::from(b).to_digit(8))
                else {
                    break;
                };
                rest.next();
                value = value * 8 + digit;
            }
            u8::try_from(value).map_err(|_| bad())?
        }
        _ => return Err(bad().to_owned()),
    })
}
