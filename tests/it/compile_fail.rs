//! What the compiler must refuse. The messages beside the programs are those of the compiler that CI runs.

// C6, C33
#[test]
fn neither_a_principal_nor_a_secret_leaves_its_crate() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
