//! What is recorded reads back: lists, identities, bounds. Also the nouns other tests use.

use journal::{Journal, JournalError, Settings};
use model::{
    Author, Change, ChangeId, ChangeState, Decision, Finding, FindingId, FindingKind, Goal,
    GuardBreach, Interval, KnobValue, Labels, Proposal, ProposalId, Ruling, Setting, Study,
    StudyId, StudyState, Trial, TrialId, TrialState, Why,
};

pub(crate) fn change(id: u64, state: ChangeState) -> Change {
    let value = KnobValue::Float(0.1 + id as f64);
    Change {
        id: ChangeId(id),
        proposal: Proposal {
            id: ProposalId(id),
            target: "ledger".into(),
            values: vec![("linger.ms".into(), value.clone())],
            author: Author::Person { name: "kim".into() },
            reason: "why \"not\"?".into(),
            expected: Some(-0.1),
            at_ms: 5,
        },
        settings: vec![Setting {
            knob: "linger.ms".into(),
            old: KnobValue::Float(2.5),
            new: value,
        }],
        state,
        begun_ms: 7,
        ended_ms: None,
        verdict: None,
        breach: Some(GuardBreach {
            guard: "p99".into(),
            value: None,
            bound: 5.0,
            at_ms: 9,
        }),
        read_back: vec![],
    }
}

pub(crate) fn finding(at_ms: i64) -> Finding {
    Finding {
        id: FindingId(0),
        series: Labels::from_pairs([("__name__", "up"), ("job", "ledger")]),
        at_ms,
        what: FindingKind::Exhaustion {
            threshold: 1e12,
            seconds: 3_600.0,
            interval: Interval {
                low: 1_800.0,
                high: f64::INFINITY,
            },
        },
        severity: 3.0,
        summary: "The disk is full in an hour.".into(),
    }
}

fn study(id: u64) -> Study {
    Study {
        id: StudyId(id),
        target: "ledger".into(),
        objective: "rate(requests[5s])".into(),
        goal: Goal::Maximize,
        method: "random".into(),
        // Larger than JavaScript's and SQLite's integers.
        seed: u64::MAX,
        state: StudyState::Running,
        begun_ms: 1,
    }
}

fn trial(study: u64, id: u64) -> Trial {
    Trial {
        id: TrialId(id),
        study: StudyId(study),
        change: None,
        params: vec![("read.ahead".into(), KnobValue::Bool(true))],
        state: TrialState::Open,
        value: None,
        error: None,
        at_ms: 3,
    }
}

#[test]
fn a_change_is_its_newest_state_and_lists_are_newest_first() {
    let mut journal = Journal::in_memory().unwrap();
    for id in [1, 2, 3] {
        journal
            .record_change(&change(id, ChangeState::Trying))
            .unwrap();
    }
    let ended = change(2, ChangeState::Undone);
    journal.record_change(&ended).unwrap();
    let ids: Vec<u64> = journal.changes(2).unwrap().iter().map(|c| c.id.0).collect();
    assert_eq!(ids, [3, 2]);
    assert_eq!(journal.change(ChangeId(2)).unwrap(), Some(ended));
    assert_eq!(journal.change(ChangeId(9)).unwrap(), None);
}

#[test]
fn studies_keep_their_trials_and_their_log_in_order() {
    let mut journal = Journal::in_memory().unwrap();
    for id in [1, 2] {
        journal.record_study(&study(id)).unwrap();
        journal.record_trial(&trial(id, 1)).unwrap();
    }
    journal.record_trial(&trial(1, 2)).unwrap();
    let told = Trial {
        state: TrialState::Complete,
        value: Some(-0.05),
        ..trial(1, 1)
    };
    journal.record_trial(&told).unwrap();
    for (study, line) in [(1, "ask a"), (2, "ask b"), (1, "tell a")] {
        journal.append_study_log(StudyId(study), line).unwrap();
    }
    assert_eq!(journal.studies().unwrap(), [study(2), study(1)]);
    assert_eq!(journal.newest_study().unwrap(), StudyId(2));
    assert_eq!(journal.trials(StudyId(1)).unwrap(), [trial(1, 2), told]);
    assert_eq!(journal.study_log(StudyId(1)).unwrap(), ["ask a", "tell a"]);
    assert_eq!(journal.study_log(StudyId(2)).unwrap(), ["ask b"]);
}

#[test]
fn nothing_hangs_on_a_study_that_was_never_recorded() {
    let mut journal = Journal::in_memory().unwrap();
    assert!(journal.record_trial(&trial(7, 1)).is_err());
    assert!(journal.append_study_log(StudyId(7), "ask").is_err());
}

#[test]
fn decisions_are_kept_one_by_one() {
    let mut journal = Journal::in_memory().unwrap();
    let decision = |proposal: u64, ruling| Decision {
        proposal: ProposalId(proposal),
        change: None,
        ruling,
        at_ms: 4,
    };
    let why = Why::StepTooLarge {
        knob: "linger.ms".into(),
        step: 0.300_000_000_000_000_04,
        max_step: 0.3,
    };
    let refused = decision(8, Ruling::Refuse { why });
    let waiting = decision(9, Ruling::AwaitApproval);
    let admitted = decision(9, Ruling::Admit);
    for one in [&refused, &waiting, &admitted] {
        journal.record_decision(one).unwrap();
    }
    assert_eq!(journal.decisions(10).unwrap(), [admitted, waiting, refused]);
    assert_eq!(journal.newest_proposal().unwrap(), ProposalId(9));
}

#[test]
fn findings_get_identities_that_never_come_again_and_the_oldest_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let settings = Settings { findings_max: 3 };
    let mut journal = Journal::open_with(&path, settings.clone()).unwrap();
    for at_ms in 1..=5 {
        let mut noticed = finding(at_ms);
        let id = journal.record_finding(&mut noticed).unwrap();
        assert_eq!((noticed.id, id.0), (id, at_ms as u64));
    }
    let ids = |journal: &Journal| -> Vec<u64> {
        journal
            .findings(10)
            .unwrap()
            .iter()
            .map(|f| f.id.0)
            .collect()
    };
    assert_eq!(ids(&journal), [5, 4, 3]);
    drop(journal);
    let mut journal = Journal::open_with(&path, settings).unwrap();
    journal.record_finding(&mut finding(6)).unwrap();
    assert_eq!(ids(&journal), [6, 5, 4]);
    assert_eq!(journal.findings(1).unwrap()[0].series, finding(6).series);
}

#[test]
fn a_noun_that_would_not_read_back_is_refused_and_spoils_nothing() {
    let mut journal = Journal::in_memory().unwrap();
    let mut batch = journal.batch().unwrap();
    batch
        .record_change(&change(1, ChangeState::Trying))
        .unwrap();
    let mut odd = finding(1);
    odd.severity = f64::NAN;
    let refused = batch.record_finding(&mut odd);
    assert!(
        matches!(refused, Err(JournalError::Unwritable { .. })),
        "{refused:?}"
    );
    assert_eq!(odd.id, FindingId(0));
    let sound = batch.record_finding(&mut finding(2)).unwrap();
    batch.commit().unwrap();
    assert_eq!(sound, FindingId(1));
    assert_eq!(journal.changes(10).unwrap().len(), 1);
    assert_eq!(journal.findings(10).unwrap().len(), 1);
}

#[test]
fn values_are_remembered_by_key() {
    let mut journal = Journal::in_memory().unwrap();
    assert_eq!(journal.meta("seed").unwrap(), None);
    journal.set_meta("seed", "1").unwrap();
    journal.set_meta("seed", "2").unwrap();
    assert_eq!(journal.meta("seed").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_snapshot_stands_for_the_events_before_it() {
    let mut journal = Journal::in_memory().unwrap();
    for line in ["a", "b"] {
        journal.append_event(1, line).unwrap();
    }
    let mut batch = journal.batch().unwrap();
    assert_eq!(batch.compact_events(2, "state").unwrap(), 3);
    assert_eq!(batch.append_event(3, "c").unwrap(), 4);
    batch.commit().unwrap();
    assert_eq!(journal.events().unwrap(), ["state", "c"]);
}
