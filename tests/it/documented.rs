//! Documentation: what a user can name, some example shows.

use crate::module_graph::sources;

#[test]
fn every_public_item_is_shown_in_an_example() {
    let mut unshown_items = sources();
    unshown_items.retain(|_, text| {
        *text = unshown(text).join(", ");
        !text.is_empty()
    });
    assert_eq!(unshown_items, [].into());
}

/// The file's public items without an example of their own that no other example of the file names. The lint
/// `unreachable_pub` sees to it that `pub` is what a user can reach; rustfmt, that an item begins a line.
fn unshown(text: &str) -> Vec<String> {
    let (mut items, mut examples) = (Vec::new(), String::new());
    let (mut block, mut owner, mut has_example) = (None, Owner::default(), false);
    for line in text.lines().take_while(|line| *line != "mod tests {") {
        if let Some(doc) = doc(line.trim_start()) {
            match (block, doc.strip_prefix("```")) {
                (None, Some(kind)) => block = Some(matches!(kind, "" | "no_run")),
                (Some(_), Some("")) => block = None,
                (Some(true), None) if !doc.trim_start().starts_with('#') => {
                    has_example = true;
                    examples = examples + doc + "\n";
                }
                _ => {}
            }
            continue;
        }
        owner.follow(line);
        items.extend(owner.item(line).filter(|_| !has_example));
        has_example &= !line.ends_with(['{', '}', ';']);
    }
    items.retain(|item| !is_shown(item, &examples));
    items
}

/// A line of documentation, the first of an example that hangs on a feature included.
fn doc(line: &str) -> Option<&str> {
    if let Some((_, text)) = line.split_once(", doc = \"") {
        return text.strip_suffix("\")]");
    }
    let text = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// The `impl` or `pub trait` that a line stands in.
#[derive(Default)]
struct Owner<'t> {
    name: &'t str,
    is_trait: bool,
}

impl<'t> Owner<'t> {
    fn follow(&mut self, line: &'t str) {
        let first_word = |text: &'t str| text.split(|it| !is_name(it)).next().unwrap();
        if !line.starts_with(' ') && line.ends_with('}') {
            *self = Self::default();
        } else if let Some(name) = line.strip_prefix("pub trait ") {
            (self.name, self.is_trait) = (first_word(name), true);
        } else if let Some(header) = line.strip_prefix("impl") {
            let generic = header.split_once("> ").filter(|_| header.starts_with('<'));
            let header = generic.map_or(header, |(_, header)| header);
            (self.name, self.is_trait) = (first_word(header.trim_start()), false);
        }
    }

    /// The item that is declared here: `MemoryStore` or `MemoryStore::insert`.
    fn item(&self, line: &str) -> Option<String> {
        const KINDS: &str = "fn struct enum trait const static type";
        let code = line.trim_start();
        let method = Some(code).filter(|code| self.is_trait && line.find(code) == Some(4));
        let declared = code.strip_prefix("pub ").or(method)?;
        let words: Vec<_> = declared.split(|it| !is_name(it)).take(3).collect();
        let name = match words[..] {
            ["const" | "async", "fn", name] => name,
            [kind, name, ..] if KINDS.split(' ').any(|it| it == kind) => name,
            _ => return None,
        };
        let owner = Some(self.name).filter(|name| line.starts_with(' ') && !name.is_empty());
        let path: Vec<_> = owner.into_iter().chain([name]).collect();
        Some(path.join("::"))
    }
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn is_shown(item: &str, examples: &str) -> bool {
    let has = |words: &str| {
        examples.match_indices(words).any(|(at, _)| {
            let goes_on = words.starts_with(is_name) && examples[..at].ends_with(is_name);
            !goes_on && !examples[at + words.len()..].starts_with(is_name)
        })
    };
    let member = item.split_once("::").map(|(_, member)| member);
    has(item) || member.is_some_and(|it| has(&format!(".{it}")) || has(&format!("fn {it}")))
}

#[test]
fn an_example_that_is_taken_away_is_missed() {
    let file = "/// ```\n/// A::new(B).with();\n/// ```\npub struct A;\n/// B\n#[derive(Debug)]\npub enum B {\n    C,\n}\n\
                impl<T: Into<B>> A<T> {\n    /// New\n    pub const fn new() {}\n    pub fn with(self) {}\n}\n\
                pub trait D {\n    /// ```ignore\n    /// e\n    /// ```\n    async fn e() {}\n}\n";
    let unshown_where = |old, new| unshown(&file.replace(old, new));
    assert_eq!(unshown_where("", ""), ["D", "D::e"]);
    assert_eq!(unshown_where("```ignore", "```"), ["D"]);
    let gated = "#[cfg_attr(feature = \"f\", doc = \"```\")]\n    #[cfg_attr(not(feature = \"f\"), doc = \"```ignore\")]";
    assert_eq!(unshown_where("/// ```ignore", gated), ["D"]);
    let with = ["A::with", "D", "D::e"];
    assert_eq!(unshown_where(".with()", ".without()"), with);
    assert_eq!(unshown_where("/// A::new", "/// # A::new").len(), 6);
}
