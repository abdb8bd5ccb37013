//! The code map: each folder of `src` imports only from the folders below it, so the graph of folders has no cycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The folders (and single files) of `src`, lowest first. Each imports only from those before it.
const ORDER: [&str; 20] = [
    "backoff",
    "clock",
    "json",
    "invalid_field",
    "credential",
    "telemetry",
    "client_ip",
    "principal",
    "requirement",
    "key_store",
    "jwt",
    "audit",
    "authenticator",
    "response",
    "layer",
    "key_admin",
    "tonic",
    "axum",
    "testing",
    "manual",
];

#[test]
fn no_folder_imports_from_above() {
    assert_eq!(imports_from_above(&sources()), [""; 0]);
}

#[test]
fn files_import_each_other_without_cycles() {
    assert_eq!(cycle(&sources()), None);
}

#[test]
fn every_file_is_in_the_order() {
    for path in sources().keys() {
        let folder = &module_of(path)[..];
        let is_known = matches!(folder, []) || ORDER.contains(&&*folder[0]);
        assert!(is_known, "src/{path} is in no folder of ORDER");
    }
}

#[test]
fn no_file_is_long() {
    let long = sources().into_iter().filter_map(|(path, text)| {
        let lines = text
            .lines()
            .take_while(|line| *line != "mod tests {")
            .count();
        (lines > 400).then(|| format!("src/{path} has {lines} lines"))
    });
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// The text of each file under `src` that is not a file of tests, by its path.
pub(crate) fn sources() -> BTreeMap<String, String> {
    fn read(folder: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                read(&entry.path(), &format!("{path}/"), sources);
            } else if path.ends_with(".rs") && !path.contains("tests") {
                sources.insert(path, std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    let mut sources = BTreeMap::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut sources,
    );
    assert!(sources.contains_key("lib.rs"));
    sources
}

/// `"jwt/claims.rs"` is the module `jwt::claims`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let names = path.split('/').filter(|name| *name != "lib");
    names.map(str::to_owned).collect()
}

fn imports_from_above(sources: &BTreeMap<String, String>) -> Vec<String> {
    let reexported: BTreeMap<String, String> = paths(&sources["lib.rs"], &[])
        .into_iter()
        .filter(|path| path.len() > 1)
        .map(|path| (path[path.len() - 1].clone(), path[0].clone()))
        .collect();
    let line = |folder: &str| ORDER.iter().position(|name| *name == folder);
    let mut faults = BTreeSet::new();
    for (path, text) in sources.iter().filter(|(path, _)| *path != "lib.rs") {
        let module = module_of(path);
        for used in paths(text, &module) {
            let folder = reexported.get(&used[0]).unwrap_or(&used[0]);
            let used = used.join("::");
            match (line(&module[0]), line(folder)) {
                (_, None) => faults.insert(format!("{path}: what is crate::{used}?")),
                (from, to) => to > from && faults.insert(format!("{path} imports crate::{used}")),
            };
        }
    }
    Vec::from_iter(faults)
}

/// Returns a cycle of files. `mod.rs` stands for its folder; a re-export is not an import.
fn cycle(sources: &BTreeMap<String, String>) -> Option<Vec<String>> {
    type Module = Vec<String>;
    fn walk(
        at: &Module,
        imports: &BTreeMap<Module, BTreeSet<Module>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> bool {
        if done.contains(at) {
            return false;
        }
        way.push(at.clone());
        if way.iter().filter(|step| *step == at).count() > 1
            || imports[at]
                .iter()
                .any(|next| walk(next, imports, way, done))
        {
            return true;
        }
        way.pop();
        done.insert(at.clone());
        false
    }

    let modules: BTreeSet<Module> = sources.keys().map(|path| module_of(path)).collect();
    let imports = sources.iter().map(|(path, text)| {
        let module = module_of(path);
        let used = paths(text, &module).into_iter().filter_map(|mut path| {
            while !modules.contains(&path) {
                path.pop();
            }
            (!path.is_empty() && path != module).then_some(path)
        });
        (module.clone(), used.collect())
    });
    let imports: BTreeMap<Module, BTreeSet<Module>> =
        imports.filter(|(module, _)| !module.is_empty()).collect();
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    let found = imports
        .keys()
        .any(|module| walk(module, &imports, &mut way, &mut done));
    found.then(|| way.iter().map(|module| module.join("::")).collect())
}

/// Returns every path from the crate root in the code of `module`, without tests and re-exports. Comments and strings are not
/// tokens.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(text.parse().unwrap(), module, &mut found);
    found
}

fn collect(tokens: TokenStream, module: &[String], found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = &tokens[..];
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            TokenTree::Punct(hash) if hash.as_char() == '#' && is_cfg_test(rest) => {
                rest = after_item(rest);
            }
            TokenTree::Ident(public) if public == "pub" && is_reexport(rest, module) => {
                rest = after_item(rest);
            }
            TokenTree::Ident(root) if is_double_colon(rest) => {
                let base = match &*root.to_string() {
                    "crate" => Some(&[][..]),
                    "self" => Some(module),
                    "super" => module.split_last().map(|(_, parent)| parent),
                    _ => None,
                };
                if let Some(base) = base {
                    rest = follow(base.to_vec(), &rest[2..], found);
                }
            }
            TokenTree::Group(group) => collect(group.stream(), module, found),
            _ => {}
        }
    }
}

/// Reads the rest of a path or a tree of paths, and returns the tokens after it.
fn follow<'a>(
    mut path: Vec<String>,
    mut rest: &'a [TokenTree],
    found: &mut Vec<Vec<String>>,
) -> &'a [TokenTree] {
    loop {
        match rest.first() {
            Some(TokenTree::Ident(name)) => {
                if name == "super" {
                    path.pop();
                } else if name != "self" {
                    path.push(name.to_string());
                }
                rest = &rest[1..];
            }
            Some(TokenTree::Group(tree)) if tree.delimiter() == Delimiter::Brace => {
                let tree: Vec<TokenTree> = tree.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
                for branch in tree.split(is_comma).filter(|branch| !branch.is_empty()) {
                    follow(path.clone(), branch, found);
                }
                return &rest[1..];
            }
            _ => {}
        }
        if !is_double_colon(rest) {
            break;
        }
        rest = &rest[2..];
    }
    if !path.is_empty() {
        found.push(path);
    }
    rest
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ':');
    matches!(tokens, [one, other, ..] if is_colon(one) && is_colon(other))
}

fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let text = tokens
        .first()
        .map(|attribute| attribute.to_string().replace(' ', ""));
    text.as_deref() == Some("[cfg(test)]")
}

/// Whether this is `pub use self::…` or `pub(crate) use self::…`: a module that re-exports its children does not depend on
/// them. In `lib.rs` re-exports are read, since they tell which folder a name of the crate root comes from.
fn is_reexport(after_pub: &[TokenTree], module: &[String]) -> bool {
    let rest = match after_pub {
        [TokenTree::Group(_), rest @ ..] => rest,
        rest => rest,
    };
    let words: Vec<String> = rest.iter().take(2).map(ToString::to_string).collect();
    !module.is_empty() && words == ["use", "self"]
}

/// Returns the tokens after the item that begins here: after its `;`, or its block.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_use = tokens
        .iter()
        .take(4)
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "use"));
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(it) => it.as_char() == ';',
        TokenTree::Group(block) => block.delimiter() == Delimiter::Brace && !is_use,
        _ => false,
    });
    end.map_or(&[], |end| &tokens[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        let lib = (
            "lib.rs",
            "pub use self::{layer::{CoverbaseAuthLayer, Other}, principal::Scope};",
        );
        let files = files.iter().chain([&lib]);
        files
            .map(|(path, text)| (path.to_string(), text.to_string()))
            .collect()
    }

    #[test]
    fn import_from_above_is_found_in_every_form() {
        for bad in [
            "use crate::layer::Layer;",
            "use crate::{clock::{self, Clock}, layer::{Layer}};",
            "use crate::CoverbaseAuthLayer;",
            "use crate::{principal::Scope, CoverbaseAuthLayer as Auth};",
            "use super::layer::*;",
            "pub(crate) use crate::layer::Layer;",
            "fn f() { let _ = crate::layer::new(); }",
            "fn f(_: &crate::CoverbaseAuthLayer) {}",
            "macro_rules! m { () => { $crate::layer::new() } }",
            "#[cfg(feature = \"jwt\")] use crate::layer::Layer;",
            "#[cfg(any(test, feature = \"test-util\"))] use crate::layer::Layer;",
            "#[cfg(test)] mod tests {} use crate::layer::Layer;",
            "#[cfg(test)] use crate::{a, b}; use crate::layer::Layer;",
            "use crate::nowhere::Layer;",
        ] {
            assert_eq!(
                imports_from_above(&crate_of(&[("requirement.rs", bad)])).len(),
                1,
                "{bad}"
            );
            let deeper = bad.replace("super::", "super::super::");
            let faults = imports_from_above(&crate_of(&[("key_store/memory.rs", &deeper)]));
            assert_eq!(faults.len(), 1, "{deeper}");
        }
    }

    #[test]
    fn other_code_is_not_reported() {
        for good in [
            "use crate::{principal::Scope, clock}; use crate::Scope as S; use super::principal;",
            "use std::fmt; use http::layer::Layer; pub(crate) fn f(self) { Self::layer::<u8>() }",
            "// use crate::layer::Layer;\n/// [`crate::layer::Layer`]\n/* crate::layer */ fn f() {}",
            "const TEXT: &str = \"crate::layer::Layer\";",
            "#[cfg(test)] mod tests { use crate::layer::Layer; }",
            "#[cfg(test)] use crate::{layer::Layer, axum};",
            "#[cfg(test)] #[test] fn f() { crate::layer::new() }",
        ] {
            assert_eq!(
                imports_from_above(&crate_of(&[("requirement.rs", good)])),
                [""; 0],
                "{good}"
            );
        }
        let below = [("layer.rs", "use crate::principal::Principal;")];
        assert_eq!(imports_from_above(&crate_of(&below)), [""; 0]);
    }

    #[test]
    fn cycle_inside_a_folder_is_found() {
        let facade = (
            "jwt/mod.rs",
            "mod a; mod b; pub use self::a::A; use self::b::B;",
        );
        let a = |imports| {
            [
                facade,
                ("jwt/a.rs", "use super::b::B;"),
                ("jwt/b.rs", imports),
            ]
        };
        assert_eq!(cycle(&crate_of(&a("use crate::principal::Scope;"))), None);
        let expected = ["jwt", "jwt::b", "jwt"].map(str::to_owned);
        assert_eq!(
            cycle(&crate_of(&a("use super::Token;"))),
            Some(expected.to_vec())
        );
        let expected = ["jwt", "jwt::b", "jwt::a", "jwt::b"].map(str::to_owned);
        assert_eq!(
            cycle(&crate_of(&a("use crate::jwt::a::A;"))),
            Some(expected.to_vec())
        );
    }
}
