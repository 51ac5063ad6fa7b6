use http_body_util::BodyExt;
use tower::ServiceExt;

use http::HeaderValue;

use super::*;

fn gateway(routes: Routes, absence: Absence) -> Gateway {
    let clock = Arc::new(roadstead_model::SystemClock::new());
    Gateway::new(routes, Arc::new(Fixed(absence)), clock, Arc::new(Randomness::from_seed([7; 32])))
}

struct Fixed(Absence);

impl Doorkeeper for Fixed {
    fn judge<'a>(&'a self, _instance: InstanceId, token: Option<&'a str>) -> Verdict<'a> {
        let absence = if token == Some("right") { self.0 } else { Absence::Refused };
        Box::pin(async move { absence })
    }
}

const INSTANCE: &str = "01980000-0000-7000-8000-000000000001";

fn request(path: &str, token: &str) -> Request {
    http::Request::post(path).header("authorization", format!("bearer {token}")).body(Body::empty()).unwrap()
}

/// A stand-in for a shim: answers every request with the headers it saw, one line each.
#[expect(clippy::disallowed_methods, reason = "a test has no tracker")]
fn shim(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("h");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let app = axum::Router::new().fallback(|request: Request| async move {
        let mut seen = String::new();
        for (name, value) in request.headers() {
            use std::fmt::Write;
            writeln!(seen, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        ([("keep-alive", "x"), ("x-kept", "yes")], format!("{} {}\n{seen}", request.method(), request.uri()))
    });
    tokio::task::spawn(async move { axum::serve(listener, app).await });
    path
}

#[tokio::test]
async fn a_request_reaches_the_shim_without_hop_by_hop_headers() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Routes::default();
    let _lease = routes.open(INSTANCE.parse().unwrap(), shim(folder.path()));
    let gateway = self::gateway(routes, Absence::Refused);
    let mut request = request(&format!("/i/{INSTANCE}/mcp"), "right");
    for (name, value) in
        [("connection", "x-private, close"), ("x-private", "1"), ("te", "trailers"), ("x-kept", "1")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let response = gateway.router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-kept"], "yes");
    assert!(!response.headers().contains_key("keep-alive"));
    let seen = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(seen.starts_with("POST /mcp\n"), "{seen}");
    assert!(seen.contains("authorization: bearer right") && seen.contains("x-kept: 1"), "{seen}");
    // That the client takes trailers is passed on; that the connection shall close is not.
    assert!(seen.contains("te: trailers") && seen.contains("host: localhost"), "{seen}");
    assert!(!seen.contains("x-private") && !seen.contains("connection: "), "{seen}");
}

#[tokio::test]
async fn all_parts_are_forwarded_with_their_query_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Routes::default();
    let _lease = routes.open(INSTANCE.parse().unwrap(), shim(folder.path()));
    let gateway = self::gateway(routes, Absence::Refused);
    for (part, seen) in [
        ("mcp", "POST /mcp\n"),
        ("sse", "POST /sse\n"),
        ("messages?session_id=a%20b&x=1", "POST /messages?session_id=a%20b&x=1\n"),
        ("status?", "POST /status?\n"),
    ] {
        let request = request(&format!("/i/{INSTANCE}/{part}"), "right");
        let response = gateway.clone().router().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(seen.as_bytes()), "{part}: {body:?}");
    }
    let request = request(&format!("/i/{INSTANCE}/other"), "right");
    let response = gateway.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_id_that_a_caller_chose_is_in_our_answer() {
    let gateway = self::gateway(Routes::default(), Absence::Refused);
    let mut request = request(&format!("/i/{INSTANCE}/mcp"), "right");
    request.headers_mut().insert("x-request-id", HeaderValue::from_static("mine-1"));
    let response = gateway.router().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["request_id"], "mine-1");
}

#[tokio::test]
async fn an_unknown_id_a_wrong_token_and_nonsense_are_the_same_401() {
    let gateway = self::gateway(Routes::default(), Absence::Starting);
    let mut bodies = Vec::new();
    for path in [format!("/i/{INSTANCE}/mcp"), "/i/nonsense/mcp".to_owned()] {
        let response = gateway.clone().router().oneshot(request(&path, "wrong")).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer realm=\"roadstead\", error=\"invalid_token\""
        );
        let id = response.headers()["x-request-id"].clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["request_id"].take(), id.to_str().unwrap());
        assert!(body["error"]["timestamp"].take().is_string());
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn the_right_token_is_told_what_became_of_the_instance() {
    for (absence, status) in [
        (Absence::Starting, http::StatusCode::SERVICE_UNAVAILABLE),
        (Absence::Ended(InstanceStatus::Expired), http::StatusCode::GONE),
        (Absence::Unknown, http::StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let gateway = self::gateway(Routes::default(), absence);
        let response =
            gateway.router().oneshot(request(&format!("/i/{INSTANCE}/mcp"), "right")).await.unwrap();
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_shim_that_is_gone_is_answered_by_its_row() {
    let routes = Routes::default();
    let _lease = routes.open(INSTANCE.parse().unwrap(), "/nonexistent/h".into());
    let gateway = self::gateway(routes, Absence::Ended(InstanceStatus::Disconnected));
    let response = gateway.router().oneshot(request(&format!("/i/{INSTANCE}/mcp"), "right")).await.unwrap();
    assert_eq!(response.status(), http::StatusCode::GONE);
}
