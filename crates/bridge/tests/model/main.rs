//! Random interleavings of what clients and servers do, over several sessions, stateless clients and processes, with ids that
//! collide. Whatever happens, every request gets exactly one answer on its own stream, nothing reaches anybody else, and nothing
//! is left in any table.
//!
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` try more, or other ones.
#![expect(clippy::unwrap_used, reason = "a harness that does not work has to end its test")]

mod checks;
mod client;
mod server;
mod steps;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use roadstead_bridge::SessionMode;
use tokio::task::LocalSet;

use steps::{Step, steps};
use world::World;

/// The same cases every time, unless the environment says otherwise.
fn config() -> Config {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 5000, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_260_728);
    }
    config
}

fn run(mode: SessionMode, steps: &[Step]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        let mut world = World::new(mode).await;
        for step in steps {
            world.take(step).await;
        }
        world.finish().await;
        checks::check(&world);
    }));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_request_gets_its_own_answer(steps in steps()) {
        run(SessionMode::PerSession, &steps);
    }

    #[test]
    fn every_request_gets_its_own_answer_on_a_shared_process(steps in steps()) {
        run(SessionMode::Shared, &steps);
    }
}
