//! Deadlines: what is left of an instance when its time is up, with the service and without it.

use nix::sys::signal::Signal;
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::wait_for;
use serde_json::json;

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;

#[tokio::test]
async fn an_instance_is_gone_when_its_time_is_up_and_its_row_and_events_say_so() {
    let app = App::start().await;
    set_ports(&app, 21_000, 21_019).await;
    let longer = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let short = Launched::new(&app, json!({"type": "echo", "expires_in": "6s"})).await;
    assert_eq!(short.route(&app, &short.token).await.0, 200, "it lives at first");
    assert!(short.lives());

    let refusal = wait_for("the route to be closed", PATIENCE, async || {
        let answer = short.route(&app, &short.token).await;
        (answer.0 != 200).then_some(answer)
    })
    .await;
    assert_eq!(refusal, (410, "INSTANCE_NOT_RUNNING".to_owned()), "the first refusal is the final one");
    let row = app.wait_status(&short.id, "expired", PATIENCE).await;
    assert!(!is_alive(short.server), "a row says that it has ended when its server has");
    short.gone().await;
    for field in ["process_id", "assigned_port", "port_url"] {
        assert!(row[field].is_null(), "{field} in {row}");
    }
    assert_eq!(app.event_types(&short.id).await, ["created", "started", "expired"]);
    assert_eq!(short.route(&app, &short.token).await.0, 410, "it stays gone");

    assert_eq!(longer.route(&app, &longer.token).await.0, 200, "its neighbour is not concerned");
}

#[tokio::test]
async fn a_server_that_ignores_every_request_to_leave_is_gone_all_the_same() {
    let app = App::start().await;
    set_ports(&app, 21_020, 21_039).await;
    app.define_echo("stubborn", &["--ignore-sigterm"]).await;
    let by_time = Launched::new(&app, json!({"type": "stubborn", "expires_in": "5s"})).await;
    let asked = Launched::new(&app, json!({"type": "stubborn", "expires_in": "1h"})).await;
    let obedient = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;

    let expire = async |id: &str| app.ask("POST", &format!("/instances/{id}/expire"), None).await;
    // The one that obeys ends while the other is still being asked.
    let (stubborn, ()) = tokio::join!(expire(&asked.id), async {
        let answer = expire(&obedient.id).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("expired")), "{answer:?}");
        assert!(!is_alive(obedient.server), "the answer comes when it is gone");
        assert!(is_alive(asked.server), "the stubborn one has not left yet");
    });
    assert_eq!((stubborn.status, &stubborn.body["status"]), (200, &json!("expired")), "{stubborn:?}");
    app.wait_status(&by_time.id, "expired", PATIENCE).await;
    for instance in [&asked, &by_time, &obedient] {
        assert!(!is_alive(instance.server));
        instance.gone().await;
        assert_eq!(app.event_types(&instance.id).await, ["created", "started", "expired"]);
    }
    let again = expire(&asked.id).await;
    assert_eq!((again.status, &again.body["error"]["code"]), (409, &json!("WRONG_STATUS")), "{again:?}");
}

#[tokio::test]
async fn shims_keep_deadlines_alone_and_the_next_start_tells_how_each_instance_ended() {
    let (kept, app) = Kept::start("up", &[]).await;
    set_ports(&app, 21_040, 21_059).await;
    let extended = Launched::new(&app, json!({"type": "echo", "expires_in": "6s"})).await;
    let shortened = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let longer = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let forgotten = Launched::new(&app, json!({"type": "echo", "expires_in": "12s"})).await;
    for (instance, expires_in) in [(&extended, "1h"), (&shortened, "12s")] {
        let path = format!("/instances/{}/extend", instance.id);
        let answer = app.ask("POST", &path, Some(json!({ "expires_in": expires_in }))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["generation"], 2, "{answer:?}");
    }
    app.signal(Signal::SIGKILL);
    let (_, data) = app.ended().await;

    assert!(forgotten.lives() && shortened.lives(), "they outlive the service");
    forgotten.gone().await;
    shortened.gone().await;
    // Two deadlines of twelve seconds have come, so the one of six seconds would have as well.
    assert!(extended.lives(), "its shim knows the new deadline");
    assert!(longer.lives());

    let app = kept.start_again("up", data).await;
    let told = [
        (&forgotten, "expired", vec!["created", "started", "expired"]),
        (&shortened, "expired", vec!["created", "started", "extended", "expired"]),
    ];
    for instance in [&extended, &longer] {
        assert_eq!(app.instance(&instance.id).await["status"], "running");
        assert_eq!(instance.route(&app, &instance.token).await.0, 200);
        assert!(instance.lives());
    }
    for (instance, status, events) in told {
        app.wait_status(&instance.id, status, PATIENCE).await;
        assert_eq!(app.event_types(&instance.id).await, events);
        assert_eq!(instance.route(&app, &instance.token).await.0, 410);
        instance.gone().await;
    }
}

#[tokio::test]
async fn an_extended_instance_outlives_its_first_deadline_and_ends_at_the_new_one() {
    let app = App::start().await;
    set_ports(&app, 21_060, 21_079).await;
    let extended = Launched::new(&app, json!({"type": "echo", "expires_in": "6s"})).await;
    let path = format!("/instances/{}/extend", extended.id);
    let answer = app.ask("POST", &path, Some(json!({ "by": "10s" }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // Launched later for as long, it is gone after the first deadline of the other.
    let sibling = Launched::new(&app, json!({"type": "echo", "expires_in": "6s"})).await;
    app.wait_status(&sibling.id, "expired", PATIENCE).await;
    assert_eq!(extended.route(&app, &extended.token).await.0, 200);
    assert!(extended.lives());
    app.wait_status(&extended.id, "expired", PATIENCE).await;
    assert_eq!(app.event_types(&extended.id).await, ["created", "started", "extended", "expired"]);
    for wrong in [json!({}), json!({"expires_in": "-1s"}), json!({"by": "9999d"})] {
        let answer = app.ask("POST", &path, Some(wrong.clone())).await;
        assert!([409, 422].contains(&answer.status), "{wrong}: {answer:?}");
    }
}
