//! Which names are well formed, and which names of environment variables are code.

/// Longest name of a type or slot: it must fit a table and a file name.
pub const MAX_NAME: usize = 50;

/// Names that are a way to make an interpreter, loader or tool run other code or send secrets elsewhere; in
/// capitals.
const CODE_NAMES: &[&str] = &[
    "PATH",
    "SHELL",
    "ENV",
    "IFS",
    "PS4",
    "CDPATH",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "BASHOPTS",
    "ZDOTDIR",
    "FPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "MANPAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "NIS_PATH",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TERMCAP",
    "TERMPATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "SSLKEYLOGFILE",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "NODE_V8_COVERAGE",
    "NODE_CHANNEL_FD",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "ELECTRON_RUN_AS_NODE",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_OPTIONS",
    "CLASSPATH",
    "RUBYOPT",
    "RUBYLIB",
    "RUBYPATH",
    "GEM_PATH",
    "GEM_HOME",
    "LUA_INIT",
    "LUA_PATH",
    "LUA_CPATH",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS",
    "R_PROFILE",
    "R_PROFILE_USER",
    "R_ENVIRON",
    "R_ENVIRON_USER",
    "GUILE_LOAD_PATH",
    "TCLLIBPATH",
    "ERL_FLAGS",
    "ERL_AFLAGS",
    "ERL_ZFLAGS",
    "ELIXIR_ERL_OPTIONS",
    "GOFLAGS",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "SUDO_EDITOR",
    "KUBE_EDITOR",
    "CC",
    "CXX",
    "MAKEFLAGS",
    "VIRTUAL_ENV",
];

/// Beginnings of such names; in capitals.
const CODE_PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "PYTHON",
    "BASH_",
    "GIT_",
    "NPM_CONFIG_",
    "PNPM_",
    "YARN_",
    "COREPACK_",
    "PERL",
    "MALLOC_",
    "BUN_",
    "DENO_",
    "PIP_",
    "UV_",
    "CONDA_",
    "CARGO_",
    "RUSTC",
    "BUNDLE_",
    "COR_",
    "CORECLR_",
    "COMPLUS_",
    "LUA_INIT_",
    "LUA_PATH_",
    "LUA_CPATH_",
    "GTK_",
    "QT_",
    "GIO_",
    "ASAN_",
    "LSAN_",
    "UBSAN_",
    "TSAN_",
    "MSAN_",
];

/// Whether a variable of this name can make a program run other code. Case does not matter: some tools read
/// either.
pub fn is_code_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    CODE_NAMES.contains(&name.as_str()) || CODE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a variable of this name is set for every server and cannot be changed: its own folder, and our mark.
pub fn is_reserved_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    matches!(name.as_str(), "HOME" | "TMPDIR" | "TMP" | "TEMP") || name.starts_with("ROADSTEAD_")
}

/// A small letter, then small letters, digits and hyphens.
pub(crate) fn is_type_name(name: &str) -> bool {
    let rest = name.strip_prefix(|c: char| c.is_ascii_lowercase());
    name.len() <= MAX_NAME
        && rest.is_some_and(|rest| {
            rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// A letter, then letters, digits, hyphens and underscores.
pub(crate) fn is_slot_name(name: &str) -> bool {
    let rest = name.strip_prefix(|c: char| c.is_ascii_alphabetic());
    name.len() <= MAX_NAME
        && rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
}

/// A capital or underscore, then capitals, digits and underscores.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let rest = name.strip_prefix(|c: char| c.is_ascii_uppercase() || c == '_');
    name.len() <= 2 * MAX_NAME
        && rest.is_some_and(|rest| {
            rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
}

/// Whether a text can be an environment variable's value and a header's: no line breaks, no control characters.
pub(crate) fn is_one_line(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_code_are_known_in_any_case() {
        for name in [
            "LD_PRELOAD",
            "LD_AUDIT",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "BASH_ENV",
            "BASH_FUNC_X",
            "ENV",
            "GIT_SSH_COMMAND",
            "npm_config_registry",
            "NPM_CONFIG_SCRIPT_SHELL",
            "PERL5OPT",
            "PATH",
            "Path",
            "_JAVA_OPTIONS",
            "GLIBC_TUNABLES",
            "node_options",
            "SSLKEYLOGFILE",
        ] {
            assert!(is_code_name(name), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_not_code() {
        for name in
            ["GITHUB_TOKEN", "LDAP_URL", "NODE_ENV", "PY_TOKEN", "API_PATH", "ENVIRONMENT", "LANG", "TZ"]
        {
            assert!(!is_code_name(name), "{name}");
        }
    }

    #[test]
    fn a_servers_own_folder_and_our_mark_are_reserved() {
        for name in ["HOME", "TMPDIR", "ROADSTEAD_INSTANCE"] {
            assert!(is_reserved_name(name), "{name}");
        }
        assert!(!is_reserved_name("HOMEPAGE"));
    }

    #[test]
    fn type_names_are_small_letters_digits_and_hyphens() {
        for good in ["a", "github", "server-2", &"a".repeat(50)] {
            assert!(is_type_name(good), "{good}");
        }
        for bad in ["", "2go", "-a", "Github", "a_b", "a b", "a/b", "é", "a\n", "aé", &"a".repeat(51)] {
            assert!(!is_type_name(bad), "{bad:?}");
        }
    }
}
