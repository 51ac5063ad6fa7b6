//! The faults that go on beside the conversation, each on a thread of its own: flooding, eating, spinning.

use std::hint::black_box;
use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::flags::Flags;

const MIB: usize = 1024 * 1024;

/// How often a flood of a given rate writes its share.
const FLOOD_TICK: Duration = Duration::from_millis(10);
const FLOOD_TICKS_A_SECOND: u64 = 100;

/// Starts what the flags ask for; none of it ends before the process does.
pub fn start(flags: &Flags) {
    let after = flags.after;
    if let Some(lines_a_second) = flags.flood_stderr {
        beside(after, move || flood(lines_a_second));
    }
    if let Some(megabytes) = flags.eat_memory {
        beside(after, move || eat(megabytes));
    }
    if flags.spin {
        beside(after, || {
            loop {
                std::hint::spin_loop();
            }
        });
    }
}

/// Runs a fault on a thread of its own.
pub fn beside(after: Duration, fault: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(after);
        fault();
    });
}

fn flood(lines_a_second: u32) {
    let mut written = 0_u64;
    let mut ticks = 0_u64;
    loop {
        ticks += 1;
        let due = match lines_a_second {
            0 => u64::MAX,
            rate => ticks * u64::from(rate) / FLOOD_TICKS_A_SECOND,
        };
        while written < due {
            written += 1;
            // Nobody reads any more: there is nothing left to flood.
            if writeln!(std::io::stderr(), "echo: flood line {written}").is_err() {
                return;
            }
        }
        thread::sleep(FLOOD_TICK);
    }
}

fn eat(megabytes: usize) {
    let mut eaten = Vec::with_capacity(megabytes);
    for _ in 0..megabytes {
        // Not zeroes: only pages that were written to are really taken.
        eaten.push(vec![1_u8; MIB]);
    }
    let _ = writeln!(std::io::stderr(), "echo: ate {megabytes} MB");
    loop {
        black_box(&eaten);
        thread::park();
    }
}
