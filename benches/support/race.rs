//! Contenders measured in turn, round by round, so that what disturbs the machine disturbs all of them alike.
#![allow(dead_code, reason = "no bench uses all of it")]

use std::hint::black_box;

use http::Request;
use nix::time::{ClockId, clock_gettime};
use tower::Service;

use crate::support::serve;

/// Something that is measured: it runs so many times, and says how many nanoseconds that took.
pub(crate) struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Contender<'a> {
    /// A service. The requests are made between the calls, as on a server, where one takes the memory that the last has
    /// given back; so what a contender adds is what it takes over the bare service with the same requests.
    pub(crate) fn service<S: Service<Request<B>> + 'a, B>(
        name: &str,
        calls: usize,
        mut service: S,
        mut request: impl FnMut() -> Request<B> + 'a,
    ) -> Self {
        Self::function(name, calls, move || serve(&mut service, request()))
    }

    /// Anything else.
    pub(crate) fn function<T>(name: &str, calls: usize, mut call: impl FnMut() -> T + 'a) -> Self {
        Self::batch(name, move || {
            let started = thread_nanoseconds();
            for _ in 0..calls {
                black_box(call());
            }
            (thread_nanoseconds() - started) / calls as f64
        })
    }

    /// What measures itself, and answers in nanoseconds a call.
    pub(crate) fn batch(name: &str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name: name.to_owned(),
            run: Box::new(run),
        }
    }
}

/// The median of each contender, in nanoseconds a call.
pub(crate) fn race(mut contenders: Vec<Contender<'_>>, rounds: usize) -> Vec<(String, f64)> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for contender in &mut contenders {
        (contender.run)();
    }
    for _ in 0..rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            times.push((contender.run)());
        }
    }
    let names = contenders.into_iter().map(|contender| contender.name);
    names.zip(times.into_iter().map(median)).collect()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The processor time of this thread: what others do on the machine is not counted.
pub(crate) fn thread_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

/// `cargo bench -- --test` and `cargo test` ask whether it runs at all.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// A section of results for `benches/report`, a name and a number on each line.
pub(crate) fn print(section: &str, results: &[(String, f64)]) {
    println!("# {section}");
    for (name, value) in results {
        println!("{name}\t{value:.1}");
    }
}
