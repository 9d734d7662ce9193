//! Compares README.md with the remarks `TODO(spec)` in the source.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The number of remarks in each file below `folder`, by the file's path in the crate.
fn remarks(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, usize>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            remarks(root, &path, found);
            continue;
        }
        let count = fs::read_to_string(&path).map_or(0, |text| text.matches("TODO(spec)").count());
        if count > 0 {
            let path = path.strip_prefix(root).expect("the folder is in the crate");
            found.insert(path.to_owned(), count);
        }
    }
}

#[test]
fn the_readme_lists_each_gap_in_a_standard() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut in_source = BTreeMap::new();
    remarks(root, &root.join("src"), &mut in_source);

    let readme = fs::read_to_string(root.join("README.md")).expect("the crate has a README");
    let (_, table) = readme.split_once("## What is missing").expect("the README has the section");
    let mut in_readme: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for row in table.lines().filter(|line| line.ends_with("` |")) {
        let path = row.rsplit('`').nth(1).expect("the row ends with a path in backticks");
        *in_readme.entry(path.into()).or_default() += 1;
    }
    assert_eq!(
        in_readme, in_source,
        "each `TODO(spec)` has a row with its file, and each row a remark"
    );
}
