//! Whose turn it is: users in a round, and of each what they asked for first.
//!
//! ```text
//! round:  ada ─► bob ─► ada ─► …        ada: [a1 a2 a3]   bob: [b1]
//! order:  a1, b1, a2, a3
//! ```
//! Who asks for twenty waits for the turns of others between their own, and others wait for one of theirs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use crate::{InstanceId, UserId};

/// Those who wait for their turn.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    /// The users who wait for something, each once, in the order of their turns.
    round: VecDeque<UserId>,
    /// What each of them waits for, in the order in which they asked.
    waiting: BTreeMap<UserId, VecDeque<InstanceId>>,
    /// Whose each of them is.
    owners: BTreeMap<InstanceId, UserId>,
}

impl Turns {
    /// Enters an instance of a user, and answers with its place: 1 for the next. One that waits already stays where it is.
    pub fn enter(&mut self, user: UserId, id: InstanceId) -> usize {
        if let Entry::Vacant(vacant) = self.owners.entry(id) {
            vacant.insert(user);
            let theirs = self.waiting.entry(user).or_default();
            if theirs.is_empty() {
                self.round.push_back(user);
            }
            theirs.push_back(id);
        }
        self.place(id).unwrap_or(1)
    }

    /// Whose turn it is.
    pub fn first(&self) -> Option<InstanceId> {
        self.waiting.get(self.round.front()?)?.front().copied()
    }

    /// Takes the one whose turn it is out, if there are `slots` left for it; its user is the last of the round then.
    pub fn next(&mut self, slots: usize) -> Option<InstanceId> {
        if slots == 0 {
            return None;
        }
        let user = self.round.pop_front()?;
        let theirs = self.waiting.get_mut(&user)?;
        let id = theirs.pop_front()?;
        if theirs.is_empty() {
            self.waiting.remove(&user);
        } else {
            self.round.push_back(user);
        }
        self.owners.remove(&id);
        Some(id)
    }

    /// Takes one out before its turn. False when it does not wait.
    pub fn leave(&mut self, id: InstanceId) -> bool {
        let Some(user) = self.owners.remove(&id) else { return false };
        if let Some(theirs) = self.waiting.get_mut(&user) {
            theirs.retain(|each| *each != id);
            if theirs.is_empty() {
                self.waiting.remove(&user);
                self.round.retain(|each| *each != user);
            }
        }
        true
    }

    /// How many turns it is until one's own: 1 for the next. None when it does not wait.
    pub fn place(&self, id: InstanceId) -> Option<usize> {
        let user = self.owners.get(&id)?;
        let depth = self.waiting.get(user)?.iter().position(|each| *each == id)?;
        let mut before = 0;
        let mut is_ahead = true;
        for each in &self.round {
            if each == user {
                is_ahead = false;
                before += depth;
            } else {
                // Those ahead in the round have one turn more before ours.
                let theirs = self.waiting.get(each).map_or(0, VecDeque::len);
                before += theirs.min(depth + usize::from(is_ahead));
            }
        }
        Some(before + 1)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn user(number: u8) -> UserId {
        UserId::from_uuid(Uuid::from_u128(u128::from(number)))
    }

    fn instance(number: u16) -> InstanceId {
        InstanceId::from_uuid(Uuid::from_u128(u128::from(number)))
    }

    fn all(mut turns: Turns) -> Vec<InstanceId> {
        std::iter::from_fn(|| turns.next(1)).collect()
    }

    #[test]
    fn another_users_launch_comes_second_whoever_has_asked_for_twenty() {
        let mut turns = Turns::default();
        for number in 0..20 {
            turns.enter(user(1), instance(number));
        }
        assert_eq!(turns.enter(user(2), instance(100)), 2);
        assert_eq!(all(turns)[..3], [instance(0), instance(100), instance(1)]);
    }

    #[test]
    fn without_a_slot_nobody_has_a_turn_and_all_stay() {
        let mut turns = Turns::default();
        turns.enter(user(1), instance(1));
        assert_eq!(turns.next(0), None);
        assert_eq!((turns.first(), turns.len()), (Some(instance(1)), 1));
    }

    #[test]
    fn who_enters_twice_waits_once() {
        let mut turns = Turns::default();
        assert_eq!(turns.enter(user(1), instance(1)), 1);
        assert_eq!(turns.enter(user(1), instance(1)), 1);
        assert_eq!(all(turns), [instance(1)]);
    }

    /// What may happen: somebody enters, leaves, or has their turn.
    #[derive(Debug, Clone)]
    enum Happens {
        Enter(u8, u16),
        Leave(u16),
        Next,
    }

    fn happenings() -> impl Strategy<Value = Vec<Happens>> {
        let one = prop_oneof![
            4 => (0..5_u8, 0..60_u16).prop_map(|(user, id)| Happens::Enter(user, id)),
            1 => (0..60_u16).prop_map(Happens::Leave),
            2 => Just(Happens::Next),
        ];
        proptest::collection::vec(one, 0..120)
    }

    /// Plays them, and checks after each that the queue is sound. Answers with who waits, by user, in order.
    fn played(happenings: &[Happens]) -> (Turns, BTreeMap<UserId, Vec<InstanceId>>) {
        let mut turns = Turns::default();
        let mut model: BTreeMap<UserId, Vec<InstanceId>> = BTreeMap::new();
        for happens in happenings {
            match happens {
                Happens::Enter(owner, id) => {
                    let (owner, id) = (user(*owner), instance(*id));
                    if !model.values().flatten().any(|each| *each == id) {
                        model.entry(owner).or_default().push(id);
                    }
                    turns.enter(owner, id);
                }
                Happens::Leave(id) => {
                    let id = instance(*id);
                    let was_there = model.values().flatten().any(|each| *each == id);
                    for theirs in model.values_mut() {
                        theirs.retain(|each| *each != id);
                    }
                    assert_eq!(turns.leave(id), was_there);
                }
                Happens::Next => {
                    let expected = turns.first();
                    let id = turns.next(1);
                    assert_eq!(id, expected);
                    assert_eq!(id.is_none(), model.values().all(Vec::is_empty));
                    if let Some(id) = id {
                        let theirs = model.values_mut().find(|theirs| theirs.contains(&id)).unwrap();
                        assert_eq!(theirs.remove(0), id, "of one user's, the first asked has the first turn");
                    }
                }
            }
            assert_eq!(turns.len(), model.values().map(Vec::len).sum::<usize>());
        }
        (turns, model)
    }

    proptest! {
        #[test]
        fn each_place_is_the_number_of_turns_until_it(happenings in happenings()) {
            let (turns, _) = played(&happenings);
            for (before, id) in all(turns.clone()).into_iter().enumerate() {
                prop_assert_eq!(turns.place(id), Some(before + 1));
            }
        }

        #[test]
        fn all_have_their_turn_and_one_users_in_their_order(happenings in happenings()) {
            let (turns, model) = played(&happenings);
            let order = all(turns);
            for theirs in model.values() {
                let served: Vec<_> = order.iter().copied().filter(|id| theirs.contains(id)).collect();
                prop_assert_eq!(&served, theirs);
            }
            prop_assert_eq!(order.len(), model.values().map(Vec::len).sum::<usize>());
        }

        #[test]
        fn between_two_turns_of_a_user_each_other_who_waits_has_one(happenings in happenings()) {
            let (turns, model) = played(&happenings);
            let owner = |id: &InstanceId| {
                *model.iter().find(|(_, theirs)| theirs.contains(id)).map(|(user, _)| user).unwrap()
            };
            let order: Vec<UserId> = all(turns).iter().map(owner).collect();
            let mut left: BTreeMap<UserId, usize> =
                model.iter().map(|(user, theirs)| (*user, theirs.len())).collect();
            let mut since: BTreeMap<UserId, Vec<UserId>> = BTreeMap::new();
            for user in order {
                if let Some(others) = since.insert(user, Vec::new()) {
                    for (other, _) in left.iter().filter(|(other, left)| **other != user && **left > 0) {
                        let turns = others.iter().filter(|each| *each == other).count();
                        prop_assert_eq!(turns, 1);
                    }
                }
                for (each, others) in &mut since {
                    if *each != user {
                        others.push(user);
                    }
                }
                *left.get_mut(&user).unwrap() -= 1;
            }
        }
    }
}
