//! Random lives of a ledger, on the real session: whatever is asked, the books balance.

use std::collections::BTreeMap;

use ledger::{
    account::{Kind, State},
    command::{Command, Receipt},
    money::Cents,
    rules::{DAY_MS, Rules, fork, merge, movement::Booking},
    store::{
        schema,
        session::{Request, Session},
    },
};
use proptest::prelude::*;

use crate::audit::audit;

/// Rules under which random lives fork and merge often.
fn lively() -> Rules {
    Rules {
        fork: fork::Rule {
            surplus: Cents::units(5_000),
            least_left: Cents::units(1_000),
            cooling_ms: 2 * DAY_MS,
            ..fork::Rule::default()
        },
        merge: merge::Rule {
            total: Cents::units(9_000),
            cooling_ms: DAY_MS,
        },
    }
}

fn session() -> Session {
    Session::new(schema::in_memory().unwrap(), lively()).unwrap()
}

fn request(command: Command, key: Option<&str>, at_ms: i64) -> Request {
    Request {
        command,
        key: key.map(Into::into),
        at_ms,
    }
}

fn amount() -> impl Strategy<Value = Cents> {
    prop_oneof![
        8 => (1..1_000_000_i64).prop_map(Cents),
        1 => (-1_000_000..1_000_000_i64).prop_map(Cents),
        1 => any::<i64>().prop_map(Cents),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let id = || 1..40_i64;
    let kind = prop_oneof![Just(Kind::Gen), Just(Kind::Rev), Just(Kind::Com)];
    let state = prop::sample::select(State::ALL.to_vec());
    let booking = prop::sample::select(vec![
        Booking::Deposit,
        Booking::Withdrawal,
        Booking::TradePremium,
        Booking::TradePremium,
        Booking::TradeAssignment,
        Booking::CashBufferAdjustment,
    ]);
    let owner = || String::from("ann");
    prop_oneof![
        1 => (kind, amount(), prop::option::of(id())).prop_map(move |(kind, initial_cents, portfolio)| {
            Command::OpenAccount { owner: owner(), name: owner(), kind, initial_cents, portfolio }
        }),
        1 => amount().prop_map(move |capital_cents| {
            Command::OpenPortfolio { owner: owner(), name: owner(), capital_cents }
        }),
        1 => (id(), state).prop_map(|(account, state)| Command::SetState { account, state }),
        1 => id().prop_map(|account| Command::SetState { account, state: State::Active }),
        8 => (id(), booking, amount()).prop_map(|(account, booking, amount_cents)| {
            Command::Book { account, booking, amount_cents }
        }),
        4 => (id(), id(), amount()).prop_map(|(from, to, amount_cents)| {
            Command::Transfer { from, to, amount_cents }
        }),
        4 => (id(), 1..4_usize).prop_map(|(account, children)| Command::Fork { account, children }),
        2 => (prop::collection::vec(id(), 1..4), id()).prop_map(|(sources, target)| {
            Command::Merge { sources, target }
        }),
        2 => id().prop_map(|portfolio| Command::MergePortfolio { portfolio }),
        2 => (id(), prop::option::of(amount())).prop_map(|(account, amount_cents)| {
            Command::Reinvest { account, amount_cents }
        }),
    ]
}

/// Commands with a pause before each, in hours, and one key out of few.
fn life() -> impl Strategy<Value = Vec<(Command, i64, Option<u8>)>> {
    prop::collection::vec((command(), 0..60_i64, prop::option::of(0..40_u8)), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_the_books_balance(life in life(), group in 1..9_usize) {
        let mut session = session();
        let start = request(Command::OpenPortfolio {
            owner: "ann".into(),
            name: "main".into(),
            capital_cents: Cents::units(30_000),
        }, None, 0);
        session.group([&start]).unwrap();
        let (mut done, mut at_ms, mut written) = (1, 0, BTreeMap::new());
        let requests: Vec<Request> = life.into_iter().map(|(command, hours, key)| {
            at_ms += hours * DAY_MS / 24;
            request(command, key.map(|key| format!("key {key}")).as_deref(), at_ms)
        }).collect();
        for group in requests.chunks(group) {
            let results = session.group(group).unwrap();
            for (request, result) in group.iter().zip(results) {
                let Ok(result) = result else { continue };
                let moved = result.change.as_ref().is_some_and(|c| c.entry.is_some());
                done += i64::from(moved);
                if let (Some(key), true) = (&request.key, moved) {
                    let first = written.insert(key.clone(), request.command.clone());
                    prop_assert!(first.is_none(), "{key} was carried out twice");
                }
                if result.change.is_none() {
                    let key = request.key.as_ref().unwrap();
                    prop_assert_eq!(&written[key], &request.command, "repeated is the same");
                }
            }
        }
        prop_assert_eq!(audit(session.connection()), done);
    }
}

fn open(session: &mut Session, kind: Kind, units: i64) -> i64 {
    let command = Command::OpenAccount {
        owner: "ann".into(),
        name: "a".into(),
        kind,
        initial_cents: Cents::units(units),
        portfolio: None,
    };
    let result = session
        .group([&request(command, None, 0)])
        .unwrap()
        .remove(0);
    let receipt: Receipt = serde_json::from_str(&result.unwrap().receipt).unwrap();
    receipt.accounts[0].id
}

#[test]
fn a_repeated_key_gets_the_first_answer_and_another_content_is_refused() {
    let mut session = session();
    let (a, b) = (
        open(&mut session, Kind::Gen, 100),
        open(&mut session, Kind::Rev, 100),
    );
    let pay = |amount| Command::Transfer {
        from: a,
        to: b,
        amount_cents: Cents(amount),
    };
    // The repetition is in the same group as the first, and again in a later one.
    let first = request(pay(500), Some("k"), 1_000);
    let again = request(pay(500), Some("k"), 2_000);
    let results = session.group([&first, &again]).unwrap();
    let later = session.group([&again]).unwrap().remove(0).unwrap();
    let receipts: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().unwrap().receipt.clone())
        .collect();
    assert_eq!(receipts[0], receipts[1]);
    assert_eq!(receipts[0], later.receipt);
    assert!(later.change.is_none());
    let other = session
        .group([&request(pay(501), Some("k"), 3_000)])
        .unwrap()
        .remove(0);
    assert_eq!(other.unwrap_err().rule(), "key_reused");
    assert_eq!(
        audit(session.connection()),
        3,
        "two openings and one transfer"
    );
}

#[test]
fn a_refused_request_frees_its_key_and_does_not_touch_its_group() {
    let mut session = session();
    let (a, b) = (
        open(&mut session, Kind::Gen, 100),
        open(&mut session, Kind::Rev, 100),
    );
    let pay = |units| Command::Transfer {
        from: a,
        to: b,
        amount_cents: Cents::units(units),
    };
    let group = [
        request(pay(10), None, 0),
        request(pay(1_000), Some("k"), 0),
        request(pay(20), None, 0),
    ];
    let results = session.group(&group).unwrap();
    let ok: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, true]);
    let retried = session.group([&request(pay(30), Some("k"), 0)]).unwrap();
    assert!(retried[0].is_ok());
    assert_eq!(audit(session.connection()), 5);
}

#[test]
fn a_fork_of_a_fork_merges_into_its_parents_com_or_the_next_one_up() {
    let mut session = session();
    let run = |session: &mut Session, command: Command, day: i64| {
        let mut results = session
            .group([&request(command, None, day * DAY_MS)])
            .unwrap();
        let receipt = results.remove(0).unwrap().receipt;
        serde_json::from_str::<Receipt>(&receipt).unwrap()
    };
    let premium = |account, units| Command::Book {
        account,
        booking: Booking::TradePremium,
        amount_cents: Cents::units(units),
    };
    let capital_cents = Cents::units(30_000);
    let command = Command::OpenPortfolio {
        owner: "ann".into(),
        name: "m".into(),
        capital_cents,
    };
    let main = run(&mut session, command, 0).accounts;
    run(&mut session, premium(main[0].id, 6_000), 1);
    let fork = |account| Command::Fork {
        account,
        children: 1,
    };
    let child = run(&mut session, fork(main[0].id), 1).accounts;
    run(&mut session, premium(child[0].id, 8_000), 2);
    let grandchild = run(&mut session, fork(child[0].id), 2).accounts;
    for (pair, day) in [(&child, 3), (&grandchild, 4)] {
        run(&mut session, premium(pair[0].id, 9_000), day);
        let merged = run(
            &mut session,
            Command::MergePortfolio {
                portfolio: pair[0].portfolio,
            },
            day,
        );
        let target = merged.accounts.last().unwrap();
        assert_eq!(
            target.id, main[2].id,
            "the child's Com has merged, so its parent's takes over"
        );
        assert!(
            merged.accounts[..2]
                .iter()
                .all(|a| a.state == State::Closed)
        );
    }
    audit(session.connection());
}

#[test]
fn a_full_disk_fails_the_group_keeps_the_books_and_is_over_when_there_is_space() {
    let mut session = session();
    let (a, b) = (
        open(&mut session, Kind::Gen, 1_000),
        open(&mut session, Kind::Rev, 1_000),
    );
    let pages = |session: &Session, limit: i64| {
        let set = session.connection();
        set.pragma_update_and_check(None, "max_page_count", limit, |row| row.get::<_, i64>(0))
            .unwrap()
    };
    // SQLite takes a limit below the present size as the present size: no page more.
    let full = pages(&session, 1);
    let pay = |n: usize| {
        let command = Command::Transfer {
            from: a,
            to: b,
            amount_cents: Cents(1),
        };
        request(command, Some(&format!("key {n}")), 0)
    };
    let requests: Vec<Request> = (0..1_000).map(pay).collect();
    assert!(
        session.group(&requests).is_err(),
        "{full} pages do not hold them"
    );
    assert_eq!(
        audit(session.connection()),
        2,
        "nothing of the group is stored"
    );
    pages(&session, 1_000_000);
    let results = session.group(&requests).unwrap();
    assert!(results.iter().all(Result::is_ok), "the keys are still free");
    assert_eq!(audit(session.connection()), 1_002);
}
