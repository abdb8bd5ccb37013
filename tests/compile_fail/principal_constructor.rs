//! C6: whoever holds a `Principal` has it from the layer, though not whoever holds a record.

use coverbase_auth::{KeyRecord, Principal};

fn by_default() -> Principal {
    Principal::default()
}

fn by_a_record(record: KeyRecord) -> Principal {
    record.into_principal()
}

fn by_conversion(record: KeyRecord) -> Principal {
    record.into()
}

fn main() {}
