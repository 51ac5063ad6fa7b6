//! Who owns what, and who sees it: as simple as it can be said.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::seq::IteratorRandom;
use roadstead_access::matrix;
use roadstead_model::{Operation, Reach, Role};

/// What somebody can own; a project is its organisation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Credential,
    Key,
    Project,
    Instance,
}

#[derive(Debug)]
pub struct User {
    pub id: String,
    pub key: String,
    pub organization: String,
    pub project: String,
    pub role: Role,
    number: usize,
}

impl User {
    pub fn name(&self) -> String {
        format!("user {} ({})", self.number, self.role.as_str())
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub users: Vec<User>,
    /// Who owns what is there.
    things: BTreeMap<(Thing, String), usize>,
}

impl Model {
    pub fn join(
        &mut self,
        id: String,
        key: String,
        key_id: String,
        organization: String,
        project: String,
        role: Role,
    ) {
        let number = self.users.len();
        // The key that somebody acts with is listed like every other, and never ended: it would end the test.
        self.things.insert((Thing::Key, key_id), number);
        self.things.insert((Thing::Project, project.clone()), number);
        self.users.push(User { id, key, organization, project, role, number });
    }

    pub fn add(&mut self, thing: Thing, id: String, owner: usize) {
        self.things.insert((thing, id), owner);
    }

    pub fn remove(&mut self, thing: Thing, id: &str) {
        self.things.remove(&(thing, id.to_owned()));
    }

    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.things.keys().filter(|(thing, _)| *thing == Thing::Instance).map(|(_, id)| id.as_str())
    }

    /// Something that can be ended, and whose it is.
    pub fn any(&self, thing: Thing, rng: &mut SmallRng) -> Option<(String, usize)> {
        self.things
            .iter()
            .filter(|((kind, id), owner)| {
                *kind == thing && !(thing == Thing::Key && self.is_in_use(id, **owner))
            })
            .map(|((_, id), owner)| (id.clone(), *owner))
            .choose(rng)
    }

    fn is_in_use(&self, key_id: &str, owner: usize) -> bool {
        // Ids sort by creation: the first key of a user is the one they act with.
        self.things
            .iter()
            .find(|((kind, _), one)| *kind == Thing::Key && **one == owner)
            .is_some_and(|((_, id), _)| id == key_id)
    }

    /// Whether a user may do something to what another one owns.
    pub fn reaches(&self, actor: usize, operation: Operation, owner: usize) -> bool {
        let (actor, owner) = (&self.users[actor], &self.users[owner]);
        match matrix::line(operation).allowed(actor.role).reach() {
            None => false,
            Some(Reach::Own) => actor.id == owner.id,
            Some(Reach::Organization | Reach::All) => actor.organization == owner.organization,
        }
    }

    /// The ids that a list shows somebody.
    pub fn seen(&self, looker: usize, operation: Operation, thing: Thing) -> BTreeSet<String> {
        self.things
            .iter()
            .filter(|((kind, _), owner)| *kind == thing && self.reaches(looker, operation, **owner))
            .map(|((_, id), _)| id.clone())
            .collect()
    }

    /// Whether somebody owns the organisation of a user.
    pub fn has_owner(&self, of: usize) -> bool {
        let organization = &self.users[of].organization;
        self.users.iter().any(|user| user.organization == *organization && user.role == Role::Owner)
    }
}
