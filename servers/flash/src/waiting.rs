//! The chip for those who could wait, such as `sequential-storage`: nobody has to, because the driver does.

use crate::chip::{BLOCK, Chip, FlashError};
use crate::platform::Platform;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embedded_storage_async::nor_flash as asynchronous;

/// Runs an operation on a [`Waiting`] chip to its end.
pub fn wait<T>(operation: impl Future<Output = T>) -> T {
    let mut operation = pin!(operation);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = operation.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// The chip, as `sequential-storage` wants it: with operations that could be waited for.
pub struct Waiting<'a, P>(pub &'a mut Chip<P>);

impl<P> asynchronous::ErrorType for Waiting<'_, P> {
    type Error = FlashError;
}

impl<P: Platform> asynchronous::ReadNorFlash for Waiting<'_, P> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read(offset as usize, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.size()
    }
}

impl<P: Platform> asynchronous::NorFlash for Waiting<'_, P> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = BLOCK;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.0.erase(from as usize..to as usize)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.program(offset as usize, bytes)
    }
}

impl<P: Platform> asynchronous::MultiwriteNorFlash for Waiting<'_, P> {}
