//! Texts with placeholders: `${port}`, `${credential.token}`. `$${` is a plain `${`; any other `$` is itself.

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Credential(String),
    /// The path of a file that holds it.
    CredentialFile(String),
    /// The number of a descriptor from which it is read.
    CredentialDescriptor(String),
    Config(String),
    Port,
    InstanceId,
    Dir,
    /// What was fetched before a validation's request; known in its headers alone.
    Token,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("`${{` is not closed by `}}`; write `$${{` for a plain `${{`")]
    Unclosed,
    #[error(
        "`${{{name}}}` is no placeholder; there are ${{credential.SLOT}}, ${{credential_file.SLOT}}, \
         ${{credential_fd.SLOT}}, ${{config.KEY}}, ${{port}}, \
         ${{instance.id}} and ${{dir}}"
    )]
    Unknown { name: String },
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, found) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                plain.push_str(escaped);
                plain.push_str("${");
                rest = &found[2..];
                continue;
            }
            plain.push_str(before);
            let end = found.find('}').ok_or(TemplateError::Unclosed)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Placeholder(Placeholder::parse(&found[2..end])?));
            rest = &found[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }
}

/// A template that stands for exactly this text: nothing in it is a placeholder.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        match (name, name.split_once('.')) {
            ("port", _) => Ok(Self::Port),
            ("dir", _) => Ok(Self::Dir),
            ("token", _) => Ok(Self::Token),
            ("instance.id", _) => Ok(Self::InstanceId),
            (_, Some(("credential", slot))) if !slot.is_empty() => Ok(Self::Credential(slot.to_owned())),
            (_, Some(("credential_file", slot))) if !slot.is_empty() => {
                Ok(Self::CredentialFile(slot.to_owned()))
            }
            (_, Some(("credential_fd", slot))) if !slot.is_empty() => {
                Ok(Self::CredentialDescriptor(slot.to_owned()))
            }
            (_, Some(("config", key))) if !key.is_empty() => Ok(Self::Config(key.to_owned())),
            _ => Err(TemplateError::Unknown { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn every_placeholder_is_known_between_any_text() {
        let parsed =
            Template::parse("a${port}${dir}/${instance.id}?${credential.api_key}&${config.max.size}z")
                .unwrap();
        assert_eq!(
            parsed.parts,
            [
                text("a"),
                Part::Placeholder(Placeholder::Port),
                Part::Placeholder(Placeholder::Dir),
                text("/"),
                Part::Placeholder(Placeholder::InstanceId),
                text("?"),
                Part::Placeholder(Placeholder::Credential("api_key".to_owned())),
                text("&"),
                Part::Placeholder(Placeholder::Config("max.size".to_owned())),
                text("z"),
            ]
        );
    }

    #[test]
    fn shell_syntax_is_plain_text() {
        for shell in ["$HOME", "$(id)", "`id`", "a;b|c>d&", "$$", "100$", "{port}", "%s"] {
            assert_eq!(Template::parse(shell).unwrap().parts, [text(shell)]);
        }
    }

    #[test]
    fn a_doubled_dollar_makes_a_plain_brace() {
        assert_eq!(Template::parse("$${port}").unwrap().parts, [text("${port}")]);
        assert_eq!(Template::parse("").unwrap().parts, []);
    }

    #[test]
    fn unknown_and_unclosed_placeholders_are_refused() {
        for name in
            ["", "PORT", "env.HOME", "credential", "credential.", "config", "instance", " port", "${port"]
        {
            let refused = Template::parse(&format!("x${{{name}}}"));
            assert_eq!(refused, Err(TemplateError::Unknown { name: name.to_owned() }));
        }
        assert_eq!(Template::parse("${port"), Err(TemplateError::Unclosed));
    }

    proptest! {
        #[test]
        fn text_without_placeholders_stays_what_it_is(plain in "[^$]{0,80}") {
            let whole: String = Template::parse(&plain).unwrap().parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Placeholder(_) => "placeholder",
            }).collect();
            prop_assert_eq!(whole, plain);
        }

        #[test]
        fn an_escaped_text_stands_for_itself(any in "(\\$|\\{|\\}|port|credential\\.a|é|.){0,40}") {
            let parts = Template::parse(&escape(&any)).unwrap().parts;
            let expected = if any.is_empty() { vec![] } else { vec![text(&any)] };
            prop_assert_eq!(parts, expected);
        }

        #[test]
        fn no_text_makes_the_parser_panic(any in "(\\$|\\{|\\}|port|é|.){0,40}") {
            let _ = Template::parse(&any);
        }
    }
}
