//! What the service's own process takes, looked at when somebody scrapes.

use std::sync::atomic::{AtomicU64, Ordering};

use procfs::process::{LimitValue, Process};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The process's figures; what cannot be read keeps its last value.
#[derive(Debug, Default, Clone)]
pub(crate) struct Own {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    threads: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    started: Gauge<f64, AtomicU64>,
}

impl Own {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("process");
        let help = "Processor time of the service's own process, user and system";
        registry.register_with_unit("cpu", help, Unit::Seconds, self.cpu.clone());
        registry.register_with_unit("resident_memory", "Memory in use", Unit::Bytes, self.resident.clone());
        registry.register("threads", "Threads", self.threads.clone());
        registry.register("open_fds", "Open file descriptors", self.open_files.clone());
        registry.register("max_fds", "File descriptors that may be open", self.max_files.clone());
        let help = "When the process started, since the epoch";
        registry.register_with_unit("start_time", help, Unit::Seconds, self.started.clone());
    }

    pub(crate) fn look(&self) {
        let Ok(own) = Process::myself() else { return };
        if let Ok(stat) = own.stat() {
            let ticks = seconds(stat.utime + stat.stime);
            self.cpu.inner().store(ticks.to_bits(), Ordering::Relaxed);
            let resident = stat.rss.saturating_mul(procfs::page_size());
            self.resident.set(i64::try_from(resident).unwrap_or(i64::MAX));
            self.threads.set(stat.num_threads);
            if let Ok(boot) = procfs::boot_time_secs() {
                self.started.set(seconds(stat.starttime) + whole(boot));
            }
        }
        if let Ok(count) = own.fd_count() {
            self.open_files.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Ok(limits) = own.limits() {
            let most = match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => i64::try_from(most).unwrap_or(i64::MAX),
                LimitValue::Unlimited => i64::MAX,
            };
            self.max_files.set(most);
        }
    }
}

fn seconds(ticks: u64) -> f64 {
    whole(ticks) / whole(procfs::ticks_per_second())
}

#[expect(clippy::cast_precision_loss, reason = "exact for a hundred thousand years of ticks")]
const fn whole(number: u64) -> f64 {
    number as f64
}
