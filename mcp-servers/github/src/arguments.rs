//! Arguments that many tools share.

/// The longest page that GitHub gives.
const MAX_PER_PAGE: u32 = 100;

/// What a page holds unless the call says otherwise.
const PER_PAGE: u32 = 30;

/// The arguments of a tool that works in a repository: `owner`, `repo`, and its own. With `paged` before the name, also
/// `page` and `per_page`.
macro_rules! arguments {
    (paged $(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }) => {
        $crate::arguments::arguments! {
            $(#[$meta])*
            $name {
                $($(#[$about])* $field: $type,)*
                /// Which page; the first, if none is named.
                page: Option<u32>,
                /// How many on a page, at most 100; 30, if nothing is said.
                per_page: Option<u32>,
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize, rmcp::schemars::JsonSchema)]
        #[schemars(crate = "rmcp::schemars")]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// The user or organisation that the repository belongs to.
            owner: String,
            /// The repository's name, without its owner.
            repo: String,
            $($(#[$about])* $field: $type,)*
        }
    };
}
pub(crate) use arguments;

/// The size of a page within GitHub's limits.
pub(crate) fn per_page(asked: Option<u32>) -> u32 {
    asked.unwrap_or(PER_PAGE).clamp(1, MAX_PER_PAGE)
}

/// Segments, the last of which are those of a path: `src/main.rs` as `src` and `main.rs`.
pub(crate) fn below<'a>(front: &[&'a str], path: &'a str) -> Vec<&'a str> {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    front.iter().copied().chain(path.split('/').filter(|_| !path.is_empty())).collect()
}
