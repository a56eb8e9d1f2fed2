//! The kernel's tests from inside (`apps/ktest`): every one of them must run and succeed.

use postern::qemu::Options;
use postern::status::Status;
use postern::system::System;

#[test]
fn every_kernel_test_succeeds() {
    let options = Options {
        system: "ktest".into(),
        icount: true,
        ..Options::default()
    };
    let system = System::load(&options.system).expect("it is there");
    let outcome = tests::follow(&options, &system, &[]);
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
}
