//! The tools, one file for each kind of thing.

mod attachments;
mod drafts;
mod history;
mod labels;
mod messages;
mod outgoing;
mod profile;
mod sending;
mod sorting;
mod threads;
mod trash;

use rmcp::handler::server::router::tool::ToolRouter;

use crate::server::Gmail;

impl Gmail {
    /// All of them.
    pub fn all_tools() -> ToolRouter<Self> {
        Self::profile_tools()
            + Self::messages_tools()
            + Self::threads_tools()
            + Self::attachments_tools()
            + Self::labels_tools()
            + Self::sorting_tools()
            + Self::trash_tools()
            + Self::drafts_tools()
            + Self::sending_tools()
            + Self::history_tools()
    }
}
