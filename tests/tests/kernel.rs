//! The kernel's tests from inside (`apps/ktest`): every one of them must run and succeed.

use postern::qemu::Options;
use postern::status::Status;

#[test]
fn every_kernel_test_succeeds() {
    let outcome = tests::follow(&Options {
        system: "ktest".into(),
        icount: true,
        ..Options::default()
    });
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
}
