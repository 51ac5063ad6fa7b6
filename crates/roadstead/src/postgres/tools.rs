//! PostgreSQL's own programs that write and read backups, run with what they need to connect and nothing else.
//!
//! They read and write files through descriptors that they are given, so they need no right to any path. The password is in a
//! file that only they may read, for as long as they are wanted.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::process::{Child, Command};

use super::account::Account;
use super::cluster::last_lines;
use super::error::{PostgresError, file_error};
use super::programs::Programs;
use super::{Layout, Settings};
use crate::data_folder::write_private;

/// Ways to connect that a URL may name and the programs take from their environment.
const PASSED_ON: [(&str, &str); 4] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
];

/// `pg_dump` and `pg_restore`, ready to connect as the owner of the tables; or those for base backups.
#[derive(Debug)]
pub struct Tools {
    folder: PathBuf,
    account: Account,
    environment: Vec<(&'static str, OsString)>,
    password_file: Option<PathBuf>,
    /// Their major version.
    pub major: u32,
}

impl Tools {
    /// Finds them for a server of a version. `private`: whether it is our own cluster.
    pub(super) async fn find(
        settings: &Settings,
        layout: &Layout,
        private: bool,
        owner: &PgConnectOptions,
        server: u32,
    ) -> Result<Self, PostgresError> {
        let (account, folder) = if private {
            (Account::choose(&layout.cluster)?, layout.folder.as_path())
        } else {
            (Account::own_user(), settings.data_folder.as_path())
        };
        let downloaded = settings.data_folder.join("programs");
        let places = settings.places(&downloaded);
        let missing = || PostgresError::NoBackupPrograms {
            major: server,
            system_folder: settings.system_folder.clone(),
        };
        let programs = Programs::for_backups(places, &account, server).await.ok_or_else(missing)?;
        Self::with(programs.folder, account, programs.major, Some(owner), folder)
    }

    /// Puts what they need to connect where only they may read it.
    pub(super) fn with(
        programs: PathBuf,
        account: Account,
        major: u32,
        connect: Option<&PgConnectOptions>,
        folder: &Path,
    ) -> Result<Self, PostgresError> {
        let environment = connect.map(environment).unwrap_or_default();
        let mut tools = Self { folder: programs, account, environment, password_file: None, major };
        if let Some(password) = connect.and_then(password) {
            let file = folder.join(format!("tools-{}.password", std::process::id()));
            write_private(&file, format!("*:*:*:*:{password}\n").as_bytes())
                .map_err(file_error("write", &file))?;
            tools.environment.push(("PGPASSFILE", file.clone().into()));
            tools.password_file = Some(file.clone());
            tools.account.own(&file)?;
        }
        Ok(tools)
    }

    pub(super) const fn account(&self) -> &Account {
        &self.account
    }

    /// Writes a database to a file, as it was when `snapshot` was taken, without the schemas that are somebody else's.
    pub async fn dump(
        &self,
        snapshot: &str,
        foreign_schemas: &[String],
        compressed: bool,
        into: File,
    ) -> Result<(), PostgresError> {
        let mut command = self.command("pg_dump");
        command.args(["--format=custom", "--no-owner", "--no-privileges"]);
        command.arg(format!("--snapshot={snapshot}"));
        for schema in foreign_schemas {
            command.arg(format!("--exclude-schema=\"{}\"", schema.replace('"', "\"\"")));
        }
        if !compressed {
            command.arg("--compress=0");
        }
        command.stdout(into);
        self.run("pg_dump", command).await
    }

    /// Puts a whole dump into a database, or nothing of it.
    pub async fn restore(&self, database: &str, dump: File) -> Result<(), PostgresError> {
        let mut command = self.command("pg_restore");
        command.args(["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]);
        command.arg("--dbname").arg(database).stdin(dump).stdout(Stdio::null());
        self.run("pg_restore", command).await
    }

    /// The names of the tables that a dump has rows of.
    pub async fn list(&self, dump: File) -> Result<Vec<String>, PostgresError> {
        let mut command = self.command("pg_restore");
        command.arg("--list").stdin(dump).stdout(Stdio::piped());
        let output = command.output().await.map_err(self.not_run("pg_restore"))?;
        if !output.status.success() {
            return Err(failed("pg_restore", &output.stderr));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter_map(table_of).map(ToOwned::to_owned).collect())
    }

    /// Begins to write the rows of one table to its standard output, as SQL.
    pub fn rows(&self, table: &str, dump: File) -> Result<Child, PostgresError> {
        let mut command = self.command("pg_restore");
        command.args(["--data-only", "--schema=public", "--file=-"]).arg(format!("--table={table}"));
        command.stdin(dump).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map_err(self.not_run("pg_restore"))
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.account.command(self.folder.join(program));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) async fn run(&self, program: &'static str, mut command: Command) -> Result<(), PostgresError> {
        let child = command.stderr(Stdio::piped()).spawn().map_err(self.not_run(program))?;
        let output = child.wait_with_output().await.map_err(self.not_run(program))?;
        if output.status.success() { Ok(()) } else { Err(failed(program, &output.stderr)) }
    }

    pub(super) fn not_run(&self, program: &'static str) -> impl FnOnce(std::io::Error) -> PostgresError {
        let (program, user) = (self.folder.join(program), self.account.name().to_owned());
        move |source| PostgresError::Run { program, user, source }
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        if let Some(file) = &self.password_file {
            // It may be read by us and them alone; the next start of them writes another.
            let _ = std::fs::remove_file(file);
        }
    }
}

pub(super) fn failed(program: &'static str, said: &[u8]) -> PostgresError {
    PostgresError::BackupProgram { program, output: last_lines(said) }
}

/// The table of a line such as `3456; 0 16423 TABLE DATA public mcp_logs_2026_11 owner`.
fn table_of(line: &str) -> Option<&str> {
    let (_, what) = line.split_once(" TABLE DATA public ")?;
    what.split(' ').next()
}

/// How to connect, but the password.
fn environment(owner: &PgConnectOptions) -> Vec<(&'static str, OsString)> {
    let host = owner.get_socket().map_or_else(|| owner.get_host().into(), |socket| socket.clone().into());
    let mut all = vec![
        ("PGHOST", host),
        ("PGPORT", owner.get_port().to_string().into()),
        ("PGUSER", owner.get_username().into()),
        ("PGDATABASE", owner.get_database().unwrap_or(owner.get_username()).into()),
        ("PGAPPNAME", "roadstead db".into()),
        ("PGCONNECT_TIMEOUT", "30".into()),
    ];
    let url = plain(owner).to_url_lossy();
    for (name, variable) in PASSED_ON {
        if let Some((_, value)) = url.query_pairs().find(|(key, _)| key == name) {
            // The driver shows where a certificate is in words of its own.
            let value = value.strip_prefix("file: ").unwrap_or(&value);
            all.push((variable, value.to_owned().into()));
        }
    }
    all
}

/// The password as a password file has it: the only way to it is the URL that the driver makes.
fn password(owner: &PgConnectOptions) -> Option<String> {
    let url = plain(owner).to_url_lossy();
    let decoded = decoded(url.password()?)?;
    Some(decoded.replace('\\', "\\\\").replace(':', "\\:"))
}

/// Without the parts that the driver does not escape when it makes a URL.
fn plain(owner: &PgConnectOptions) -> PgConnectOptions {
    owner.clone().username("owner").host("localhost").database("database")
}

/// Undoes the escapes of a URL.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_reaches_the_programs_as_it_is_whatever_is_in_it() {
        let options = PgConnectOptions::new_without_pgpass().host("db.example").username("a@b");
        for (word, written) in [("plain", "plain"), ("a:b\\c", "a\\:b\\\\c"), ("ü %40/@?#", "ü %40/@?#")] {
            assert_eq!(password(&options.clone().password(word)).as_deref(), Some(written));
        }
        assert_eq!(password(&options), None);
    }

    #[test]
    fn the_way_to_connect_is_passed_on_without_the_password() {
        let url = "postgres://me:canary@db.example:6543/mine?sslmode=verify-full&sslrootcert=/etc/ca.pem";
        let all = environment(&url.parse().unwrap());
        let of = |name: &str| all.iter().find(|(each, _)| *each == name).unwrap().1.to_str().unwrap();
        assert_eq!(
            [of("PGHOST"), of("PGPORT"), of("PGUSER"), of("PGDATABASE")],
            ["db.example", "6543", "me", "mine"]
        );
        assert_eq!([of("PGSSLMODE"), of("PGSSLROOTCERT")], ["verify-full", "/etc/ca.pem"]);
        assert!(!format!("{all:?}").contains("canary"));
    }

    #[test]
    fn the_tables_of_a_dump_are_read_from_its_list() {
        assert_eq!(
            table_of("3456; 0 16423 TABLE DATA public mcp_logs_2026_11 owner"),
            Some("mcp_logs_2026_11")
        );
        assert_eq!(table_of("215; 1259 16423 TABLE public users owner"), None);
        assert_eq!(table_of(";     Dumped by pg_dump version: 15.18"), None);
    }
}
