//! Pointers to kernel objects: the raw-object layer, one of the few places for `unsafe`.
//!
//! Objects lie in memory that came from Untyped. Their fields are `Cell`s and one CPU runs the kernel with
//! interrupts off, so shared references are enough everywhere and the rest of the kernel is safe code.

use core::{fmt, marker::PhantomData, ops::Deref, ptr::NonNull};

use crate::mem;

/// A pointer to a live kernel object.
///
/// Invariant, kept by [`crate::lifetime`]: whoever stores a `Ref` is told before the object goes. An object lives as
/// long as its original capability; all capabilities, queue links and partner links to it are cleared first.
#[repr(transparent)]
pub struct Ref<T>(NonNull<T>, PhantomData<*const T>);

impl<T> Ref<T> {
    /// The object at a kernel address.
    ///
    /// # Safety
    /// An initialised `T` lies there and the invariant of [`Ref`] holds for it.
    pub const unsafe fn from_address(address: u64) -> Self {
        // SAFETY: the caller promises an object, and no object lies at address 0.
        Self(unsafe { NonNull::new_unchecked(address as *mut T) }, PhantomData)
    }

    /// An object that always lives.
    pub const fn from_static(object: &'static T) -> Self {
        Self(NonNull::from_ref(object), PhantomData)
    }

    /// Writes a new object to memory.
    ///
    /// # Safety
    /// The memory at `address` is mapped, aligned for `T`, big enough, and nothing else uses it.
    pub unsafe fn create(address: u64, value: T) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            (address as *mut T).write(value);
            Self::from_address(address)
        }
    }

    /// Its kernel address.
    pub fn address(self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// Its physical address.
    pub fn physical(self) -> u64 {
        mem::to_physical(self.address())
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the invariant of Ref: the object is alive and initialised. Its fields are Cells, so shared
        // references to it may coexist.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ref<T> {}
impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Ref<T> {}
impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}
