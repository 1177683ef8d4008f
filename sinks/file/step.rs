//! The places where tests let the process die.

/// Between two things that are done to the disk. Does nothing, but in tests that have said when to die.
#[cfg(not(test))]
pub(super) fn step() {}

#[cfg(test)]
pub(super) use self::tests::step;

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    thread_local! {
        /// How many more steps this thread lives, where it is to die.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    struct Died;

    pub fn step() {
        let left = LEFT.get();
        if left == Some(0) {
            // Not `panic`: no message is printed. Nothing of ours runs on the way but what drops.
            resume_unwind(Box::new(Died));
        }
        LEFT.set(left.map(|left| left - 1));
    }

    /// What `work` returns, or `None` where it came to that many steps and one more.
    pub fn die_after<T>(steps: usize, work: impl FnOnce() -> T) -> Option<T> {
        LEFT.set(Some(steps));
        let outcome = catch_unwind(AssertUnwindSafe(work));
        LEFT.set(None);
        match outcome {
            Ok(value) => Some(value),
            Err(cause) if cause.is::<Died>() => None,
            Err(cause) => resume_unwind(cause),
        }
    }
}
