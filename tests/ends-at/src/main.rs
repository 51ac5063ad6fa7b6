//! `roadstead serve`, except that it is killed, by nobody's hand but its own, as soon as it has taken a named step of a launch or
//! of an end. Tests start it in the place of the service; the service itself knows of no such thing.

use std::time::Duration;

use clap::Parser as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead::command::{Cli, Command};
use roadstead::config::{Config, Environment as _, ProcessEnvironment};
use roadstead_model::{InstanceId, Step};
use roadstead_orchestrator::Witness;

/// The variable that names the step.
const STEP: &str = "ROADSTEAD_ENDS_AT";

#[derive(Debug)]
struct EndsAt(Step);

impl Witness for EndsAt {
    fn saw(&self, _instance: InstanceId, step: Step, _since: Option<Duration>) {
        if step == self.0 {
            // Nothing of ours is run after this, as when anybody else kills us.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let Command::Serve { service: args, .. } = cli.command else {
        anyhow::bail!("only `serve` ends at a step")
    };
    let word = ProcessEnvironment.get(STEP).and_then(|word| word.into_string().ok());
    let step: Step =
        word.ok_or_else(|| anyhow::anyhow!("{STEP} names the step at which it is to end"))?.parse()?;
    let mut config = Config::read(&args, cli.data_dir, &ProcessEnvironment)?;
    config.witness = Some(std::sync::Arc::new(EndsAt(step)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(roadstead::up::serve(&config))
}
