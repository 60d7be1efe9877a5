//! A text like `plc.auto && !plc.fault` in, an expression over points out; values of its points in, whether it holds out.
//!
//! It has three values: where a read failed only what holds either way is known. `||` binds weaker than `&&`.

use serde::Serialize;
use std::ops::Range;

/// Longer is a program, and belongs into the PLC. Bytes.
const MOST_BYTES: usize = 1000;

/// Most mentions of points in one expression: each is looked at with every observation.
const MOST_MENTIONS: usize = 32;

/// Parentheses and `!` inside each other: reading and judging recurse so deep.
const MOST_DEPTH: usize = 16;

/// What is no part of a name.
const MARKS: &str = "&|!()=<>";

/// A condition over points, each named by its place among the operands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Expression {
    /// The operand is true, or not zero.
    Holds(usize),
    /// The operand compares so with a constant.
    Compares(usize, Relation, i64),
    /// It does not hold.
    Not(Box<Expression>),
    /// All hold.
    All(Vec<Expression>),
    /// At least one holds.
    Any(Vec<Expression>),
}

/// How an operand compares with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a text was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The condition.
    pub expression: Expression,
    /// The names of its operands, each once, in the order of their first mention.
    pub operands: Vec<String>,
    /// Where which operand is mentioned, and whether it is compared with a constant there.
    pub mentions: Vec<Mention>,
}

/// One place of a text that names a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Which operand.
    pub operand: usize,
    /// Bytes of the text.
    pub at: Range<usize>,
    /// A number is asked for, not a condition.
    pub is_compared: bool,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Bytes of the text.
    pub at: Range<usize>,
    /// In one sentence.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

/// Whether a text is more than the name of one point.
pub fn is_expression(text: &str) -> bool {
    text.contains(|c: char| c.is_whitespace() || MARKS.contains(c))
}

/// Reads a text.
///
/// # Errors
/// The first flaw, at the very token.
pub fn parse(text: &str) -> Result<Parsed, Flaw> {
    if text.len() > MOST_BYTES {
        let what = format!("the expression is longer than {MOST_BYTES} bytes");
        return flaw(MOST_BYTES..text.len(), what, "let the PLC combine some of them in one bit");
    }
    let mut reader = Reader {
        tokens: tokens(text)?,
        next: 0,
        end: text.len(),
        depth: 0,
        operands: Vec::new(),
        mentions: Vec::new(),
    };
    let expression = reader.any()?;
    match reader.tokens.get(reader.next) {
        None => Ok(Parsed { expression, operands: reader.operands, mentions: reader.mentions }),
        Some((Token::Close, at)) => flaw(at.clone(), "`)` closes nothing".to_owned(), "take it away"),
        Some((_, at)) => {
            flaw(at.clone(), "there is no operator before this".to_owned(), "combine conditions with && or ||")
        }
    }
}

impl Expression {
    /// Whether it holds; `None` where that hangs on an operand without a value.
    pub fn holds(&self, value: &impl Fn(usize) -> Option<i64>) -> Option<bool> {
        match self {
            Expression::Holds(operand) => Some(value(*operand)? != 0),
            Expression::Compares(operand, relation, constant) => Some(relation.holds(value(*operand)?, *constant)),
            Expression::Not(inner) => inner.holds(value).map(|holds| !holds),
            Expression::All(parts) => settled(parts, false, value),
            Expression::Any(parts) => settled(parts, true, value),
        }
    }
}

/// The first part that is `decisive` settles it; else all must be known.
fn settled(parts: &[Expression], decisive: bool, value: &impl Fn(usize) -> Option<i64>) -> Option<bool> {
    let mut is_known = true;
    for part in parts {
        match part.holds(value) {
            Some(holds) if holds == decisive => return Some(decisive),
            holds => is_known &= holds.is_some(),
        }
    }
    is_known.then_some(!decisive)
}

impl Relation {
    fn holds(self, value: i64, constant: i64) -> bool {
        match self {
            Relation::Equal => value == constant,
            Relation::Unequal => value != constant,
            Relation::Less => value < constant,
            Relation::LessOrEqual => value <= constant,
            Relation::Greater => value > constant,
            Relation::GreaterOrEqual => value >= constant,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(i64),
    Relation(Relation),
    And,
    Or,
    Not,
    Open,
    Close,
}

fn flaw<T>(at: Range<usize>, what: String, hint: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { at, what, hint: hint.into() })
}

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Flaw> {
    let mut tokens = Vec::new();
    let mut from = 0;
    while let Some(first) = text[from..].chars().next() {
        let rest = &text[from..];
        let is_mark = MARKS.contains(first);
        let length = match first {
            _ if first.is_whitespace() => {
                from += first.len_utf8();
                continue;
            }
            _ if is_mark => {
                let doubles = ["&&", "||", "==", "!=", "<=", ">="];
                if doubles.iter().any(|double| rest.starts_with(double)) { 2 } else { 1 }
            }
            _ => rest.find(|c: char| c.is_whitespace() || MARKS.contains(c)).unwrap_or(rest.len()),
        };
        let (at, word) = (from..from + length, &rest[..length]);
        let token = match word {
            "&&" => Token::And,
            "||" => Token::Or,
            "!" => Token::Not,
            "(" => Token::Open,
            ")" => Token::Close,
            "==" => Token::Relation(Relation::Equal),
            "!=" => Token::Relation(Relation::Unequal),
            "<" => Token::Relation(Relation::Less),
            "<=" => Token::Relation(Relation::LessOrEqual),
            ">" => Token::Relation(Relation::Greater),
            ">=" => Token::Relation(Relation::GreaterOrEqual),
            "&" | "|" | "=" => {
                return flaw(at, format!("`{word}` is no operator"), format!("write `{word}{word}`"));
            }
            "and" | "AND" => return flaw(at, format!("`{word}` is no operator"), "write `&&`"),
            "or" | "OR" => return flaw(at, format!("`{word}` is no operator"), "write `||`"),
            "not" | "NOT" => return flaw(at, format!("`{word}` is no operator"), "write `!`"),
            _ => match word.parse::<i64>() {
                Ok(number) => Token::Number(number),
                Err(_) => Token::Name(word.to_owned()),
            },
        };
        from = at.end;
        tokens.push((token, at));
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    end: usize,
    depth: usize,
    operands: Vec<String>,
    mentions: Vec<Mention>,
}

impl Reader {
    fn any(&mut self) -> Result<Expression, Flaw> {
        let mut parts = vec![self.all()?];
        while self.take(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(only(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Flaw> {
        let mut parts = vec![self.one()?];
        while self.take(&Token::And) {
            parts.push(self.one()?);
        }
        Ok(only(parts, Expression::All))
    }

    fn one(&mut self) -> Result<Expression, Flaw> {
        let Some((token, at)) = self.tokens.get(self.next).cloned() else {
            let at = self.tokens.last().map_or(0..self.end, |(_, last)| last.clone());
            return flaw(at, "the expression ends before it is complete".to_owned(), "name a point after this");
        };
        self.next += 1;
        match token {
            Token::Name(name) => self.point(name, at),
            Token::Not => {
                let inner = self.below(&at)?;
                if let Some((Token::Relation(_), _)) = self.tokens.get(self.next) {
                    let hint = "write `!(plc.point == 3)`, or `plc.point != 3`";
                    return flaw(at, "`!` stands before a comparison".to_owned(), hint);
                }
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Open => {
                let inner = self.below(&at)?;
                if self.take(&Token::Close) {
                    return Ok(inner);
                }
                match self.tokens.get(self.next) {
                    Some((_, next)) => {
                        let hint = "combine conditions with && or ||, or close the parenthesis";
                        flaw(next.clone(), "there is no operator before this".to_owned(), hint)
                    }
                    None => flaw(at, "`(` is never closed".to_owned(), "add `)`"),
                }
            }
            Token::Number(number) => {
                let what = format!("{number} stands where a point is expected");
                flaw(at, what, "a constant stands behind its point: `plc.state == 6`")
            }
            Token::And | Token::Or | Token::Close | Token::Relation(_) => {
                flaw(at, "a point is expected here".to_owned(), "write it like `plc.auto && !plc.fault`")
            }
        }
    }

    /// What stands behind a `!` or inside parentheses.
    fn below(&mut self, at: &Range<usize>) -> Result<Expression, Flaw> {
        if self.depth == MOST_DEPTH {
            let what = format!("more than {MOST_DEPTH} parentheses and `!` lie inside each other");
            return flaw(at.clone(), what, "let the PLC combine some of them in one bit");
        }
        self.depth += 1;
        let is_not = matches!(self.tokens.get(self.next - 1), Some((Token::Not, _)));
        let inner = if is_not { self.negated() } else { self.any() };
        self.depth -= 1;
        inner
    }

    /// `!` binds to the point alone, so that `!a == 3` is not taken for something.
    fn negated(&mut self) -> Result<Expression, Flaw> {
        match self.tokens.get(self.next).cloned() {
            Some((Token::Name(name), at)) => {
                self.next += 1;
                let operand = self.mention(name, at, false)?;
                Ok(Expression::Holds(operand))
            }
            _ => self.one(),
        }
    }

    fn point(&mut self, name: String, at: Range<usize>) -> Result<Expression, Flaw> {
        let Some((Token::Relation(relation), sign)) = self.tokens.get(self.next).cloned() else {
            return Ok(Expression::Holds(self.mention(name, at, false)?));
        };
        self.next += 1;
        let Some((Token::Number(constant), _)) = self.tokens.get(self.next) else {
            let at = self.tokens.get(self.next).map_or(sign, |(_, at)| at.clone());
            let hint = "compare with a whole number: `plc.state == 6`";
            return flaw(at, "a constant is expected here".to_owned(), hint);
        };
        let constant = *constant;
        self.next += 1;
        Ok(Expression::Compares(self.mention(name, at, true)?, relation, constant))
    }

    fn mention(&mut self, name: String, at: Range<usize>, is_compared: bool) -> Result<usize, Flaw> {
        if self.mentions.len() == MOST_MENTIONS {
            let what = format!("the expression names points more than {MOST_MENTIONS} times");
            return flaw(at, what, "let the PLC combine some of them in one bit");
        }
        let known = self.operands.iter().position(|known| *known == name);
        let operand = known.unwrap_or_else(|| {
            self.operands.push(name);
            self.operands.len() - 1
        });
        self.mentions.push(Mention { operand, at, is_compared });
        Ok(operand)
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.tokens.get(self.next).is_some_and(|(next, _)| next == token);
        self.next += usize::from(is_next);
        is_next
    }
}

fn only(mut parts: Vec<Expression>, many: impl Fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text with these values, `?` for a failed read: operands by the order of their mention.
    fn holds(text: &str, values: &[Option<i64>]) -> Option<bool> {
        let parsed = parse(text).unwrap_or_else(|flaw| panic!("{flaw:?}"));
        parsed.expression.holds(&|operand| values[operand])
    }

    fn refused(text: &str) -> String {
        let flaw = parse(text).unwrap_err();
        format!("{} [{}] {}", flaw.what, &text[flaw.at], flaw.hint)
    }

    const T: Option<i64> = Some(1);
    const F: Option<i64> = Some(0);

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        let text = "plc.a || plc.b && !plc.c";
        assert_eq!(holds(text, &[F, T, F]), Some(true));
        assert_eq!(holds(text, &[F, T, T]), Some(false));
        assert_eq!(holds(text, &[T, F, T]), Some(true));
        assert_eq!(holds("(plc.a || plc.b) && !plc.c", &[T, F, T]), Some(false));
    }

    #[test]
    fn a_failed_read_matters_only_where_it_could_change_the_answer() {
        assert_eq!(holds("a.x && a.y", &[F, None]), Some(false));
        assert_eq!(holds("a.x && a.y", &[None, F]), Some(false));
        assert_eq!(holds("a.x && a.y", &[T, None]), None);
        assert_eq!(holds("a.x || a.y", &[None, T]), Some(true));
        assert_eq!(holds("a.x || a.y", &[None, F]), None);
        assert_eq!(holds("!a.x", &[None]), None);
    }

    #[test]
    fn whole_numbers_compare_and_alone_mean_not_zero() {
        for (text, truth) in [("==", [0, 1, 0]), ("!=", [1, 0, 1]), ("<", [1, 0, 0]), ("<=", [1, 1, 0])] {
            for (value, expected) in [2, 3, 4].into_iter().zip(truth) {
                assert_eq!(holds(&format!("plc.n {text} 3"), &[Some(value)]), Some(expected == 1), "{value} {text} 3");
            }
        }
        assert_eq!(holds("plc.n>-3&&plc.n>=-2", &[Some(-2)]), Some(true));
        assert_eq!(holds("plc.n", &[Some(7)]), Some(true));
    }

    #[test]
    fn a_point_named_twice_is_one_operand() {
        let parsed = parse("plc.n == 3 || plc.n == 4 || press-plc.run").unwrap();
        assert_eq!(parsed.operands, ["plc.n", "press-plc.run"]);
        assert_eq!(parsed.mentions.iter().map(|mention| mention.operand).collect::<Vec<_>>(), [0, 0, 1]);
    }

    #[test]
    fn a_flaw_points_at_its_token() {
        assert_eq!(refused("a.x & a.y"), "`&` is no operator [&] write `&&`");
        assert_eq!(refused("a.x and a.y"), "`and` is no operator [and] write `&&`");
        assert_eq!(refused("a.x a.y"), "there is no operator before this [a.y] combine conditions with && or ||");
        assert_eq!(refused("(a.x || a.y"), "`(` is never closed [(] add `)`");
        assert_eq!(refused("a.x)"), "`)` closes nothing [)] take it away");
        assert_eq!(refused("a.x &&"), "the expression ends before it is complete [&&] name a point after this");
        assert_eq!(
            refused("6 == a.n"),
            "6 stands where a point is expected [6] a constant stands behind its point: `plc.state == 6`"
        );
        assert_eq!(
            refused("a.n == a.m"),
            "a constant is expected here [a.m] compare with a whole number: `plc.state == 6`"
        );
        assert_eq!(
            refused("!a.n == 3"),
            "`!` stands before a comparison [!] write `!(plc.point == 3)`, or `plc.point != 3`"
        );
        assert!(refused(&format!("{}a.x{}", "(".repeat(17), ")".repeat(17))).starts_with("more than 16"));
        assert!(refused(&vec!["a.x"; 33].join(" || ")).starts_with("the expression names points more than 32 times"));
        assert!(refused(&"a".repeat(1001)).starts_with("the expression is longer than 1000 bytes"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_read_or_refused(text in "[a-z.0-9 &|!()=<>é-]{0,60}") {
            match parse(&text) {
                Ok(parsed) => { parsed.expression.holds(&|_| None); }
                Err(flaw) => { prop_assert!(text.get(flaw.at).is_some()); }
            }
        }
    }
}
