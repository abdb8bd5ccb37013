//! The feature table of the README names the features of the manifest.

use std::collections::BTreeSet;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const README: &str = include_str!("../../README.md");

#[test]
fn every_feature_is_a_row_of_the_table() {
    assert_eq!(rows(README), features());
}

#[test]
fn full_has_every_feature() {
    let (_, full) = MANIFEST.split_once("\nfull = [").unwrap();
    let (full, _) = full.split_once(']').unwrap();
    let mut full: BTreeSet<_> = full.split('"').skip(1).step_by(2).collect();
    full.insert("full");
    assert_eq!(full, features());
}

/// Returns the features without `default`, which is empty. Also reads the form that cargo writes into a package.
fn features() -> BTreeSet<&'static str> {
    let (_, table) = MANIFEST.split_once("\n[features]\n").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let lists = table.lines().filter_map(|line| line.split_once(" = ["));
    let names = lists.map(|(name, _)| name);
    names.filter(|name| *name != "default").collect()
}

/// Returns the names between backticks in the first column of the feature table.
fn rows(text: &str) -> BTreeSet<&str> {
    let (_, table) = text.split_once("| feature | adds |\n").unwrap();
    let table = table.lines().take_while(|line| line.starts_with('|'));
    let cells = table.filter_map(|line| line.split('|').nth(1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn readme_names_the_rust_version_of_the_manifest() {
    let (_, version) = MANIFEST.split_once("\nrust-version = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    assert!(README.contains(&format!("minimum supported Rust version is {version}.")));
}
