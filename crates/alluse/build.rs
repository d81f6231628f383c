//! Embeds the dashboard in `web/dist`, if it has been built: a table of its files.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

fn main() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist");
    println!("cargo::rerun-if-changed={}", web.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut table = fs::File::create(out.join("dashboard.rs")).expect("OUT_DIR is writable");
    let mut rows = Vec::new();
    collect(&web, &web, &mut rows);
    rows.sort();
    writeln!(table, "const FILES: &[File] = &[").expect("OUT_DIR is writable");
    for (path, file) in rows {
        let row = format!("File {{ path: {path:?}, bytes: include_bytes!({file:?}) }},");
        writeln!(table, "    {row}").expect("OUT_DIR is writable");
    }
    writeln!(table, "];").expect("OUT_DIR is writable");
}

/// Paths of files below a folder, relative and absolute; none where there is no folder.
fn collect(base: &Path, folder: &Path, rows: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(base, &path, rows);
        } else if let Ok(relative) = path.strip_prefix(base) {
            let file = fs::canonicalize(&path).expect("listed above");
            rows.push((relative.to_string_lossy().into_owned(), file));
        }
    }
}
