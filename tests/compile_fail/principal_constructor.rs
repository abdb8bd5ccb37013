//! C6: a `Principal` cannot be made by a constructor or a conversion outside the crate.

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
