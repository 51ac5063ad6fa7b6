//! The tools, by group.

mod actions;
mod branches;
mod checks;
mod files;
mod issues;
mod notifications;
mod pulls;
mod push;
mod releases;
mod repositories;
mod reviews;
mod search;
mod users;

use clap::ValueEnum;
use rmcp::handler::server::router::tool::ToolRouter;

use crate::server::Github;

/// A group of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Toolset {
    /// Every group.
    All,
    /// Repositories, code, issues and users by words.
    Search,
    /// Repositories, branches and commits.
    Repositories,
    /// Files and folders.
    Files,
    /// Issues, comments and labels.
    Issues,
    /// Pull requests and their checks.
    Pulls,
    /// Reviews of pull requests.
    Reviews,
    /// Workflows, runs, jobs and logs.
    Actions,
    /// Releases.
    Releases,
    /// The token's account and others.
    Users,
    /// What the account should look at.
    Notifications,
}

impl Toolset {
    /// Adds its tools.
    pub(crate) fn add_to(self, router: &mut ToolRouter<Github>) {
        match self {
            Self::All => {
                Self::value_variants()
                    .iter()
                    .filter(|one| **one != Self::All)
                    .for_each(|one| one.add_to(router));
            }
            Self::Search => router.merge(Github::search_tools()),
            Self::Repositories => {
                router.merge(Github::repository_tools());
                router.merge(Github::branch_tools());
            }
            Self::Files => {
                router.merge(Github::file_tools());
                router.merge(Github::push_tools());
            }
            Self::Issues => router.merge(Github::issue_tools()),
            Self::Pulls => {
                router.merge(Github::pull_tools());
                router.merge(Github::check_tools());
            }
            Self::Reviews => router.merge(Github::review_tools()),
            Self::Actions => router.merge(Github::action_tools()),
            Self::Releases => router.merge(Github::release_tools()),
            Self::Users => router.merge(Github::user_tools()),
            Self::Notifications => router.merge(Github::notification_tools()),
        }
    }
}
