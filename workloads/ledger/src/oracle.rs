//! The weekly protocol over years, deterministic: every balance gains its weekly target, surplus
//! forks off, large forks merge. Runs on the same rules as the service.
//!
//! Order inside a week: the main Gen, Rev, Com; every unmerged fork's Gen, then its Com, in order
//! of creation; the main Gen's fork check; the fork check of each fork in order of creation, this
//! week's new ones included; the merge check. The gain of a balance is what is at work of it
//! (balance less 5 %) times the weekly target, rounded to cents, half a cent away from zero.

use crate::{
    account::{Account, Kind, PortfolioId},
    money::Cents,
    rules::{
        Ids, Refusal, Rules, fork, merge,
        movement::{self, Booking},
        opening,
    },
    transaction::Change,
};

/// Milliseconds of a week.
pub const WEEK_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Weeks of a year of the protocol.
pub const WEEKS_A_YEAR: u32 = 52;
/// Thousandths of a balance that are at work.
const AT_WORK: i64 = 950;

/// A portfolio and everything forked off it.
#[derive(Debug, Clone)]
pub struct Simulation {
    rules: Rules,
    week: u32,
    ids: Ids,
    main: Vec<Account>,
    forks: Vec<Fork>,
}

/// A forked pair.
#[derive(Debug, Clone)]
struct Fork {
    portfolio: PortfolioId,
    /// Gen and Com; closed once merged.
    pair: [Account; 2],
    merged: bool,
}

/// A fork that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forked {
    /// In which week, from 1.
    pub week: u32,
    /// What left.
    pub surplus: Cents,
}

impl Simulation {
    /// Opens a portfolio and nothing else.
    ///
    /// # Errors
    /// The capital is not acceptable.
    pub fn start(capital: Cents, rules: Rules) -> Result<Self, Refusal> {
        let mut ids = Ids {
            account: 1,
            portfolio: 1,
        };
        let opening = opening::Opening {
            owner: "oracle".into(),
            name: "main".into(),
            now_ms: 0,
        };
        let change = opening::portfolio(&opening, capital, &mut ids)?;
        Ok(Self {
            rules,
            week: 0,
            ids,
            main: change.opened,
            forks: Vec::new(),
        })
    }

    /// One week; the forks that happened in it.
    ///
    /// # Errors
    /// A rule refused a step that was due: a balance outgrew its bounds.
    pub fn week(&mut self) -> Result<Vec<Forked>, Refusal> {
        self.week += 1;
        self.gain()?;
        let forked = self.fork()?;
        self.merge()?;
        Ok(forked)
    }

    /// Everything there is.
    #[must_use]
    pub fn total(&self) -> Cents {
        let pairs = self.forks.iter().flat_map(|fork| &fork.pair);
        self.main.iter().chain(pairs).map(Account::balance).sum()
    }

    /// Forks so far, merged ones included.
    #[must_use]
    pub fn forks(&self) -> usize {
        self.forks.len()
    }

    /// Merges so far.
    #[must_use]
    pub fn merges(&self) -> usize {
        self.forks.iter().filter(|fork| fork.merged).count()
    }

    /// A balance of the main portfolio.
    #[must_use]
    pub fn main(&self, kind: Kind) -> Cents {
        let account = self.main.iter().find(|account| account.kind == kind);
        account.expect("a portfolio has all kinds").balance()
    }

    fn now_ms(&self) -> i64 {
        i64::from(self.week) * WEEK_MS
    }

    fn gain(&mut self) -> Result<(), Refusal> {
        let live = self.forks.iter_mut().filter(|fork| !fork.merged);
        for account in self
            .main
            .iter_mut()
            .chain(live.flat_map(|fork| &mut fork.pair))
        {
            let gain = weekly_gain(account);
            if gain > Cents::ZERO {
                let change = movement::book(account.clone(), Booking::TradePremium, gain)?;
                *account = only(change);
            }
        }
        Ok(())
    }

    fn fork(&mut self) -> Result<Vec<Forked>, Refusal> {
        let mut forked = Vec::new();
        let mut main = self.main[0].clone();
        forked.extend(self.check_fork(&mut main)?);
        self.main[0] = main;
        // New forks are appended, and checked in their turn.
        let mut index = 0;
        while index < self.forks.len() {
            if !self.forks[index].merged {
                let mut parent = self.forks[index].pair[0].clone();
                forked.extend(self.check_fork(&mut parent)?);
                self.forks[index].pair[0] = parent;
            }
            index += 1;
        }
        Ok(forked)
    }

    fn check_fork(&mut self, parent: &mut Account) -> Result<Option<Forked>, Refusal> {
        if !fork::is_due(parent, &self.rules.fork) {
            return Ok(None);
        }
        let before = parent.balance();
        let (now_ms, rule) = (self.now_ms(), self.rules.fork);
        let change = fork::fork(parent.clone(), 1, &rule, &mut self.ids, now_ms)?;
        let opened = <[Account; 2]>::try_from(change.opened.clone());
        let pair = opened.expect("one fork opens one pair");
        *parent = only(change);
        self.forks.push(Fork {
            portfolio: pair[0].portfolio,
            pair,
            merged: false,
        });
        Ok(Some(Forked {
            week: self.week,
            surplus: before - parent.balance(),
        }))
    }

    fn merge(&mut self) -> Result<(), Refusal> {
        for index in 0..self.forks.len() {
            let fork = &self.forks[index];
            if fork.merged || !merge::is_due(&fork.pair, &self.rules.merge) {
                continue;
            }
            let sources = (fork.portfolio, fork.pair.to_vec());
            let (now_ms, rule) = (self.now_ms(), self.rules.merge);
            let target = self.parent_com(index).clone();
            let mut change = merge::by_rule(sources, target, &rule, now_ms)?;
            let (_, target) = change.updated.pop().expect("a merge has a target");
            *self.parent_com(index) = target;
            let fork = &mut self.forks[index];
            for (account, (_, closed)) in fork.pair.iter_mut().zip(change.updated) {
                *account = closed;
            }
            fork.merged = true;
        }
        Ok(())
    }

    /// The Com account of the portfolio a fork came from. A parent that has merged hands its
    /// children on to its own parent.
    fn parent_com(&mut self, fork: usize) -> &mut Account {
        let mut child = fork;
        loop {
            let parent = self.forks[child].pair[0].parent;
            let at = self.forks.iter().position(|f| Some(f.pair[0].id) == parent);
            match at {
                Some(at) if self.forks[at].merged => child = at,
                Some(at) => return &mut self.forks[at].pair[1],
                None => return &mut self.main[2],
            }
        }
    }
}

/// What an account gains in a week that meets its target.
#[must_use]
pub fn weekly_gain(account: &Account) -> Cents {
    let target = account.kind.properties().weekly_target;
    account.balance().portion(AT_WORK * target, 1_000_000)
}

fn only(mut change: Change) -> Account {
    let (_, account) = change.updated.pop().expect("the change has one account");
    account
}
