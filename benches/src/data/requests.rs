//! What is asked for, and the plain statement that finds the same rows.

use super::fill::Callers;

/// Whose eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A member's own 300 of 100,000.
    Own,
    /// 30,000 of an organisation.
    Organization,
    /// All, as a platform admin.
    All,
}

impl Reach {
    pub const EACH: [Self; 3] = [Self::Own, Self::Organization, Self::All];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Organization => "organisation",
            Self::All => "all",
        }
    }

    /// The same as a condition on a table's rows.
    fn condition(self, callers: &Callers, owner: &str) -> String {
        match self {
            Self::Own => {
                format!("{owner} = '{}' and x.organization_id = '{}'", callers.user, callers.organization)
            }
            Self::Organization => format!("x.organization_id = '{}'", callers.organization),
            Self::All => "true".to_owned(),
        }
    }
}

/// Something that is asked for.
#[derive(Debug)]
pub struct Request {
    pub name: &'static str,
    /// Below `/api/v1`.
    pub path: String,
    /// So many pages further than the first.
    pub pages: usize,
    /// Its plain statement.
    pub statement: String,
}

/// Items of a page.
const LIMIT: u32 = 50;

/// Everything that one caller asks for; `since` and `until` are moments an hour apart, within the log.
pub fn of(reach: Reach, callers: &Callers, since: &str, until: &str) -> Vec<Request> {
    let mut requests = instances(reach, callers, since, until);
    requests.extend(lines_of_one(callers, since, until));
    requests.extend(search(reach, callers, since, until));
    requests.extend(entries(reach, callers));
    requests
}

fn instances(reach: Reach, callers: &Callers, since: &str, until: &str) -> Vec<Request> {
    let whose = reach.condition(callers, "x.user_id");
    let list = |name, query: &str, condition: &str, order: &str, pages: usize| Request {
        name,
        path: format!("/instances?limit={LIMIT}{query}"),
        pages,
        statement: format!(
            "select x.*, t.name from mcp_instances x join mcp_types t on t.id = x.mcp_type_id
             where x.deleted_at is null and {whose}{condition} order by {order} limit {} offset {}",
            LIMIT + 1,
            pages * LIMIT as usize,
        ),
    };
    let newest = "x.created_at desc, x.id desc";
    let deep = if reach == Reach::Own { 4 } else { 100 };
    let name = "filled 17";
    vec![
        list("list", "", "", newest, 0),
        list("list, deep page", "", "", newest, deep),
        list("list by deadline", "&sort=expires_at", "", "x.expires_at, x.id", 0),
        list("list by status", "&sort=status", "", "x.status, x.created_at, x.id", 0),
        list("list by status, deep page", "&sort=status", "", "x.status, x.created_at, x.id", deep),
        list("filter: status error", "&status=error", " and x.status = 'error'", newest, 0),
        list("filter: status running", "&status=running", " and x.status = 'running'", newest, 0),
        list("filter: type", "&type=roadstead-echo", " and t.name = 'roadstead-echo'", newest, 0),
        list(
            "filter: name, many",
            &format!("&name={}", name.replace(' ', "%20")),
            &format!(" and strpos(lower(x.name), '{name}') > 0"),
            newest,
            0,
        ),
        list("filter: name, none", "&name=nobody", " and strpos(lower(x.name), 'nobody') > 0", newest, 0),
        list(
            "filter: created within",
            &format!("&created_since={since}&created_until={until}"),
            &format!(" and x.created_at >= '{since}' and x.created_at < '{until}'"),
            newest,
            0,
        ),
        list(
            "filter: ends before",
            &format!("&expires_before={until}"),
            &format!(" and x.expires_at < '{until}'"),
            newest,
            0,
        ),
    ]
}

fn lines_of_one(callers: &Callers, since: &str, until: &str) -> Vec<Request> {
    let line = |name, query: &str, condition: &str, limit: u32, pages: usize| {
        Request {
        name,
        path: format!("/instances/{}/logs?{query}", callers.instance),
        pages,
        statement: format!(
            "select * from mcp_logs x where mcp_instance_id = '{}'{condition} order by at desc, seq desc, origin desc
             limit {limit} offset {}",
            callers.instance,
            pages * limit as usize,
        ),
    }
    };
    let limit = "limit=50";
    vec![
        line("tail of 100", "tail=100", "", 100, 0),
        line("tail of 1,000", "tail=1000", "", 1_000, 0),
        line("lines", limit, "", LIMIT, 0),
        line("lines, deep page", limit, "", LIMIT, 100),
        line("lines: level error", &format!("{limit}&level=error"), " and level = 'error'", LIMIT, 0),
        line("lines: source", &format!("{limit}&source=system"), " and source = 'system'", LIMIT, 0),
        line(
            "lines: within an hour",
            &format!("{limit}&since={since}&until={until}"),
            &format!(" and at >= '{since}' and at < '{until}'"),
            LIMIT,
            0,
        ),
        line(
            "lines: text",
            &format!("{limit}&q=refused"),
            " and strpos(lower(message), 'refused') > 0",
            LIMIT,
            0,
        ),
    ]
}

fn search(reach: Reach, callers: &Callers, since: &str, until: &str) -> Vec<Request> {
    let whose = reach.condition(callers, "x.owner_id");
    // As many lines as one page of a search looks at.
    let found = |name, query: &str, condition: &str| Request {
        name,
        path: format!("/logs/search?limit={LIMIT}{query}"),
        pages: 0,
        statement: format!(
            "select * from (select * from mcp_logs x where {whose} order by at desc limit 5000) x where {condition} limit {LIMIT}"
        ),
    };
    let holds = |word: &str| format!("strpos(lower(message), '{word}') > 0");
    vec![
        found("search: a common word", "&q=handled", &holds("handled")),
        found("search: a rare word", "&q=refused", &holds("refused")),
        found("search: in no line", "&q=zebra", &holds("zebra")),
        found(
            "search: rare, level",
            "&q=refused&level=warn",
            &format!("{} and level in ('warn', 'error')", holds("refused")),
        ),
        found(
            "search: rare, within an hour",
            &format!("&q=refused&since={since}&until={until}"),
            &format!("{} and at >= '{since}' and at < '{until}'", holds("refused")),
        ),
    ]
}

fn entries(reach: Reach, callers: &Callers) -> Vec<Request> {
    let whose = match reach {
        Reach::Own => {
            format!(
                "((organization_id = '{}' and actor_user_id = '{1}') or on_behalf_of = '{1}')",
                callers.organization, callers.user
            )
        }
        _ => reach.condition(callers, "x.actor_user_id"),
    };
    let entry = |name, query: &str, condition: &str, pages: usize| Request {
        name,
        path: format!("/audit?limit={LIMIT}{query}"),
        pages,
        statement: format!(
            "select * from audit_logs x where {whose}{condition} order by at desc, seq desc limit {LIMIT} offset {}",
            pages * LIMIT as usize,
        ),
    };
    vec![
        entry("audit", "", "", 0),
        entry("audit, deep page", "", "", if reach == Reach::Own { 0 } else { 100 }),
        entry("audit: action", "&action=instance.extend", " and action = 'instance.extend'", 0),
        entry(
            "audit: resource, none",
            "&resource=instance:none",
            " and resource_kind = 'instance' and resource_id = 'none'",
            0,
        ),
    ]
}
