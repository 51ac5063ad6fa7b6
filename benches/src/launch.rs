//! From nothing to the first answer of a tool.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::api::{Api, Instance};
use crate::figures::{BurstFigure, LaunchFigure, millis};
use crate::http::{Connection, Endpoint};
use crate::mcp;
use crate::pipes::PipeServer;

/// A server to be launched: with its type, when there is a service to launch it.
#[derive(Debug)]
pub struct Subject<'a> {
    pub name: &'a str,
    pub program: &'a Path,
    pub type_name: String,
}

/// One after the other, raw and launched in turn.
pub async fn one_by_one(
    subject: &Subject<'_>,
    mut api: Option<&mut Api>,
    launches: usize,
) -> anyhow::Result<LaunchFigure> {
    let (mut raw, mut answered, mut first) = (Vec::new(), Vec::new(), Vec::new());
    // The first of each only warms the caches.
    for round in 0..=launches {
        let began = Instant::now();
        let mut server = PipeServer::spawn(subject.program)?;
        server.begin().await?;
        let took = began.elapsed();
        drop(server);
        let ours = match api.as_deref_mut() {
            Some(api) => Some(launch(api, &subject.type_name).await?),
            None => None,
        };
        if round > 0 {
            raw.push(took);
            answered.extend(ours.map(|(answered, _)| answered));
            first.extend(ours.map(|(_, first)| first));
        }
    }
    let ours = api.is_some().then_some((answered, first));
    Ok(LaunchFigure::new(subject.name, raw, ours))
}

/// Launches once and takes the instance away: how long until the launch was answered, and until the tool was.
pub async fn launch(api: &mut Api, type_name: &str) -> anyhow::Result<(Duration, Duration)> {
    let began = Instant::now();
    let instance = api.launch(type_name).await?;
    let answered = began.elapsed();
    let called = first_call(&instance).await;
    let first = began.elapsed();
    api.delete(&instance).await?;
    called.map(|()| (answered, first))
}

/// What a client does first, on the instance's own port.
async fn first_call(instance: &Instance) -> anyhow::Result<()> {
    let endpoint = Endpoint::parse(&instance.port_url, Some(&instance.access_token))?;
    let mut connection = Connection::open(&endpoint).await?;
    let endpoint = mcp::begin(&mut connection, &endpoint).await?;
    mcp::confirm(&mut connection, &endpoint).await?;
    mcp::call(&mut connection, &endpoint, mcp::FIRST_ID, &mut Vec::new()).await
}

/// All at once.
pub async fn burst(subject: &Subject<'_>, api: Option<&mut Api>, many: usize) -> anyhow::Result<BurstFigure> {
    let began = Instant::now();
    let raw = (0..many).map(|_| async {
        let mut server = PipeServer::spawn(subject.program)?;
        server.begin().await?;
        anyhow::Ok(server)
    });
    let raw = try_join_all(raw).await?;
    let raw_ms = millis(began.elapsed());
    drop(raw);
    let mut figure = BurstFigure {
        server: subject.name.to_owned(),
        launches: many,
        raw_ms,
        answered_ms: None,
        first_answers_ms: None,
    };
    let Some(api) = api else { return Ok(figure) };

    let connections = try_join_all((0..many).map(|_| api.again())).await?;
    let began = Instant::now();
    let launched = connections.into_iter().map(|mut api| async move {
        let instance = api.launch(&subject.type_name).await?;
        let answered = began.elapsed();
        let called = first_call(&instance).await.map(|()| began.elapsed());
        anyhow::Ok((api, instance, answered, called))
    });
    let launched = try_join_all(launched).await?;
    let answered = launched.iter().map(|(_, _, answered, _)| *answered).max();
    let mut first = Duration::ZERO;
    for (mut api, instance, _, called) in launched {
        api.delete(&instance).await?;
        first = first.max(called?);
    }
    figure.answered_ms = answered.map(millis);
    figure.first_answers_ms = Some(millis(first));
    Ok(figure)
}
