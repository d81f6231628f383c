//! Runs every story under `tests/stories`.

use std::{fs, path::Path};

use crate::script::Script;

#[test]
fn every_story_comes_out_as_written_and_replays() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the stories are there")
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 9, "stories went missing: {paths:?}");
    let mut wrong = Vec::new();
    for path in paths {
        let story = fs::read_to_string(&path).unwrap();
        let mut script = Script::new();
        let told = script.run(&story);
        script.assert_replays();
        if told == story {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &told).unwrap();
        }
        wrong.push(format!("{}\n{told}", path.display()));
    }
    assert!(
        wrong.is_empty(),
        "stories end otherwise:\n{}",
        wrong.join("\n")
    );
}
