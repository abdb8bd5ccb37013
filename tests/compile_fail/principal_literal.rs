//! C6: whoever holds a `Principal` has it from the layer.

#![allow(unreachable_code)]

use coverbase_auth::Principal;

fn forge() -> Principal {
    Principal { identity: todo!() }
}

fn main() {
    forge();
}
