//! One test a rule; accounts are opened through the rules too.

use ledger::{
    account::{Account, Kind, State},
    money::{Cents, LARGEST},
    rules::{
        DAY_MS, Ids, Refusal, fork, lifecycle, merge,
        movement::{self, Booking},
        opening::{self, Opening},
        reinvest,
    },
    transaction::{Change, TransactionKind},
};

/// A Wednesday, 2026-02-11, in no quarter's last week.
const NOW: i64 = 20_495 * DAY_MS;
/// 2026-03-31.
const QUARTER_END: i64 = 20_543 * DAY_MS;

fn opening() -> Opening {
    Opening {
        owner: "ann".into(),
        name: "main".into(),
        now_ms: NOW,
    }
}

fn account(id: i64, kind: Kind, units: i64) -> Account {
    let change = opening::account(&opening(), (id, id), kind, Cents::units(units)).unwrap();
    change.opened.into_iter().next().unwrap()
}

fn last(change: Change) -> Account {
    change.updated.into_iter().last().unwrap().1
}

fn grown(id: i64, initial: i64, gain: i64) -> Account {
    let account = account(id, Kind::Gen, initial);
    last(movement::book(account, Booking::TradePremium, Cents::units(gain)).unwrap())
}

fn ids() -> Ids {
    Ids {
        account: 100,
        portfolio: 100,
    }
}

#[test]
fn a_portfolio_shares_its_capital_and_holds_buffers_back() {
    let change = opening::portfolio(&opening(), Cents(30_000_001), &mut ids()).unwrap();
    let of = |kind| change.opened.iter().find(|a| a.kind == kind).unwrap();
    let total: Cents = change.opened.iter().map(Account::balance).sum();
    assert_eq!(total, Cents(30_000_001), "no cent is lost");
    assert_eq!(of(Kind::Gen).balance(), Cents(12_000_001));
    assert_eq!(of(Kind::Com).balance(), Cents(9_000_000));
    assert_eq!(of(Kind::Rev).books.buffer, Cents(450_000));
    assert_eq!(of(Kind::Rev).available(), Cents(8_550_000));
}

#[test]
fn the_state_table_is_exactly_this_for_every_pair_of_states() {
    use State::{Active, Closed, Forking, Inactive, Merging, Suspended};
    let always = [
        (Active, Inactive),
        (Inactive, Active),
        (Active, Suspended),
        (Suspended, Active),
        (Active, Forking),
        (Forking, Active),
        (Active, Merging),
        (Merging, Closed),
    ];
    let when_empty = [(Active, Closed), (Inactive, Closed), (Suspended, Closed)];
    for from in State::ALL {
        for to in State::ALL {
            let step = |balance| lifecycle::step(from, to, balance);
            let allowed = always.contains(&(from, to));
            let empty = allowed || when_empty.contains(&(from, to));
            assert_eq!(
                step(Cents(1)).is_ok(),
                allowed,
                "{from:?} -> {to:?} with a balance"
            );
            assert_eq!(
                step(Cents::ZERO).is_ok(),
                empty,
                "{from:?} -> {to:?} without"
            );
            if let Err(refusal) = step(Cents::ZERO) {
                assert_eq!(refusal.rule(), "transition");
                assert!(
                    refusal.to_string().contains(from.name()),
                    "the reason names the states"
                );
            }
        }
    }
}

#[test]
fn forking_and_merging_cannot_be_requested() {
    for to in [State::Forking, State::Merging] {
        let refused = lifecycle::request(account(1, Kind::Gen, 1), to);
        assert_eq!(refused.unwrap_err().rule(), "transition");
    }
}

#[test]
fn only_active_accounts_move_money() {
    for state in State::ALL.into_iter().filter(|s| *s != State::Active) {
        let resting = Account {
            state,
            ..account(1, Kind::Gen, 1_000)
        };
        for booking in [Booking::Deposit, Booking::Withdrawal, Booking::TradePremium] {
            let refused = movement::book(resting.clone(), booking, Cents(1)).unwrap_err();
            assert_eq!(refused, Refusal::NotActive { id: 1, state });
        }
        let other = account(2, Kind::Gen, 1_000);
        let transfer = |from: &Account, to: &Account| {
            movement::transfer(from.clone(), to.clone(), Cents(1))
                .unwrap_err()
                .rule()
        };
        assert_eq!(transfer(&resting, &other), "not_active");
        assert_eq!(transfer(&other, &resting), "not_active");
    }
}

#[test]
fn a_withdrawal_leaves_the_buffer_and_com_is_not_withdrawn_from() {
    let withdraw =
        |account: &Account, amount| movement::book(account.clone(), Booking::Withdrawal, amount);
    let gen_account = account(1, Kind::Gen, 1_000);
    assert!(withdraw(&gen_account, Cents::units(950)).is_ok());
    assert_eq!(
        withdraw(&gen_account, Cents(95_001)).unwrap_err().rule(),
        "insufficient"
    );
    let com = account(2, Kind::Com, 1_000);
    assert_eq!(withdraw(&com, Cents(1)).unwrap_err().rule(), "kind_forbids");
    let transfer = movement::transfer(com, gen_account, Cents(1));
    assert_eq!(transfer.unwrap_err().rule(), "kind_forbids");
}

#[test]
fn amounts_out_of_bounds_are_refused_for_every_booking() {
    for booking in [Booking::Deposit, Booking::Withdrawal, Booking::TradePremium] {
        for cents in [0, -1, i64::MIN, i64::MAX, LARGEST.0 + 1] {
            let refused = movement::book(account(1, Kind::Gen, 1_000), booking, Cents(cents));
            assert_eq!(refused.unwrap_err().rule(), "amount", "{booking:?} {cents}");
        }
    }
    for cents in [0, i64::MIN, i64::MAX] {
        let assigned = movement::book(
            account(1, Kind::Gen, 1),
            Booking::TradeAssignment,
            Cents(cents),
        );
        assert_eq!(assigned.unwrap_err().rule(), "amount");
    }
    let full = movement::book(account(1, Kind::Gen, 1), Booking::Deposit, LARGEST);
    assert_eq!(full.unwrap_err(), Refusal::Overflow(1));
}

#[test]
fn a_loss_may_use_the_buffer_up_but_no_more_than_the_balance() {
    let lose = |units: i64| {
        let account = account(1, Kind::Rev, 1_000);
        movement::book(account, Booking::TradeAssignment, Cents::units(-units))
    };
    let after = last(lose(980).unwrap());
    assert_eq!(
        (after.balance(), after.available()),
        (Cents::units(20), Cents::ZERO)
    );
    assert_eq!(lose(1_001).unwrap_err().rule(), "insufficient");
}

#[test]
fn a_buffer_adjustment_moves_between_cash_and_buffer() {
    let adjust = |cents| {
        let account = account(1, Kind::Gen, 1_000);
        movement::book(account, Booking::CashBufferAdjustment, Cents(cents))
    };
    let more = last(adjust(10_000).unwrap());
    assert_eq!(
        (more.books.buffer, more.available()),
        (Cents(15_000), Cents(85_000))
    );
    let less = last(adjust(-5_000).unwrap());
    assert_eq!(
        (less.books.buffer, less.available()),
        (Cents::ZERO, Cents(100_000))
    );
    assert_eq!(adjust(95_001).unwrap_err().rule(), "insufficient");
    assert_eq!(adjust(-5_001).unwrap_err().rule(), "insufficient");
}

#[test]
fn a_fork_takes_the_whole_surplus_and_leaves_the_initial_balance() {
    let parent = grown(1, 120_000, 50_925);
    let change = fork::fork(parent, 1, &fork::Rule::default(), &mut ids(), NOW).unwrap();
    let [child_gen, child_com] = &change.opened[..] else {
        panic!("a pair, not {}", change.opened.len());
    };
    assert_eq!((child_gen.kind, child_com.kind), (Kind::Gen, Kind::Com));
    assert_eq!(child_gen.balance(), Cents(2_546_250));
    assert_eq!(child_com.balance(), Cents(2_546_250));
    assert_eq!((child_gen.parent, child_com.parent), (Some(1), Some(1)));
    assert_eq!(child_gen.portfolio, child_com.portfolio);
    assert_eq!(child_gen.initial, child_gen.balance());
    let entry = change.entry.clone().unwrap();
    assert_eq!(entry.kind, TransactionKind::ForkTransfer);
    assert_eq!(entry.volume, Cents::units(50_925));
    let parent = last(change);
    assert_eq!(
        (parent.balance(), parent.state),
        (parent.initial, State::Active)
    );
}

#[test]
fn a_fork_for_several_splits_evenly_and_loses_no_cent() {
    let parent = grown(1, 120_000, 50_000);
    let parent = last(movement::book(parent, Booking::TradePremium, Cents(3)).unwrap());
    let change = fork::fork(parent, 5, &fork::Rule::default(), &mut ids(), NOW).unwrap();
    assert_eq!(change.opened.len(), 10);
    let sum: Cents = change.opened.iter().map(Account::balance).sum();
    assert_eq!(sum, Cents(5_000_003));
    let balances = change.opened.iter().map(Account::balance);
    let (least, most) = (balances.clone().min().unwrap(), balances.max().unwrap());
    assert!(most - least <= Cents(3), "{least} to {most}");
}

#[test]
fn a_fork_is_refused_for_each_of_its_reasons() {
    let rule = fork::Rule::default();
    let refused = |account: Account, children, rule: &fork::Rule, now| {
        fork::fork(account, children, rule, &mut ids(), now)
            .unwrap_err()
            .rule()
    };
    let due = grown(1, 120_000, 50_000);
    assert_eq!(
        refused(grown(1, 120_000, 49_999), 1, &rule, NOW),
        "fork_not_due"
    );
    assert_eq!(refused(due.clone(), 0, &rule, NOW), "count");
    assert_eq!(refused(due.clone(), 6, &rule, NOW), "count");
    assert_eq!(
        refused(account(1, Kind::Rev, 500_000), 1, &rule, NOW),
        "kind_forbids"
    );
    let resting = Account {
        state: State::Suspended,
        ..due.clone()
    };
    assert_eq!(refused(resting, 1, &rule, NOW), "not_active");
    assert_eq!(
        refused(grown(1, 20_000, 60_000), 1, &rule, NOW),
        "too_little_left"
    );

    let forked = last(fork::fork(due, 3, &rule, &mut ids(), NOW).unwrap());
    let again = last(movement::book(forked, Booking::TradePremium, Cents::units(60_000)).unwrap());
    assert_eq!(
        refused(again.clone(), 1, &rule, NOW + DAY_MS - 1),
        "cooling"
    );
    assert!(fork::fork(again.clone(), 5, &rule, &mut ids(), NOW + DAY_MS).is_ok());
    let restless = fork::Rule {
        cooling_ms: 0,
        ..rule
    };
    assert_eq!(refused(again.clone(), 3, &restless, NOW + 1), "daily_forks");
    assert!(fork::fork(again, 2, &restless, &mut ids(), NOW + 1).is_ok());
}

#[test]
fn other_fork_rules_move_half_or_wait_for_more() {
    let half = fork::Rule {
        moved: 50,
        ..fork::Rule::default()
    };
    let change = fork::fork(grown(1, 120_000, 50_000), 1, &half, &mut ids(), NOW).unwrap();
    assert_eq!(last(change).balance(), Cents::units(145_000));
    let later = fork::Rule {
        surplus: Cents::units(100_000),
        ..fork::Rule::default()
    };
    assert!(!fork::is_due(&grown(1, 120_000, 99_999), &later));
    assert!(fork::is_due(&grown(1, 120_000, 100_000), &later));
}

#[test]
fn a_merge_empties_its_sources_com_included_and_closes_them() {
    let sources = vec![account(1, Kind::Com, 100), account(2, Kind::Gen, 50)];
    let rule = merge::Rule::default();
    let change = merge::by_hand(sources, account(3, Kind::Rev, 10), &rule, NOW).unwrap();
    for (before, source) in &change.updated[..2] {
        assert_eq!((*before, source.state), (State::Active, State::Closed));
        assert_eq!(
            (source.balance(), source.merged_into),
            (Cents::ZERO, Some(3))
        );
    }
    let target = last(change);
    assert_eq!(target.balance(), Cents::units(160));
    assert_eq!(
        target.books.buffer,
        Cents(50),
        "the target keeps its own buffer only"
    );
}

#[test]
fn a_merge_by_hand_is_refused_for_each_of_its_reasons() {
    let rule = merge::Rule::default();
    let source = |id| account(id, Kind::Gen, 10);
    let target = || account(99, Kind::Gen, 10);
    let refused = |sources: Vec<Account>, target: Account| {
        merge::by_hand(sources, target, &rule, NOW)
            .unwrap_err()
            .rule()
    };
    assert_eq!(refused(vec![source(1)], target()), "count");
    assert_eq!(refused((1..=11).map(source).collect(), target()), "count");
    assert_eq!(refused(vec![source(1), source(1)], target()), "named_twice");
    assert_eq!(
        refused(vec![source(1), source(99)], target()),
        "named_twice"
    );
    assert_eq!(
        refused(vec![source(1), account(2, Kind::Gen, 0)], target()),
        "insufficient"
    );
    let resting = |id| Account {
        state: State::Inactive,
        ..source(id)
    };
    assert_eq!(refused(vec![source(1), resting(2)], target()), "not_active");
    assert_eq!(
        refused(vec![source(1), source(2)], resting(99)),
        "not_active"
    );
    let first = merge::by_hand(vec![source(1), source(2)], target(), &rule, NOW).unwrap();
    let tired = last(first);
    assert_eq!(
        refused(vec![source(3), source(4)], tired.clone()),
        "cooling"
    );
    let rested = merge::by_hand(vec![source(3), source(4)], tired, &rule, NOW + DAY_MS);
    assert!(rested.is_ok());
}

#[test]
fn a_fork_merges_by_itself_from_half_a_million_on() {
    let rule = merge::Rule::default();
    let pair = |units| vec![account(1, Kind::Gen, units), account(2, Kind::Com, 250_000)];
    let com = || account(3, Kind::Com, 1);
    let early = merge::by_rule((1, pair(249_999)), com(), &rule, NOW);
    assert_eq!(early.unwrap_err().rule(), "merge_not_due");
    let merged = merge::by_rule((1, pair(250_000)), com(), &rule, NOW).unwrap();
    assert_eq!(last(merged).balance(), Cents::units(500_001));
}

#[test]
fn reinvestment_has_its_time_its_least_amount_and_its_split() {
    let com = account(1, Kind::Com, 20_000);
    let early = reinvest::reinvest(com.clone(), None, NOW);
    assert_eq!(early.unwrap_err().rule(), "reinvest_not_due");
    let after = last(reinvest::reinvest(com, None, QUARTER_END).unwrap());
    assert_eq!(after.books.contracts, Cents::units(14_250));
    assert_eq!(after.books.leaps, Cents::units(4_750));
    assert_eq!(
        (after.available(), after.balance()),
        (Cents::ZERO, Cents::units(20_000))
    );
    let small = reinvest::reinvest(account(1, Kind::Rev, 10_000), None, QUARTER_END);
    assert_eq!(small.unwrap_err().rule(), "insufficient");
    let gen_account = reinvest::reinvest(account(1, Kind::Gen, 50_000), None, QUARTER_END);
    assert_eq!(gen_account.unwrap_err().rule(), "reinvest_not_due");
    let parent = grown(1, 120_000, 50_000);
    let forked = last(fork::fork(parent, 1, &fork::Rule::default(), &mut ids(), NOW).unwrap());
    assert!(reinvest::reinvest(forked.clone(), Some(Cents(100)), NOW + DAY_MS).is_ok());
    assert!(reinvest::reinvest(forked, None, NOW + 7 * DAY_MS).is_err());
}

#[test]
fn texts_are_bounded() {
    for text in ["", "a\nb", &"x".repeat(65)] {
        let named = Opening {
            owner: text.into(),
            ..opening()
        };
        let refused = opening::account(&named, (1, 1), Kind::Gen, Cents::ZERO);
        assert_eq!(refused.unwrap_err().rule(), "text");
        let renamed = lifecycle::rename(account(1, Kind::Gen, 1), text.into());
        assert_eq!(renamed.unwrap_err().rule(), "text");
    }
}
