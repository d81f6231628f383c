//! YAML text into a tree whose every value knows its line and column.
//!
//! Events come from `saphyr-parser` (YAML 1.2); the tree is built without recursion and within
//! bounds, so that neither deep nesting nor a bomb of aliases (`&a [*b, *b]`, doubling at each
//! level) costs more than [`NODES_MAX`] nodes. Merge keys (`<<`) are expanded, as Prometheus's
//! reader does. Scalars stay text: what `1m` or `"8"` means is up to whoever asks.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use thiserror::Error;

/// Bytes of a text. 4 MiB: a list of some 50,000 targets.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// Nodes of a tree, those of expanded aliases included.
pub const NODES_MAX: usize = 1_000_000;

/// Levels of nesting; no real configuration has ten.
pub const DEPTH_MAX: usize = 64;

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within it.
    pub column: usize,
}

/// A value and where it stands. An alias stands where its anchor does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: `key:`, `~` or `null`.
    Null,
    /// Any other scalar, unquoted.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands.
    pub at: Position,
    /// Its text.
    pub name: String,
}

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}:{}: {what}", at.line, at.column)]
pub struct YamlError {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub what: String,
}

impl Node {
    /// As people call it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// Reads one document; an empty text is [`Kind::Null`].
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let start = Position { line: 1, column: 1 };
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("the text is longer than {TEXT_BYTES_MAX} bytes");
        return Err(YamlError { at: start, what });
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| YamlError {
            at: position(error.marker()),
            what: error.info().to_owned(),
        })?;
        let at = position(&span.start);
        builder
            .take(event, at)
            .map_err(|what| YamlError { at, what })?;
    }
    Ok(builder.root.unwrap_or(Node {
        at: start,
        kind: Kind::Null,
    }))
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A collection that is not yet closed.
struct Open {
    node: Node,
    anchor: usize,
    /// In a mapping: the key whose value is awaited.
    key: Option<Key>,
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    /// By the parser's number of the anchor, with their sizes.
    anchors: std::collections::BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document: one is read".to_owned());
                }
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (node, size) = known.ok_or("an alias inside its own anchor")?;
                self.count(size)?;
                self.put(node, 0)?;
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1)?;
                let kind = scalar(text.into_owned(), style);
                self.put(Node { at, kind }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(at, Kind::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.begin(at, Kind::Map(Vec::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = self.open.pop().expect("ends pair with starts");
                self.put(merged(closed.node)?, closed.anchor)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes += more;
        if self.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values, aliases expanded"));
        }
        Ok(())
    }

    fn begin(&mut self, at: Position, kind: Kind, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if self.open.len() == DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let node = Node { at, kind };
        self.open.push(Open {
            node,
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let size = size(&node);
            // What anchors hold is counted too: a copy each.
            self.count(size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(list), _) => list.push(node),
            (Kind::Map(_), None) => open.key = Some(key(node)?),
            (Kind::Map(map), Some(key)) => map.push((key, node)),
            (Kind::Null | Kind::Text(_), _) => unreachable!("only collections are opened"),
        }
        Ok(())
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    let is_plain = style == ScalarStyle::Plain;
    if is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        Kind::Null
    } else {
        Kind::Text(text)
    }
}

fn key(node: Node) -> Result<Key, String> {
    match node.kind {
        Kind::Text(name) => Ok(Key { at: node.at, name }),
        Kind::Null => Err("a key without a name".to_owned()),
        Kind::List(_) | Kind::Map(_) => Err("a key that is not a text".to_owned()),
    }
}

/// Nodes of a tree; its depth is bounded.
fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Null | Kind::Text(_) => 1,
        Kind::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Kind::Map(map) => 1 + map.iter().map(|(_, value)| size(value)).sum::<usize>(),
    }
}

/// A mapping with its merge keys expanded and its keys checked; anything else as it is.
fn merged(node: Node) -> Result<Node, String> {
    let Kind::Map(map) = node.kind else {
        return Ok(node);
    };
    let (merges, mut own): (Vec<_>, Vec<_>) = map.into_iter().partition(|(k, _)| k.name == "<<");
    let mut names = std::collections::BTreeSet::new();
    if let Some((twice, _)) = own.iter().find(|(key, _)| !names.insert(key.name.clone())) {
        return Err(format!(
            "the key `{}` at {}:{} is there twice",
            twice.name, twice.at.line, twice.at.column
        ));
    }
    for (_, value) in merges {
        let sources = match value.kind {
            Kind::List(list) => list,
            Kind::Null | Kind::Text(_) | Kind::Map(_) => vec![value],
        };
        for source in sources {
            let Kind::Map(pairs) = source.kind else {
                return Err("`<<` merges mappings only".to_owned());
            };
            let new = pairs
                .into_iter()
                .filter(|(k, _)| names.insert(k.name.clone()));
            own.extend(new);
        }
    }
    Ok(Node {
        at: node.at,
        kind: Kind::Map(own),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "~".to_owned(),
            Kind::Text(text) => text.clone(),
            Kind::List(list) => {
                format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(","))
            }
            Kind::Map(map) => {
                let pairs = map.iter().map(|(k, v)| format!("{}:{}", k.name, text(v)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn values_know_their_places() {
        let node = parse("a: 1\nb:\n  - x\n  - \"null\"\n  - ~\n").unwrap();
        assert_eq!(text(&node), "{a:1,b:[x,null,~]}");
        let Kind::Map(map) = &node.kind else { panic!() };
        assert_eq!(map[1].0.at, Position { line: 2, column: 1 });
        let Kind::List(list) = &map[1].1.kind else {
            panic!()
        };
        assert_eq!(list[1].at, Position { line: 4, column: 5 });
        assert_eq!(list[1].kind, Kind::Text("null".to_owned()));
    }

    #[test]
    fn anchors_are_copied_and_merge_keys_expanded() {
        let node = parse("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x\n").unwrap();
        assert_eq!(text(&node), "{x:{a:1,b:2},y:{b:3,a:1},z:{a:1,b:2}}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (bad, expected) in [
            ("a: 1\na: 2\n", "`a` at 2:1 is there twice"),
            ("a: [1\n", ""),
            ("a: *nobody\n", "1:"),
            ("? [1]\n: 2\n", "a key that is not a text"),
            ("a: 1\n---\nb: 2\n", "a second document"),
            ("a: &x [*x]\n", "an alias inside its own anchor"),
            ("a: {<<: 1}\n", "merges mappings only"),
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_before_it_unfolds() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let one = format!("*a{}", level - 1);
            let ten = vec![one; 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
        }
        let error = parse(&bomb).unwrap_err();
        assert!(error.what.contains("aliases expanded"), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let deep = format!("{}{}", open.repeat(200), close.repeat(200));
            assert!(parse(&deep).is_err());
        }
        let steps: String = (0..200).map(|n| format!("{}- \n", " ".repeat(n))).collect();
        assert!(parse(&format!("{steps}{}x", " ".repeat(200))).is_err());
    }
}
