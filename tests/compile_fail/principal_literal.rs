//! C6: a `Principal` cannot be written as a struct literal outside the crate.

use coverbase_auth::Principal;

fn forge() -> Principal {
    Principal {}
}

fn main() {}
