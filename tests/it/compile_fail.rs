//! Programs that must not compile. The expected messages beside the programs are those of the compiler that CI runs.

// C6, C33
#[test]
fn principals_and_secrets_cannot_be_made_or_printed_outside_the_crate() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
