//! What is known of the eras a server speaks.

use std::cell::Cell;

use crate::config::Era;

pub(crate) struct Eras {
    legacy: Cell<Option<bool>>,
    modern: Cell<Option<bool>>,
    /// Whether what is known comes from an earlier life of the server and has not been seen in this one.
    unproven: Cell<bool>,
    /// What the observer knows.
    told: Cell<Era>,
}

impl Eras {
    pub(super) fn new(era: Era, is_remembered: bool) -> Self {
        let (legacy, modern) = match era {
            Era::Legacy => (Some(true), Some(false)),
            Era::Modern => (Some(false), Some(true)),
            Era::Dual => (Some(true), Some(true)),
            Era::Auto => (None, None),
        };
        Self {
            legacy: Cell::new(legacy),
            modern: Cell::new(modern),
            unproven: Cell::new(is_remembered && era != Era::Auto),
            told: Cell::new(era),
        }
    }

    /// Whether the server speaks older revisions, as far as is known.
    pub(super) fn legacy(&self) -> Option<bool> {
        self.legacy.get()
    }

    /// Whether the server speaks the modern revision, as far as is known.
    pub(super) fn modern(&self) -> Option<bool> {
        self.modern.get()
    }

    pub(super) fn is_unproven(&self) -> bool {
        self.unproven.get()
    }

    pub(super) fn learn_legacy(&self, speaks: bool) {
        self.legacy.set(Some(speaks));
    }

    /// What a process has shown. A server that does not speak the modern revision speaks an older one.
    pub(super) fn learn_modern(&self, speaks: bool) {
        self.modern.set(Some(speaks));
        self.unproven.set(false);
        if !speaks {
            self.legacy.set(Some(true));
        }
    }

    /// What was remembered has proven wrong; whether that makes a difference.
    pub(super) fn forget_unproven(&self) -> bool {
        let was = self.unproven.replace(false);
        if was {
            self.legacy.set(None);
            self.modern.set(None);
        }
        was
    }

    /// The era when it has become known and nobody was told yet.
    pub(super) fn news(&self) -> Option<Era> {
        let era = match (self.legacy.get()?, self.modern.get()?) {
            (true, true) => Era::Dual,
            (false, true) => Era::Modern,
            (_, false) => Era::Legacy,
        };
        (self.told.replace(era) != era).then_some(era)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_eras_have_to_be_seen_before_there_is_news() {
        let eras = Eras::new(Era::Auto, false);
        eras.learn_modern(true);
        assert_eq!(eras.news(), None);
        eras.learn_legacy(true);
        assert_eq!((eras.news(), eras.news()), (Some(Era::Dual), None));
    }

    #[test]
    fn a_remembered_era_is_told_again_only_when_it_was_wrong() {
        let eras = Eras::new(Era::Modern, true);
        eras.learn_modern(true);
        assert_eq!(eras.news(), None);
        let eras = Eras::new(Era::Modern, true);
        eras.learn_modern(false);
        assert_eq!(eras.news(), Some(Era::Legacy));
        assert!(!Eras::new(Era::Modern, false).forget_unproven());
    }
}
