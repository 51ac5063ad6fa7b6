//! A million log lines, a hundred thousand instances and who they belong to.

use anyhow::Context;

use crate::api::Api;
use crate::database::Database;

/// Instances of the table.
pub const INSTANCES: u32 = 100_000;
/// Log lines of the table.
pub const LINES: u32 = 1_000_000;
/// Entries of the audit log.
pub const ENTRIES: u32 = 100_000;
/// Rows that one statement makes.
const CHUNK: u32 = 50_000;
/// Whose entries of the audit log are: three tenths the organisation's, a third of those the member's.
const WHOSE: &str = "select case when n % 10 < 3 then o.organization_id else md5((n % 40)::text)::uuid end as organization_id,
    case when n % 10 = 0 then o.user_id else md5((n % 99)::text)::uuid end as actor_id from bench.own o";
/// People who have most of the instances, each in an organisation of their own.
const OTHERS: u32 = 40;

/// Callers who see the same tables, each as far as they may.
#[derive(Debug)]
pub struct Callers {
    /// A member with 300 instances, who sees their own.
    pub member: String,
    /// Who manages the organisation with 30,000 instances.
    pub manager: String,
    /// The member's user.
    pub user: String,
    /// The organisation.
    pub organization: String,
    /// The member's instance that said a tenth of all lines.
    pub instance: String,
}

/// Makes people through the API and rows in the database.
pub async fn fill(api: &mut Api, database: &Database, type_name: &str) -> anyhow::Result<Callers> {
    let template = api.launch(type_name).await?;
    let (user, member) = api.create_person("bench-member").await?;
    let (owner, manager) = api.create_person("bench-manager").await?;
    for number in 0..OTHERS {
        api.create_user(&format!("bench-other-{number}")).await?;
    }
    // The two act in the organisation of whoever measures.
    for (id, role) in [(&user, "member"), (&owner, "admin")] {
        database.run(&into_organization(&template.id, id, role)).await?;
    }
    database.run(&owners(&template.id, &user)).await?;
    for first in (1..=INSTANCES).step_by(CHUNK as usize) {
        database.run(&instances(&template.id, first)).await?;
    }
    for first in (1..=LINES).step_by(CHUNK as usize) {
        database.run(&lines(first)).await?;
    }
    for first in (1..=ENTRIES).step_by(CHUNK as usize) {
        database.run(&crate::audit::insert(first, CHUNK, WHOSE)).await?;
    }
    crate::audit::sealed(database).await?;
    let told = database
        .run("vacuum analyze; select instance_id, organization_id from bench.instances where number = 1")
        .await?;
    let (instance, organization) = told.split_once('\t').context("no instance was made")?;
    // On a connection of its own: the old one has been idle for long.
    *api = api.again().await?;
    api.delete(&template).await?;
    Ok(Callers {
        member,
        manager,
        user,
        organization: organization.to_owned(),
        instance: instance.to_owned(),
    })
}

/// A user becomes one of the template's organisation, and their key acts there.
fn into_organization(template: &str, user: &str, role: &str) -> String {
    format!(
        "insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
           select uuid_v7(now()), organization_id, '{user}', '{role}', now(), now(), now()
           from mcp_instances where id = '{template}';
         update api_keys k set organization_id = i.organization_id, project_id = i.project_id
           from mcp_instances i where i.id = '{template}' and k.user_id = '{user}';"
    )
}

/// Whose the instances are: the member's 300, 30,000 in the member's organisation, the rest everybody's.
fn owners(template: &str, user: &str) -> String {
    format!(
        "create schema bench;
         create table bench.owners as
           select row_number() over (order by u.id) - 1 as number, u.id as user_id, u.default_organization_id as organization_id,
                  u.default_project_id as project_id
           from users u where u.name like 'bench-other-%';
         create table bench.own as
           select '{user}'::uuid as user_id, i.user_id as colleague_id, i.organization_id, i.project_id
           from mcp_instances i where i.id = '{template}';
         create table bench.instances (number integer primary key, instance_id uuid, user_id uuid, organization_id uuid);"
    )
}

fn instances(template: &str, first: u32) -> String {
    let last = first + CHUNK - 1;
    format!(
        "with made as (
           insert into mcp_instances
           select row.* from generate_series({first}, {last}) g
           join mcp_instances i on i.id = '{template}'
           cross join bench.own o
           left join bench.owners other on g > 30000 and other.number = g % {OTHERS}
           cross join lateral (select now() - make_interval(secs => g * 15) as at,
             case when g <= 300 then o.user_id when g <= 30000 then o.colleague_id else other.user_id end as user_id,
             coalesce(other.organization_id, o.organization_id) as organization_id,
             coalesce(other.project_id, o.project_id) as project_id,
             case when g % 20 = 0 then 'error' when g % 7 = 0 then 'expired' when g % 30 = 1 then 'disconnected'
                  else 'stopped' end as status) t
           cross join lateral jsonb_populate_record(i, jsonb_build_object('id', uuid_v7(t.at), 'name', 'filled ' || g, 'user_id', t.user_id,
                   'organization_id', t.organization_id, 'project_id', t.project_id, 'status', t.status, 'assigned_port', null,
                   'access_token_hash', sha256(g::text::bytea), 'ended_at', t.at + interval '1 hour',
                   'error_message', case when t.status = 'error' then 'ended with 1' end, 'stopping_at', null,
                   -- Far off: what is past its deadline is work for the reaper, which is not what is measured.
                   'expires_at', case when t.status = 'expired' then t.at + interval '1 hour'
                                      else t.at + interval '400 days' end,
                   'created_at', t.at, 'began_at', t.at, 'started_at', t.at)) row
           returning id, user_id, organization_id, name)
         insert into bench.instances select replace(name, 'filled ', '')::integer, id, user_id, organization_id from made;"
    )
}

/// A tenth of the lines one instance's, a fifth the member's others', three tenths the organisation's, the rest everybody's.
fn lines(first: u32) -> String {
    let last = first + CHUNK - 1;
    format!(
        "insert into mcp_logs (id, mcp_instance_id, owner_id, organization_id, at, seq, origin, level, source, message)
         select uuid_v7(t.at), i.instance_id, i.user_id, i.organization_id, t.at, g, 'shim',
                case when g % 50 = 0 then 'error' when g % 20 = 3 then 'warn' else 'info' end,
                case when g % 33 = 0 then 'system' else 'process' end,
                'request ' || g || ' of ' || md5(g::text) || ' was handled in ' || g % 97 || ' ms'
                  || case when g % 1009 = 0 then ': connection refused' else '' end
         from generate_series({first}, {last}) g
         cross join lateral (select now() - make_interval(secs => ({LINES} - g) * 0.05) as at,
           case when g % 10 = 0 then 1 when g % 10 < 3 then 2 + g / 10 % 299 when g % 10 < 6 then 301 + g % 29700
                else 30001 + g % 70000 end as number) t
         join bench.instances i on i.number = t.number;"
    )
}
