//! A YAML mapping being read key by key: every mistake is noted with its place, and so is every
//! key that is understood but has no effect here.

use std::{cell::RefCell, fmt, time::Duration};

use crate::tree::{Key, Kind, Node, Position};

use crate::units;

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The file cannot be used.
    Mistake,
    /// The file is used; this part of it has no effect, and the note says why.
    Notice,
}

/// Something to say about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file's name as given.
    pub file: String,
    /// Where in it.
    pub at: Position,
    /// The key with its path: `scrape_configs[0].job_name`; empty for a syntax error.
    pub key: String,
    /// What is wrong, or what has no effect.
    pub message: String,
    /// How much it matters.
    pub weight: Weight,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.at;
        write!(f, "{}:{line}:{column}: ", self.file)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// The notes of one file.
#[derive(Debug)]
pub struct Notes {
    file: String,
    /// Who knows the keys.
    whose: &'static str,
    notes: RefCell<Vec<Note>>,
}

impl Notes {
    /// An empty list for the file of this name, one of Prometheus's.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self::of(file, "Prometheus")
    }

    /// An empty list for a file of this program's.
    #[must_use]
    pub fn of(file: &str, whose: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            whose,
            notes: RefCell::default(),
        }
    }

    /// Adds a note.
    pub fn add(&self, at: Position, key: &str, message: String, weight: Weight) {
        self.notes.borrow_mut().push(Note {
            file: self.file.clone(),
            at,
            key: key.to_owned(),
            message,
            weight,
        });
    }

    /// In the order of the text.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Note> {
        let mut notes = self.notes.into_inner();
        notes.sort_by_key(|note| note.at);
        notes
    }
}

/// A mapping being read. [`Table::finish`] notes the keys nobody asked for.
#[derive(Debug)]
pub struct Table<'n> {
    notes: &'n Notes,
    pairs: &'n [(Key, Node)],
    path: String,
    at: Position,
    asked: RefCell<Vec<&'static str>>,
}

impl<'n> Table<'n> {
    /// A node as a mapping; one that is none is noted, and read as empty.
    #[must_use]
    pub fn of(notes: &'n Notes, node: &'n Node, path: String) -> Self {
        let pairs: &[(Key, Node)] = match &node.kind {
            Kind::Map(pairs) => pairs,
            Kind::Null => &[],
            Kind::Text(_) | Kind::List(_) => {
                let message = format!("expected a mapping, found {}", node.type_name());
                notes.add(node.at, &path, message, Weight::Mistake);
                &[]
            }
        };
        Self {
            notes,
            pairs,
            path,
            at: node.at,
            asked: RefCell::default(),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key; `None` when it is absent or empty.
    #[must_use]
    pub fn get(&self, key: &'static str) -> Option<&'n Node> {
        self.asked.borrow_mut().push(key);
        let (_, value) = self.pairs.iter().find(|(k, _)| k.name == key)?;
        (value.kind != Kind::Null).then_some(value)
    }

    /// Every key with its value: for mappings whose keys are names the user chose.
    #[must_use]
    pub fn pairs(&self) -> &'n [(Key, Node)] {
        self.pairs
    }

    /// Notes a mistake about a key of this mapping.
    pub fn mistake(&self, key: &'static str, message: impl Into<String>) {
        let at = self.place(key);
        self.notes
            .add(at, &self.key(key), message.into(), Weight::Mistake);
    }

    /// Notes that a key is read and does not do all that it says.
    pub fn notice(&self, key: &'static str, message: impl Into<String>) {
        let at = self.place(key);
        self.notes
            .add(at, &self.key(key), message.into(), Weight::Notice);
    }

    /// Notes a mistake about a value inside this mapping.
    pub fn mistake_at(&self, at: Position, key: &str, message: impl Into<String>) {
        self.notes
            .add(at, &self.key(key), message.into(), Weight::Mistake);
    }

    /// Where the mapping begins.
    #[must_use]
    pub fn at(&self) -> Position {
        self.at
    }

    /// Notes something about the mapping as a whole.
    pub fn note(&self, at: Position, message: impl Into<String>, weight: Weight) {
        self.notes.add(at, &self.path, message.into(), weight);
    }

    fn place(&self, key: &str) -> Position {
        let found = self.pairs.iter().find(|(k, _)| k.name == key);
        found.map_or(self.at, |(key, _)| key.at)
    }

    /// Accepts a key that has no effect here, and says why.
    pub fn ignored(&self, key: &'static str, why: &str) {
        self.asked.borrow_mut().push(key);
        if let Some((found, _)) = self.pairs.iter().find(|(k, _)| k.name == key) {
            let message = format!("has no effect here: {why}");
            self.notes
                .add(found.at, &self.key(key), message, Weight::Notice);
        }
    }

    fn read<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'n str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let parsed = match &node.kind {
            Kind::Text(text) => parse(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                Err(format!("expected a text, found {}", node.type_name()))
            }
        };
        match parsed {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake_at(node.at, key, message);
                None
            }
        }
    }

    /// A text; `None` when absent or no text.
    #[must_use]
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, |text| Ok(text.to_owned()))
    }

    /// A text that must be there; empty when it is not.
    #[must_use]
    pub fn required_text(&self, key: &'static str) -> String {
        if self.get(key).is_none() {
            self.mistake(key, "is missing");
        }
        self.text(key).unwrap_or_default()
    }

    /// True or false, in YAML's words for them.
    #[must_use]
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        self.read(key, |text| match text {
            "true" | "True" | "TRUE" | "yes" | "on" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "off" => Ok(false),
            _ => Err(format!("expected true or false, found {text:?}")),
        })
    }

    /// A whole number.
    #[must_use]
    pub fn count(&self, key: &'static str) -> Option<usize> {
        self.read(key, |text| {
            text.parse().map_err(|_number| {
                format!("expected a whole number that is not negative, found {text:?}")
            })
        })
    }

    /// A size such as `10MB`.
    #[must_use]
    pub fn bytes(&self, key: &'static str) -> Option<usize> {
        self.read(key, units::bytes)
    }

    /// A time span such as `1m30s`.
    #[must_use]
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.read(key, units::duration)
    }

    /// One of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        self.read(key, |text| choice(text, choices))
    }

    /// A list of texts; empty when absent.
    #[must_use]
    pub fn texts(&self, key: &'static str) -> Vec<String> {
        let node = self.get(key);
        node.map_or_else(Vec::new, |node| self.texts_of(key, node))
    }

    /// The same of a value whose key the user chose.
    #[must_use]
    pub fn texts_of(&self, key: &str, node: &Node) -> Vec<String> {
        let list = self.items(key, node).into_iter();
        let texts = list.filter_map(|(path, node)| match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                let message = format!("expected a text, found {}", node.type_name());
                self.notes.add(node.at, &path, message, Weight::Mistake);
                None
            }
        });
        texts.collect()
    }

    /// The items of a list with their paths; a value that is no list is noted.
    fn items<'v>(&self, key: &str, node: &'v Node) -> Vec<(String, &'v Node)> {
        let Kind::List(list) = &node.kind else {
            let message = format!("expected a list, found {}", node.type_name());
            self.mistake_at(node.at, key, message);
            return Vec::new();
        };
        let path = |index| format!("{}[{index}]", self.key(key));
        list.iter()
            .enumerate()
            .map(|(index, node)| (path(index), node))
            .collect()
    }

    /// The mappings of a list; none when absent.
    #[must_use]
    pub fn tables(&self, key: &'static str) -> Vec<Table<'n>> {
        let node = self.get(key);
        let list = node.map_or_else(Vec::new, |node| self.items(key, node));
        list.into_iter()
            .map(|(path, node)| Table::of(self.notes, node, path))
            .collect()
    }

    /// A mapping inside this one; `None` when absent.
    #[must_use]
    pub fn table(&self, key: &'static str) -> Option<Table<'n>> {
        let node = self.get(key)?;
        Some(Table::of(self.notes, node, self.key(key)))
    }

    /// A mapping of names to texts, in order of name.
    #[must_use]
    pub fn text_map(&self, key: &'static str) -> Vec<(String, String)> {
        let Some(table) = self.table(key) else {
            return Vec::new();
        };
        let mut map = Vec::new();
        for (name, value) in table.pairs() {
            match &value.kind {
                Kind::Text(text) => map.push((name.name.clone(), text.clone())),
                Kind::Null => map.push((name.name.clone(), String::new())),
                Kind::List(_) | Kind::Map(_) => {
                    let message = format!("expected a text, found {}", value.type_name());
                    table.mistake_at(value.at, &name.name, message);
                }
            }
        }
        map.sort();
        map
    }

    /// A reader of another mapping in the same file.
    #[must_use]
    pub fn other(&self, path: String, node: &'n Node) -> Table<'n> {
        Table::of(self.notes, node, path)
    }

    /// Notes the keys nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.pairs {
            if asked.contains(&key.name.as_str()) {
                continue;
            }
            let hint = match nearest(&key.name, &asked) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            let message = format!("is not a key {} knows here{hint}", self.notes.whose);
            self.notes
                .add(key.at, &self.key(&key.name), message, Weight::Mistake);
        }
    }
}

/// The meaning of a word.
pub fn choice<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{text:?} is none of {}", names.join(", "))
    })
}

/// The known name closest to a wrong one, if it is close enough to be meant.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) = known.iter().map(|k| (edits(name, k), *k)).min()?;
    (distance <= 1 + name.len() / 4).then_some(near)
}

/// Levenshtein distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn edits_are_counted_as_levenshtein_does() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
