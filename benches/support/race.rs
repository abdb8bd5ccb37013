//! Contenders measured in turn, round by round, so that a disturbance of the machine affects all of them alike; and the
//! lines that `benches/report` reads.

use std::hint::black_box;

use http::Request;
use nix::time::{ClockId, clock_gettime};
use tower::Service;

use super::services::serve;

/// A function that is measured under a name. Each run returns nanoseconds per call.
pub(crate) struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Contender<'a> {
    /// Measures a service. The requests are made between the calls, as on a server, where a request takes the memory that
    /// the one before has freed. What a layer adds is the difference to the bare service with the same requests.
    pub(crate) fn service<S: Service<Request<B>> + 'a, B>(
        name: &str,
        calls: usize,
        mut service: S,
        mut request: impl FnMut() -> Request<B> + 'a,
    ) -> Self {
        Self::function(name, calls, move || serve(&mut service, request()))
    }

    pub(crate) fn function<T>(name: &str, calls: usize, mut call: impl FnMut() -> T + 'a) -> Self {
        Self::batch(name, move || nanoseconds_of(calls, &mut call))
    }

    /// Takes a function that measures itself.
    pub(crate) fn batch(name: &str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name: name.to_owned(),
            run: Box::new(run),
        }
    }
}

/// The median of each contender, in nanoseconds per call.
pub(crate) struct Medians(Vec<(String, f64)>);

/// Runs every contender once in each round.
pub(crate) fn race(mut contenders: Vec<Contender<'_>>, rounds: usize) -> Medians {
    let rounds = if is_test() { 1 } else { rounds };
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
    Medians(names.zip(times.into_iter().map(median)).collect())
}

impl Medians {
    pub(crate) fn of(&self, name: &str) -> f64 {
        let mut found = self.0.iter().filter(|(contender, _)| contender == name);
        found.next().expect("a contender of that name").1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, time)| (name.as_str(), *time))
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the processor time of this thread. It does not include what other threads and processes use.
pub(crate) fn thread_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

/// Returns the processor time of one call.
pub(crate) fn nanoseconds_of<T>(calls: usize, mut call: impl FnMut() -> T) -> f64 {
    let started = thread_nanoseconds();
    for _ in 0..calls {
        black_box(call());
    }
    (thread_nanoseconds() - started) / calls as f64
}

/// Whether the bench is only to run once, without measuring: `cargo bench -- --test`.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Prints the heading of a table, with the headings of the columns after the first.
pub(crate) fn print_heading(title: &str, columns: &[&str]) {
    println!("# {title}\t{}", columns.join("\t"));
}

pub(crate) fn print_row(name: &str, values: &[f64]) {
    let cells: Vec<_> = values.iter().map(|value| short(*value)).collect();
    println!("{name}\t{}", cells.join("\t"));
}

/// Writes a number with three digits or more.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The bound that a measured figure is held to.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// Prints a row of the budget: the figure, its limit, and whether it passes. A test prints none, since it measures nothing.
pub(crate) fn print_budget(name: &str, figure: f64, limit: Limit) {
    if is_test() {
        return;
    }
    let (passes, limit) = match limit {
        Limit::AtMost(limit) => (figure <= limit, format!("≤ {limit}")),
        Limit::AtLeast(limit) => (figure >= limit, format!("≥ {limit}")),
    };
    let verdict = if passes { "pass" } else { "falls short" };
    println!("budget: {name}\t{figure:.3}\t{limit}\t{verdict}");
}
