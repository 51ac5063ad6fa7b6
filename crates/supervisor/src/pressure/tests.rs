use std::time::Instant;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn plan() -> Plan {
    let limits = Limits {
        memory_bytes: Some(1000),
        cpu_millis: Some(500),
        disk_bytes: Some(4000),
        processes: Some(10),
        ..Limits::default()
    };
    Plan { limits: Some(limits), ..Plan::default() }
}

fn of_group(files: &[(&str, &str)], is_v2: bool, controllers: &[Controller]) -> Pressure {
    let folder = folder(files);
    let part = GroupPart { folder: folder.path().to_owned(), is_v2, controllers };
    Pressure::of(&plan(), &[part], Below { memory: 1, tasks: 2 }, Some(5))
}

#[test]
fn version_2_is_read_in_its_own_words() {
    let files = [
        ("memory.max", "1000\n"),
        ("memory.current", "900\n"),
        ("memory.stat", "anon 500\ninactive_file 300\nactive_file 1\n"),
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"),
        ("cpu.max", "50000 100000\n"),
        ("cpu.stat", "usage_usec 9\nnr_periods 40\nnr_throttled 30\nthrottled_usec 2000000\nnr_bursts 0\n"),
        ("pids.max", "11\n"),
        ("pids.current", "4\n"),
        ("pids.events", "max 6\n"),
    ];
    let pressure = of_group(&files, true, &Controller::ALL);
    let held = |limit, used, refused| Use { held: Held::Enforced, limit: Some(limit), used, refused };
    assert_eq!(
        pressure.memory,
        held(1000, Some(600), Some(7)),
        "file pages that can be given back do not count"
    );
    assert_eq!(pressure.cpu, held(500, None, Some(30)));
    let time = Duration::from_secs(2);
    assert_eq!(pressure.throttled, Some(Throttled { periods: 40, waited: 30, time }));
    assert_eq!(pressure.processes, held(10, Some(3), Some(6)), "init is not counted");
    assert_eq!(pressure.kills, Some(1));
    assert_eq!(pressure.disk, Use { held: Held::Sampled, limit: Some(4000), used: Some(5), refused: None });
}

#[test]
fn version_1_is_read_in_its_own_words() {
    let files = [
        ("memory.limit_in_bytes", "1000\n"),
        ("memory.usage_in_bytes", "900\n"),
        ("memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
        ("memory.failcnt", "7\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ("cpu.cfs_quota_us", "50000\n"),
        ("cpu.cfs_period_us", "100000\n"),
        ("cpu.stat", "nr_periods 40\nnr_throttled 30\nthrottled_time 2000000000\n"),
        ("pids.max", "11\n"),
        ("pids.current", "4\n"),
        ("pids.events", "max 6\n"),
    ];
    let pressure = of_group(&files, false, &Controller::ALL);
    assert_eq!((pressure.memory.limit, pressure.memory.used), (Some(1000), Some(600)));
    assert_eq!((pressure.memory.refused, pressure.kills), (Some(7), Some(1)));
    assert_eq!((pressure.cpu.held, pressure.cpu.limit), (Held::Enforced, Some(500)));
    assert_eq!(pressure.throttled.map(|it| it.time), Some(Duration::from_secs(2)));
    assert_eq!((pressure.processes.limit, pressure.processes.refused), (Some(10), Some(6)));
}

#[test]
fn what_no_group_holds_is_sampled_or_absent_and_said_to_be() {
    let nothing_set = [("memory.max", "max\n"), ("cpu.max", "max 100000\n"), ("pids.max", "max\n")];
    for files in [&nothing_set[..], &[]] {
        let pressure = of_group(files, true, &Controller::ALL);
        let sampled =
            |limit, used| Use { held: Held::Sampled, limit: Some(limit), used: Some(used), refused: None };
        assert_eq!(pressure.memory, sampled(1000, 1));
        assert_eq!(pressure.processes, sampled(10, 2));
        assert_eq!((pressure.cpu.held, pressure.cpu.limit), (Held::Absent, Some(500)));
    }
    for (isolation, has_own_user, processes) in [
        (IsolationLevel::None, false, Held::Sampled),
        (IsolationLevel::UserNamespace, false, Held::Enforced),
        (IsolationLevel::PidNamespace, true, Held::Enforced),
    ] {
        let plan = Plan { isolation: Some(isolation), has_own_user, ..plan() };
        let held = plan.held(&[]);
        assert_eq!((held.processes, held.memory, held.cpu), (processes, Held::Sampled, Held::Absent));
        assert_eq!(
            (held.open_files, held.file_size, held.disk),
            (Held::Enforced, Held::Absent, Held::Sampled)
        );
    }
    assert_eq!(Plan::default().held(&[]), LimitsHeld::default(), "nothing is known of an old shim's limits");
}

/// Looks at an instance whose memory is this, ten seconds apart.
fn looks(held: Held, used: &[u64]) -> Vec<(Vec<&'static str>, bool)> {
    let (mut watch, begin) = (Watch::default(), Instant::now());
    let look = |(number, used): (usize, &u64)| {
        let memory = Use { held, limit: Some(100), used: Some(*used), refused: None };
        let pressure = Pressure { memory, ..Pressure::default() };
        let now = begin + Duration::from_secs(10) * u32::try_from(number).expect("few");
        let (reached, over) = watch.look(now, &pressure, Duration::ZERO);
        (reached.iter().map(|each| each.at.as_str()).collect(), over.is_some())
    };
    used.iter().enumerate().map(look).collect()
}

#[test]
fn nearness_is_told_once_for_each_crossing() {
    let told: Vec<_> = looks(Held::Enforced, &[79, 80, 95, 71, 80, 69, 85])
        .into_iter()
        .map(|(told, _)| told.len())
        .collect();
    // The last crossing is a real one, but the same was told within ten minutes.
    assert_eq!(told, [0, 1, 0, 0, 0, 0, 0]);
    let far_apart: Vec<u64> = [85].into_iter().chain([10; 60]).chain([85]).collect();
    let told = looks(Held::Enforced, &far_apart);
    assert_eq!(told.iter().filter(|(told, _)| !told.is_empty()).count(), 2);
}

#[test]
fn above_a_sampled_limit_in_two_looks_in_a_row_an_instance_has_to_end() {
    let over = |held, used: &[u64]| looks(held, used).into_iter().map(|(_, over)| over).collect::<Vec<_>>();
    assert_eq!(over(Held::Sampled, &[101, 90, 101, 102, 103]), [false, false, false, true, true]);
    assert_eq!(over(Held::Sampled, &[100, 100, 100]), [false; 3], "at the limit is not above it");
    assert_eq!(over(Held::Enforced, &[101, 101, 101]), [false; 3], "the kernel holds it");
    assert_eq!(looks(Held::Sampled, &[101, 101, 101])[1].0, ["exceeded"]);
    assert_eq!(looks(Held::Sampled, &[101, 101, 101])[2].0, [""; 0], "told once");
}

#[test]
fn what_the_kernel_refused_or_ended_is_told_by_its_difference() {
    let (mut watch, begin) = (Watch::default(), Instant::now());
    let mut look = |seconds: u64, refused, kills| {
        let processes = Use { held: Held::Enforced, limit: Some(10), used: Some(1), refused: Some(refused) };
        let memory = Use { held: Held::Enforced, limit: Some(100), ..Use::default() };
        let pressure = Pressure { processes, memory, kills: Some(kills), ..Pressure::default() };
        let (reached, _) = watch.look(begin + Duration::from_secs(seconds), &pressure, Duration::ZERO);
        reached.iter().map(|each| (each.limit, each.at.as_str(), each.value)).collect::<Vec<_>>()
    };
    assert_eq!(look(0, 5, 5), [], "what happened before a restart of the service is old");
    let told = [(LimitName::Processes, "refused", 3), (LimitName::Memory, "exceeded", 100)];
    assert_eq!(look(10, 8, 6), told);
    assert_eq!(look(20, 9, 7), [], "not again so soon");
    assert_eq!(look(620, 10, 8).len(), 2);
    let processes = Use { limit: Some(10), refused: Some(1), ..Use::default() };
    let pressure = Pressure { processes, ..Pressure::default() };
    assert_eq!(
        Watch::new(true).look(begin, &pressure, Duration::ZERO).0.len(),
        1,
        "a new one began with none"
    );
}

#[test]
fn a_processor_is_short_when_an_instance_waits_most_of_the_time_for_long() {
    let (mut watch, begin) = (Watch::default(), Instant::now());
    let mut told = Vec::new();
    // In each span of ten seconds: how many of the hundred periods it waited in.
    let (mut periods, mut waited) = (0, 0);
    for (number, more) in [0, 90, 10, 90, 90, 90, 40, 10].into_iter().enumerate() {
        (periods, waited) = (periods + 100, waited + more);
        let cpu = Use { held: Held::Enforced, limit: Some(500), ..Use::default() };
        let throttled = Some(Throttled { periods, waited, time: Duration::ZERO });
        let pressure = Pressure { cpu, throttled, ..Pressure::default() };
        let seconds = 10 * u64::try_from(number).expect("few");
        let used = Duration::from_millis(500 * seconds);
        let (reached, _) = watch.look(begin + Duration::from_secs(seconds), &pressure, used);
        told.extend(reached.into_iter().map(|each| (number, each.at.as_str(), each.value, each.limit_value)));
    }
    assert_eq!(told, [(4, "throttled", 500, 500)]);
}
