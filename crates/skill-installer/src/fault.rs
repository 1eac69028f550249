//! A hook for tests: stops the process, or fails, before the N-th change of the disk that this thread makes.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;

/// What happens at the chosen change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process ends at once, as with SIGKILL.
    Abort,
    /// The change fails with this error number of the operating system. Later changes succeed.
    Error(i32),
    /// This and all later changes fail, as on a full disk.
    ErrorFromHere(i32),
}

thread_local! {
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static FAULT: Cell<Option<(u64, Fault)>> = const { Cell::new(None) };
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static CAN_EXCHANGE: Cell<bool> = const { Cell::new(true) };
}

/// Sets the count of changes to zero, and the fault that occurs before the change with this number, from 1.
pub fn set(fault: Option<(u64, Fault)>) {
    CHANGES.set(0);
    FAULT.set(fault);
    EVENTS.take();
}

/// The waits for the disk and the renames since [`set`], in their order: `flush` or `rename`, and the path relative to the skills folder.
#[must_use]
pub fn events() -> Vec<String> {
    EVENTS.with_borrow(Clone::clone)
}

pub(crate) fn event(what: &str, path: &Path) {
    EVENTS.with_borrow_mut(|events| events.push(format!("{what} {}", path.display())));
}

/// How many changes were made since [`set`].
#[must_use]
pub fn changes() -> u64 {
    CHANGES.get()
}

/// Whether the file system can exchange two names in one step.
pub fn set_can_exchange(can_exchange: bool) {
    CAN_EXCHANGE.set(can_exchange);
}

pub(crate) fn can_exchange() -> bool {
    CAN_EXCHANGE.get()
}

pub(crate) fn step() -> io::Result<()> {
    let count = CHANGES.get() + 1;
    CHANGES.set(count);
    match FAULT.get() {
        Some((at, Fault::Abort)) if at == count => std::process::abort(),
        Some((at, Fault::Error(number))) if at == count => Err(io::Error::from_raw_os_error(number)),
        Some((at, Fault::ErrorFromHere(number))) if at <= count => Err(io::Error::from_raw_os_error(number)),
        Some(_) | None => Ok(()),
    }
}
