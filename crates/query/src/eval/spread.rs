//! The series of a selection as rows, over several threads where there are many.
//!
//! A reader gives its selection in pieces, one after another the whole in its order. Helpers take
//! the next piece and make its rows; the query's own thread hands rows on in the order of the
//! pieces, and meanwhile makes rows itself. Whatever adds up rows therefore sees them in the
//! same order for any number of threads, and so the answer is the same, bit for bit. Helpers
//! stay at most [`AHEAD`] pieces a thread ahead of what was handed on: that bounds the memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use model::{Selection, Series, SeriesIter};

use super::budget::Held;
use super::grid::Row;
use super::{Evaluator, Result, Seed, Sink, refuse};
use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::workers::Workers;

/// Series a piece: a millisecond of work or so, so that a thread is worth its start.
const PIECE_SERIES: usize = 256;
/// Pieces a thread may be ahead of what was handed on.
const AHEAD: usize = 2;

/// Makes the row of a series, with an evaluator and room of its own thread; an empty one counts
/// as none.
pub(super) type Make<'m, L> =
    dyn Fn(&Evaluator<'_>, &mut L, Series) -> Result<Option<Row>> + Sync + 'm;

/// What became of a piece.
struct Made<'b> {
    rows: Vec<Row>,
    held: Held<'b>,
    result: Result<()>,
    annotations: Annotations,
}

/// What all threads of a query see.
struct Board<'b> {
    state: Mutex<State<'b>>,
    bell: Condvar,
    /// Nobody needs more rows.
    over: AtomicBool,
}

struct State<'b> {
    /// Pieces nobody has taken yet, the last one first, and how many there were.
    pieces: Vec<SeriesIter<'b>>,
    count: usize,
    /// Pieces whose rows were handed on.
    handed: usize,
    /// How many more may be in the making.
    ahead: usize,
    made: BTreeMap<usize, Made<'b>>,
}

impl<'b> State<'b> {
    /// The next piece, unless it is too far ahead.
    fn take(&mut self) -> Option<(usize, SeriesIter<'b>)> {
        let next = self.count - self.pieces.len();
        if next >= self.handed + self.ahead {
            return None;
        }
        Some((next, self.pieces.pop()?))
    }
}

/// What the query's own thread does next.
enum Turn<'b> {
    HandOn(Made<'b>),
    Make(usize, SeriesIter<'b>),
}

impl<'b> Board<'b> {
    fn lock(&self) -> MutexGuard<'_, State<'b>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State<'b>>) -> MutexGuard<'g, State<'b>> {
        self.bell
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece for a helper; `None` when there is nothing left to do.
    fn help(&self) -> Option<(usize, SeriesIter<'b>)> {
        let mut state = self.lock();
        while !self.over.load(Relaxed) && !state.pieces.is_empty() {
            if let Some(taken) = state.take() {
                return Some(taken);
            }
            state = self.wait(state);
        }
        None
    }

    /// What is to be done on the query's own thread; `None` when all is handed on.
    fn turn(&self) -> Result<Option<Turn<'b>>> {
        let mut state = self.lock();
        while state.handed < state.count {
            let next = state.handed;
            if let Some(made) = state.made.remove(&next) {
                return Ok(Some(Turn::HandOn(made)));
            }
            if self.over.load(Relaxed) {
                return refuse("a thread of the query failed");
            }
            if let Some((number, piece)) = state.take() {
                return Ok(Some(Turn::Make(number, piece)));
            }
            state = self.wait(state);
        }
        Ok(None)
    }

    fn put(&self, number: usize, made: Made<'b>) {
        self.lock().made.insert(number, made);
        self.bell.notify_all();
    }

    fn handed_on(&self) {
        self.lock().handed += 1;
        self.bell.notify_all();
    }

    /// Nobody waits or works any longer. Takes the lock: who is about to wait sees it.
    fn end(&self) {
        let state = self.lock();
        self.over.store(true, Relaxed);
        drop(state);
        self.bell.notify_all();
    }
}

/// Ends the work of all when dropped: whoever leaves early, by an error or a panic, leaves nobody
/// waiting.
struct Leaving<'x, 'b>(&'x Board<'b>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What it takes to make rows of pieces on any thread.
struct Maker<'x, 'a, L> {
    seed: &'x Seed<'a>,
    make: &'x Make<'x, L>,
    /// Series so far, in all pieces.
    series: AtomicUsize,
}

impl<'x, L: Default> Maker<'x, '_, L> {
    /// Hands the rows of a piece to `sink`.
    fn each(
        &self,
        piece: SeriesIter<'_>,
        room: &mut L,
        sink: &mut Sink<'_>,
    ) -> (Result<()>, Annotations) {
        let evaluator = self.seed.evaluator();
        let result = self.each_of(&evaluator, piece, room, sink);
        (result, evaluator.annotations.into_inner())
    }

    fn each_of(
        &self,
        evaluator: &Evaluator<'_>,
        piece: SeriesIter<'_>,
        room: &mut L,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for series in piece {
            evaluator.check_stop()?;
            let count = self.series.fetch_add(1, Relaxed) + 1;
            evaluator.budget.series(count)?;
            let Some(series) = evaluator.readable(series)? else {
                continue;
            };
            let row = (self.make)(evaluator, room, series)?;
            if let Some(row) = row.filter(|row| !row.is_empty()) {
                sink(row)?;
            }
        }
        Ok(())
    }

    /// The rows of a piece; none are needed once it is `over`.
    fn all(&self, piece: SeriesIter<'_>, room: &mut L, over: &AtomicBool) -> Made<'x> {
        let mut held = self.seed.budget.nothing();
        let mut rows = Vec::new();
        let (result, annotations) = self.each(piece, room, &mut |row| {
            if over.load(Relaxed) {
                return Err(QueryError::Cancelled);
            }
            held.add(row.present(), row.bytes())?;
            rows.push(row);
            Ok(())
        });
        Made {
            rows,
            held,
            result,
            annotations,
        }
    }
}

impl Evaluator<'_> {
    /// Hands on the row of each series of a selection, in the order of the reader. With
    /// `only_newest` the newest sample of each is enough.
    pub(super) fn each_row<L: Default>(
        &self,
        selection: &Selection,
        only_newest: bool,
        make: &Make<'_, L>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut pieces = self.reader.pieces(selection, only_newest, PIECE_SERIES)?;
        let seed = self.seed();
        let maker = Maker {
            seed: &seed,
            make,
            series: AtomicUsize::new(0),
        };
        let threads = self.threads.most.min(pieces.len());
        if let Some(workers) = self.threads.workers.filter(|_| threads > 1) {
            pieces.reverse();
            return self.spread(&maker, workers, (pieces, threads), sink);
        }
        let mut room = L::default();
        for piece in pieces {
            let (result, annotations) = maker.each(piece, &mut room, sink);
            self.annotations.borrow_mut().join(annotations);
            result?;
        }
        Ok(())
    }

    fn spread<'x, L: Default>(
        &self,
        maker: &Maker<'x, '_, L>,
        workers: &dyn Workers,
        (pieces, threads): (Vec<SeriesIter<'x>>, usize),
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let board = Board {
            state: Mutex::new(State {
                count: pieces.len(),
                pieces,
                handed: 0,
                ahead: AHEAD * threads,
                made: BTreeMap::new(),
            }),
            bell: Condvar::new(),
            over: AtomicBool::new(false),
        };
        let help = || {
            let leaving = Leaving(&board);
            let mut room = L::default();
            while let Some((number, piece)) = board.help() {
                board.put(number, maker.all(piece, &mut room, &board.over));
            }
            // Nothing was left to do: the others may go on.
            std::mem::forget(leaving);
        };
        let mut result = Ok(());
        workers.run(threads - 1, &help, &mut || {
            let _leaving = Leaving(&board);
            result = self.hand_on(maker, &board, sink);
        });
        result
    }

    /// The work of the query's own thread.
    fn hand_on<'x, L: Default>(
        &self,
        maker: &Maker<'x, '_, L>,
        board: &Board<'x>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut room = L::default();
        while let Some(turn) = board.turn()? {
            let made = match turn {
                Turn::Make(number, piece) => {
                    board.put(number, maker.all(piece, &mut room, &board.over));
                    continue;
                }
                Turn::HandOn(made) => made,
            };
            made.rows.into_iter().try_for_each(&mut *sink)?;
            drop(made.held);
            self.annotations.borrow_mut().join(made.annotations);
            made.result?;
            board.handed_on();
        }
        Ok(())
    }
}
