//! `alluse store check` and `alluse store repair`.

use serde_json::{Value, json};
use store::{Action, Checked, Disk, Fault, Loss, ReadOnlyDisk, Repaired};

use super::{CheckArgs, RepairArgs, bytes_bar, date, print, store_folder};
use crate::Failure;

pub(super) fn run(args: &CheckArgs, quiet: bool) -> Result<(), Failure> {
    let folder = store_folder(&args.dir)?;
    let disk = ReadOnlyDisk::open(&folder).map_err(|e| Failure::of(&e))?;
    let checked = checked(&disk, quiet)?;
    let text = if args.json {
        as_json(&checked).to_string()
    } else {
        as_text(&checked)
    };
    print(&text)?;
    verdict(&checked)
}

/// Checks a disk, with a bar.
pub(crate) fn checked(disk: &dyn Disk, quiet: bool) -> Result<Checked, Failure> {
    let bar = bytes_bar("checking", quiet);
    let checked = store::check(disk, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    checked.map_err(|e| Failure::of(&e))
}

fn verdict(checked: &Checked) -> Result<(), Failure> {
    match checked.faults.len() {
        0 => Ok(()),
        n => Err(Failure::new(format!(
            "alluse: {n} faults: see `alluse store repair --help`"
        ))),
    }
}

fn as_json(checked: &Checked) -> Value {
    json!({
        "sound": checked.faults.is_empty(),
        "files": checked.files,
        "bytes": checked.bytes,
        "blocks": checked.blocks,
        "samples": checked.samples,
        "faults": checked.faults.iter().map(fault_json).collect::<Vec<_>>(),
        "notes": checked.notes.iter().map(fault_json).collect::<Vec<_>>(),
    })
}

fn fault_json(fault: &Fault) -> Value {
    let loss = fault.loss.as_ref().map(|loss| {
        json!({
            "series": loss.series.as_ref().map(ToString::to_string),
            "from_ms": loss.times_ms.map(|t| t.0),
            "to_ms": loss.times_ms.map(|t| t.1),
            "samples": loss.samples,
        })
    });
    json!({"file": fault.file, "at": fault.at, "what": fault.what, "loss": loss})
}

fn as_text(checked: &Checked) -> String {
    let mut lines = Vec::new();
    for note in &checked.notes {
        lines.push(format!(
            "note   {} at byte {}: {}",
            note.file, note.at, note.what
        ));
    }
    for fault in &checked.faults {
        lines.extend(fault_lines(fault));
    }
    lines.push(format!(
        "{} files, {} bytes, {} blocks, {} samples check; {} faults",
        checked.files,
        checked.bytes,
        checked.blocks,
        checked.samples,
        checked.faults.len()
    ));
    lines.join("\n")
}

fn fault_lines(fault: &Fault) -> Vec<String> {
    let mut lines = vec![format!(
        "FAULT  {} at byte {}: {}",
        fault.file, fault.at, fault.what
    )];
    lines.extend(
        fault
            .loss
            .as_ref()
            .map(|loss| format!("       lost: {}", said(loss))),
    );
    lines
}

fn said(loss: &Loss) -> String {
    let samples = match loss.samples {
        Some(n) => format!("{n} samples"),
        None => "samples nobody can count".to_owned(),
    };
    let series = loss
        .series
        .as_ref()
        .map_or(String::new(), |s| format!(" of {s}"));
    let times = loss.times_ms.map_or(String::new(), |(from, to)| {
        format!(" from {} to {}", date(from), date(to))
    });
    format!("{samples}{series}{times}")
}

pub(super) fn repair(args: &RepairArgs, quiet: bool) -> Result<(), Failure> {
    let folder = store_folder(&args.dir)?;
    let bar = bytes_bar("checking", quiet);
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let repaired = if args.yes {
        let disk = store::open_directory(&folder).map_err(|e| Failure::of(&e))?;
        let repaired = store::repair(&*disk, true, &mut progress);
        let repaired = repaired.map_err(|e| Failure::of(&e))?;
        let after = store::check(&*disk, &mut |_, _| {}).map_err(|e| Failure::of(&e))?;
        verdict(&after)?;
        repaired
    } else {
        let disk = ReadOnlyDisk::open(&folder).map_err(|e| Failure::of(&e))?;
        store::repair(&disk, false, &mut progress).map_err(|e| Failure::of(&e))?
    };
    bar.finish_and_clear();
    let text = if args.json {
        repaired_json(&repaired, args.yes).to_string()
    } else {
        repaired_text(&repaired, args.yes)
    };
    print(&text)
}

fn repaired_json(repaired: &Repaired, done: bool) -> Value {
    let action = |action: &Action| {
        json!({
            "file": action.file,
            "what": action.what,
            "samples_kept": action.kept,
            "faults": action.faults.iter().map(fault_json).collect::<Vec<_>>(),
        })
    };
    json!({"done": done, "actions": repaired.actions.iter().map(action).collect::<Vec<_>>()})
}

fn repaired_text(repaired: &Repaired, done: bool) -> String {
    if repaired.actions.is_empty() {
        return "nothing is wrong: nothing to repair".to_owned();
    }
    let mut lines = Vec::new();
    for action in &repaired.actions {
        let verb = if done { "" } else { "to be " };
        lines.push(format!(
            "{}: {verb}{}; {} samples stay",
            action.file, action.what, action.kept
        ));
        lines.extend(action.faults.iter().flat_map(fault_lines));
    }
    lines.push(if done {
        "Done. What was there before is in quarantine/, each file with its reason.".to_owned()
    } else {
        "Nothing was changed. Stop the server and repeat with --yes to do this.".to_owned()
    });
    lines.join("\n")
}
