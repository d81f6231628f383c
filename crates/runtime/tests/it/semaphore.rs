//! Permits with debt: never more out than the limit admitted, whatever happens in between.

use proptest::prelude::*;
use runtime::{Permit, Semaphore};
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
enum Act {
    Acquire,
    Cancel(usize),
    Return(usize),
    Resize(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Acquire),
        1 => any::<usize>().prop_map(Act::Cancel),
        3 => any::<usize>().prop_map(Act::Return),
        1 => (0..12_usize).prop_map(Act::Resize),
    ]
}

/// Lets every woken task run; on a runtime of one thread that is one turn.
async fn settle() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

async fn play(acts: Vec<Act>) {
    let semaphore = Semaphore::new(4);
    let mut waiting: Vec<JoinHandle<Permit>> = Vec::new();
    let mut held: Vec<Permit> = Vec::new();
    let mut limit = 4;
    for act in acts {
        let before = held.len();
        match act {
            Act::Acquire => {
                let semaphore = semaphore.clone();
                let acquire = async move { semaphore.acquire(1_000).await.unwrap() };
                waiting.push(tokio::spawn(acquire));
            }
            Act::Cancel(index) if !waiting.is_empty() => {
                let cancelled = waiting.swap_remove(index % waiting.len());
                cancelled.abort();
            }
            Act::Return(index) if !held.is_empty() => {
                drop(held.swap_remove(index % held.len()));
            }
            Act::Resize(to) => {
                limit = to;
                semaphore.resize(to);
            }
            Act::Cancel(_) | Act::Return(_) => {}
        }
        settle().await;
        let mut still = Vec::new();
        for task in waiting {
            if task.is_finished() {
                held.push(task.await.unwrap());
            } else {
                still.push(task);
            }
        }
        waiting = still;
        let usage = semaphore.usage();
        assert_eq!(usage.out, held.len(), "no permit is lost or made up");
        assert!(
            held.len() <= limit.max(before),
            "{} out, limit {limit}",
            held.len()
        );
        assert!(
            waiting.is_empty() || held.len() >= limit,
            "nobody waits beside a free permit"
        );
    }
}

proptest! {
    #[test]
    fn no_sequence_of_resizes_and_cancellations_admits_too_many(acts in prop::collection::vec(act(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(acts));
    }
}

#[tokio::test]
async fn shrinking_and_growing_with_everything_out_hands_out_no_extra() {
    let semaphore = Semaphore::new(10);
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(semaphore.acquire(0).await.unwrap());
    }
    semaphore.resize(4);
    semaphore.resize(10);
    assert!(semaphore.acquire(0).await.is_err(), "ten are out");
    held.truncate(3);
    semaphore.resize(4);
    let fourth = semaphore.acquire(0).await.unwrap();
    assert!(semaphore.acquire(0).await.is_err());
    drop(fourth);
}

#[tokio::test]
async fn a_full_queue_is_refused_and_a_cancelled_place_is_free_again() {
    let semaphore = Semaphore::new(0);
    let waiter = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { drop(semaphore.acquire(1).await) }
    });
    settle().await;
    assert!(
        semaphore.acquire(1).await.is_err(),
        "the one place is taken"
    );
    waiter.abort();
    settle().await;
    let next = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire(1).await.is_ok() }
    });
    settle().await;
    semaphore.resize(1);
    assert!(next.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_resize_and_acquire_together_never_exceed_the_largest_limit() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    const LARGEST: usize = 6;
    let semaphore = Semaphore::new(LARGEST);
    let inside = Arc::new(AtomicUsize::new(0));
    let worker = |seed: usize| {
        let (semaphore, inside) = (semaphore.clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            for turn in 0..2_000 {
                if turn % 7 == seed % 7 {
                    semaphore.resize(1 + (turn + seed) % LARGEST);
                }
                let permit = semaphore.acquire(1_000).await.unwrap();
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(now <= LARGEST, "{now} inside");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            }
        })
    };
    let workers: Vec<_> = (0..16).map(worker).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(semaphore.usage().out, 0);
}
