//! Variables that hold secrets: taken out of the environment, also out of the copy that the system shows of it.

use std::ffi::{CString, OsString};

/// Takes a variable: its value is given once, and neither `/proc/PID/environ` nor a program that is started later has it.
///
/// To be called first thing in a program. Once there are threads, others may be reading the environment; then it is left as
/// it is, and only the value is given.
#[expect(clippy::disallowed_methods, reason = "for those few places that may read the environment")]
pub fn take(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    let known = CString::new(name).ok()?;
    if !is_single_threaded() {
        return Some(value);
    }
    #[expect(unsafe_code, reason = "the environment can only be overwritten by pointers")]
    // SAFETY: this is the only thread, so nobody else reads the environment meanwhile. `getenv` gives the text that the system
    // handed to the process, which is writable and ends with the zero that `strlen` finds; `value` is a copy, and nothing else
    // refers to it.
    unsafe {
        let text = libc::getenv(known.as_ptr());
        if !text.is_null() {
            std::ptr::write_bytes(text, 0, libc::strlen(text));
        }
        std::env::remove_var(name);
    }
    Some(value)
}

/// Where the system does not tell, it is taken for true: `take` is called before anything else is.
fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |threads| threads.count() == 1)
}
