//! Levels of log messages, the most talkative first.

const NAMES: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(usize);

impl Level {
    pub(super) fn read(name: &str) -> Option<Self> {
        NAMES.iter().position(|own| *own == name).map(Self)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES[self.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_by_weight() {
        assert!(Level::read("debug") < Level::read("error"));
        assert_eq!(Level::read("warning").map(Level::name), Some("warning"));
        assert_eq!(Level::read("loud"), None);
    }
}
