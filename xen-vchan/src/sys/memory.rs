//! Pages that another domain can write at any time.
#![expect(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering, compiler_fence};

use super::{GrantClient, GrantServer};

pub const PAGE_SIZE: usize = 4096;

/// Mapped pages, unmapped on drop. Every access is checked against their length;
/// no reference to their plain bytes is ever made, as those change under us.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
    owner: Owner,
}

/// Where the pages come from, which is also what must outlive them.
#[derive(Debug)]
pub enum Owner {
    Shared(Arc<GrantServer>),
    Mapped(Arc<GrantClient>),
    #[cfg(test)]
    Leaked,
}

// SAFETY: a mapping belongs to the process, not to a thread, and `&Memory` gives
// nothing but atomics and copies whose races the type is made for.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// `base` is page-aligned and begins `pages` mapped pages, which stay mapped
    /// until the result is dropped and which `owner` can release.
    pub unsafe fn new(base: NonNull<u8>, pages: usize, owner: Owner) -> Memory {
        Memory { base, len: pages * PAGE_SIZE, owner }
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies `buf.len()` bytes at `offset` out. Panics when they are not inside.
    pub fn read(&self, offset: usize, buf: &mut [u8]) {
        let from = self.at(offset, buf.len());
        // SAFETY: `at` has checked the range, and `buf` is memory of our own. The
        // other domain may write meanwhile: then the bytes are any bytes.
        unsafe { from.copy_to_nonoverlapping(buf.as_mut_ptr(), buf.len()) };
        // Nobody may later fetch these bytes from the shared page instead of `buf`.
        compiler_fence(Ordering::SeqCst);
    }

    /// Copies `buf` in at `offset`. Panics when it does not fit.
    pub fn write(&self, offset: usize, buf: &[u8]) {
        let to = self.at(offset, buf.len());
        // SAFETY: as in `read`.
        unsafe { to.copy_from_nonoverlapping(buf.as_ptr(), buf.len()) };
    }

    /// The 32-bit word at `offset`. Panics when it is not inside or not aligned.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % align_of::<AtomicU32>() == 0, "misaligned word");
        let at = self.at(offset, size_of::<AtomicU32>());
        // SAFETY: in range and aligned (the base is a page's), and mapped as long
        // as `self`; all accesses to it in this process are atomic.
        unsafe { AtomicU32::from_ptr(at.cast()) }
    }

    /// The byte at `offset`. Panics when it is not inside.
    pub fn byte(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: as in `word`.
        unsafe { AtomicU8::from_ptr(self.at(offset, 1)) }
    }

    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(inside, "outside of the shared pages");
        // SAFETY: `offset` is within the mapping.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let pages = self.len / PAGE_SIZE;
        match &self.owner {
            Owner::Shared(grants) => grants.unshare(self.base, pages),
            Owner::Mapped(grants) => grants.unmap(self.base, pages),
            #[cfg(test)]
            Owner::Leaked => {}
        }
    }
}

#[cfg(test)]
pub mod fake {
    //! Pages of this process, for tests of both ends without Xen.

    use std::alloc::{Layout, alloc_zeroed};

    use super::{Memory, NonNull, Owner, PAGE_SIZE};

    /// The same pages twice, as two domains see them. They are leaked.
    pub fn pages(count: usize) -> (Memory, Memory) {
        let layout = Layout::from_size_align(count * PAGE_SIZE, PAGE_SIZE).expect("small");
        // SAFETY: the layout has a size.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        // SAFETY: never freed.
        let new = || unsafe { Memory::new(base, count, Owner::Leaked) };
        (new(), new())
    }
}
