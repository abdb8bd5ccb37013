//! The features: what the README and the front page tell is what the manifest has.

use std::collections::BTreeSet;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const README: &str = include_str!("../../README.md");
const FRONT_PAGE: &str = include_str!("../../src/lib.rs");

#[test]
fn each_feature_is_a_row_of_both_tables() {
    assert_eq!(rows(README), features());
    assert_eq!(rows(&FRONT_PAGE.replace("//! ", "")), features());
}

#[test]
fn full_is_all_of_them() {
    let (_, full) = MANIFEST.split_once("\nfull = [").unwrap();
    let (full, _) = full.split_once(']').unwrap();
    let mut full: BTreeSet<_> = full.split('"').skip(1).step_by(2).collect();
    full.insert("full");
    assert_eq!(full, features());
}

/// Without `default`, which is empty. It is read as cargo writes it into a package, too.
fn features() -> BTreeSet<&'static str> {
    let (_, table) = MANIFEST.split_once("\n[features]\n").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let lists = table.lines().filter_map(|line| line.split_once(" = ["));
    let names = lists.map(|(name, _)| name);
    names.filter(|name| *name != "default").collect()
}

/// What stands between backticks in the first cells of the table of features.
fn rows(text: &str) -> BTreeSet<&str> {
    let (_, table) = text.split_once("| feature | brings |\n").unwrap();
    let table = table.lines().take_while(|line| line.starts_with('|'));
    let cells = table.filter_map(|line| line.split('|').nth(1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn one_rust_version_is_promised() {
    let (_, version) = MANIFEST.split_once("\nrust-version = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    assert!(README.contains(&format!(
        "## Minimum supported Rust version\n\n{version}.\n"
    )));
    assert!(FRONT_PAGE.contains(&format!(
        "The minimum supported Rust version is {version}.\n"
    )));
}
