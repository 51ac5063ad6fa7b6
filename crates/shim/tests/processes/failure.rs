//! Launches that come to nothing say why, and leave nothing.

use std::os::unix::fs::PermissionsExt;

use roadstead_control::{Failure, FailureCode, Outcome, ServerEnd, Specification, UserIds};
use roadstead_model::Era;
use roadstead_supervisor::{LaunchError, ShimEvent, StartError, Supervisor, SupervisorConfig};

use crate::support::{PATIENCE, Place, eventually, is_root, marked, secrets};

/// Launches, expects a typed failure, and that nothing is left.
pub async fn fails(place: &Place, specification: Specification) -> Failure {
    let supervisor = place.supervisor();
    let (instance, address) = (specification.instance, specification.listen);
    let mut shim = supervisor.start(specification, secrets()).await.unwrap();
    let mut events = shim.take_events();
    let error = tokio::time::timeout(PATIENCE, shim.ready()).await.unwrap().unwrap_err();
    let LaunchError::Failed(failure) = error else { panic!("{error:?}") };
    let record = loop {
        match events.recv().await.unwrap() {
            ShimEvent::Exited(record) => break record,
            ShimEvent::Logs { .. }
            | ShimEvent::Ready(_)
            | ShimEvent::Usage { .. }
            | ShimEvent::EraFound(_)
            | ShimEvent::ToolsDiffer(_)
            | ShimEvent::ServerChanged(_)
            | ShimEvent::Lifecycle(_) => {}
        }
    };
    assert_eq!(record.outcome, Outcome::Failed);
    assert!(record.complete);
    assert_eq!(record.failure.as_ref(), Some(&failure));
    assert!(!roadstead_supervisor::is_alive(shim.process()));
    assert_eq!(marked(instance), []);
    if failure.code != FailureCode::PortTaken {
        std::net::TcpListener::bind(address).expect("the port is free again");
    }
    failure
}

#[tokio::test]
async fn a_server_that_exits_at_once_is_told_with_its_status_and_last_words() {
    let place = Place::new();
    let args = ["--say", "token is canary-secret", "--say", "no config found", "--exit", "3"];
    let failure = fails(&place, place.specification(&args)).await;
    assert_eq!(failure.code, FailureCode::ServerExited);
    assert_eq!(failure.server_end, Some(ServerEnd::Code(3)));
    assert_eq!(failure.stderr_tail, ["token is [masked]", "no config found"]);
}

#[tokio::test]
async fn one_that_ends_without_being_asked_is_not_started_for_ever() {
    let place = Place::new();
    let args = ["--say", "could not initialize the cache", "--exit", "4"];
    let failure = fails(&place, place.specification(&args)).await;
    assert_eq!((failure.code, failure.server_end), (FailureCode::ServerExited, Some(ServerEnd::Code(4))));
    let said = failure.stderr_tail.iter().filter(|line| line.contains("initialize the cache")).count();
    assert_eq!(said, 2, "once more, asked nothing: {:?}", failure.stderr_tail);
}

#[tokio::test]
async fn a_server_that_never_answers_fails_within_its_budget() {
    let place = Place::new();
    let mut specification = place.specification(&["--silent", "--ignore-sigterm", "--stray"]);
    // A silent legacy server is taken for ready: the modern one has to answer.
    specification.era = Era::Modern;
    specification.ready_timeout_ms = 300;
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::ReadyTimeout);
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.program = place.program("nothing-here");
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::ProgramNotFound);
    assert!(failure.message.contains("nothing-here"), "{}", failure.message);
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_is_told_apart() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.program = place.program("script");
    std::fs::write(&specification.program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&specification.program, PermissionsExt::from_mode(0o755)).unwrap();
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::ProgramNotFound);
    assert!(failure.message.contains("interpreter"), "{}", failure.message);
}

#[tokio::test]
async fn a_program_that_may_not_be_executed_names_the_user() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.program = place.program("data");
    std::fs::write(&specification.program, "text").unwrap();
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::ProgramNotExecutable);
    assert!(failure.message.contains("by user"), "{}", failure.message);
}

#[tokio::test]
async fn a_missing_working_folder_is_named() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.working_folder = place.program("no-folder");
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::WorkingFolderUnusable);
    assert!(failure.message.contains("no-folder"), "{}", failure.message);
}

#[tokio::test]
async fn a_port_that_something_else_holds_is_told() {
    let place = Place::new();
    let specification = place.specification(&[]);
    let _holder = std::net::TcpListener::bind(specification.listen).unwrap();
    assert_eq!(fails(&place, specification).await.code, FailureCode::PortTaken);
}

#[tokio::test]
async fn no_server_runs_as_root() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    if is_root() {
        specification.user = None;
        assert_eq!(fails(&place, specification).await.code, FailureCode::InvalidSpecification);
    } else {
        // Who is not root cannot give a folder to another user, let alone a process.
        specification.user = Some(UserIds { uid: 1, gid: 1 });
        let error = place.supervisor().start(specification, secrets()).await.unwrap_err();
        assert!(matches!(error, StartError::Folder { .. }), "{error:?}");
        assert_eq!(std::fs::read_dir(place.run_root()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_missing_shim_program_leaves_no_folder() {
    let place = Place::new();
    let config = SupervisorConfig { shim_program: place.program("nothing"), run_root: place.run_root() };
    let supervisor = Supervisor::new(
        config,
        tokio_util::task::TaskTracker::new(),
        std::sync::Arc::new(roadstead_model::SystemClock::new()),
        std::sync::Arc::new(|bytes: &mut [u8; 32]| bytes.fill(1)),
    )
    .unwrap();
    let error = supervisor.start(place.specification(&[]), secrets()).await.unwrap_err();
    assert!(matches!(error, StartError::Spawn { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(place.run_root()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_launch_that_nobody_waits_for_leaves_nothing() {
    let place = Place::new();
    let supervisor = place.supervisor();
    let mut specification = place.specification(&["--silent", "--stray", "--ignore-sigterm"]);
    specification.era = Era::Modern;
    let instance = specification.instance;
    let mut shim = supervisor.start(specification, secrets()).await.unwrap();
    let process = shim.process();
    let mut events = shim.take_events();
    eventually("the server and its stray run", || marked(instance).len() == 2);
    drop(shim);
    while let Some(event) = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap() {
        if matches!(event, ShimEvent::Exited(_)) {
            break;
        }
    }
    assert!(!roadstead_supervisor::is_alive(process));
    assert_eq!(marked(instance), []);
}

#[tokio::test]
async fn a_shim_without_its_secrets_runs_nothing_and_leaves_nothing() {
    let place = Place::new();
    let supervisor = place.supervisor();
    for is_dropped in [false, true] {
        let doom = place.work().join("ran");
        let specification = place.specification(&["--facts", doom.to_str().unwrap()]);
        let (instance, address) = (specification.instance, specification.listen);
        let folder = supervisor.run_folder(instance);
        let prepared = supervisor.prepare(specification).await.unwrap();
        let note = std::fs::read(folder.join(roadstead_control::LAUNCH_FILE)).unwrap();
        let note: roadstead_control::LaunchNote = serde_json::from_slice(&note).unwrap();
        assert!(roadstead_supervisor::is_alive(note.shim), "a later run would find it");
        std::net::TcpListener::bind(address).expect("the port is free until the secrets came");
        if is_dropped {
            drop(prepared);
            eventually("the shim is gone", || !roadstead_supervisor::is_alive(note.shim));
        } else {
            prepared.discard().await;
            assert!(!roadstead_supervisor::is_alive(note.shim));
        }
        assert_eq!((folder.exists(), doom.exists(), marked(instance)), (false, false, vec![]));
    }
}

#[tokio::test]
async fn a_server_that_ends_with_its_first_answer_is_never_taken_for_running() {
    let place = Place::new();
    let supervisor = place.supervisor();
    // Which of the two words comes first is chance.
    for _ in 0..10 {
        let mut shim =
            supervisor.start(place.specification(&["--exit-after", "1"]), secrets()).await.unwrap();
        let mut events = shim.take_events();
        let _ = tokio::time::timeout(PATIENCE, shim.ready()).await.expect("it is decided");
        let ended = async {
            while let Some(event) = events.recv().await {
                if let ShimEvent::Exited(record) = event {
                    return record;
                }
            }
            panic!("the end is always told");
        };
        let record = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
        assert_eq!(record.server_end, Some(ServerEnd::Code(0)));
    }
}
