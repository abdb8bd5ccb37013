//! An allocator that counts the bytes each thread has in use.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// Counts each block as large as malloc makes it: with a header of 8 bytes, and a multiple of 16.
struct Counting;

thread_local! {
    static IN_USE: Cell<i64> = const { Cell::new(0) };
}

fn count(layout: Layout, sign: i64) {
    let bytes = (layout.size() + 8).next_multiple_of(16);
    IN_USE.set(IN_USE.get() + sign * bytes as i64);
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, -1);
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Returns the result of `make` and how many bytes it holds.
pub(crate) fn bytes_of<T>(make: impl FnOnce() -> T) -> (T, f64) {
    let before = IN_USE.get();
    let made = make();
    (made, (IN_USE.get() - before) as f64)
}
