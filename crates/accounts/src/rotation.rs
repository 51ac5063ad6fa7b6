//! Sealing everything anew, while everything goes on: batch after batch, each a transaction of its own. Whatever is killed in
//! between, the next pass finds what is left by the key in the values themselves.

use std::sync::Arc;

use roadstead_crypto::{Binding, ExposeSecret, KeyId, KeyRing, OpenError};
use roadstead_store::{RotationRow, SealedTable, SealedValue, ValuePlace};
use serde_json::{Value, json};

use crate::{Accounts, AccountsError, idempotency, settings};

/// Values held at one time: few enough that whoever wants one of them waits for milliseconds.
const BATCH: u32 = 200;
/// Values named that do not open; the others are only counted.
const MAX_NAMED: usize = 20;

/// A rotation under way, as far as this process has come with it.
#[derive(Debug)]
pub struct Rotating {
    accounts: Accounts,
    rotation: RotationRow,
    ring: Arc<KeyRing>,
    /// Tables still to be gone through, the present one first.
    tables: &'static [SealedTable],
    after: ValuePlace,
    failed: u64,
    failures: Vec<Value>,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There is more.
    More,
    /// Everything is sealed with the newest key.
    Finished {
        /// Values sealed anew, by all processes that took part.
        done: u64,
    },
    /// Everything was gone through, and some values are left.
    Left {
        /// So many did not open; without one, somebody else was changing what is left.
        failed: u64,
    },
}

static TABLES: [SealedTable; 4] = SealedTable::ALL;

impl Accounts {
    /// Resolves when there may be something to seal anew.
    pub async fn rotation_wanted(&self) {
        self.0.rotation.notified().await;
    }

    /// The rotation that is under way, at the beginning of a pass.
    pub async fn rotating(&self) -> Result<Option<Rotating>, AccountsError> {
        let Some(rotation) = self.store().key_rotations().unfinished().await? else { return Ok(None) };
        let key = KeyId::from_number(rotation.to_key);
        // Begun by another process.
        if self.ring().sealing_key() != key && !self.learn(key) {
            return Err(AccountsError::RotationKeyLost { key });
        }
        let ring = self.ring();
        if ring.sealing_key() != key {
            return Err(AccountsError::RotationKeyLost { key });
        }
        Ok(Some(Rotating {
            accounts: self.clone(),
            rotation,
            ring,
            tables: &TABLES,
            after: ValuePlace::default(),
            failed: 0,
            failures: Vec::new(),
        }))
    }
}

impl Rotating {
    /// Seals the next values anew.
    pub async fn batch(&mut self) -> Result<Turn, AccountsError> {
        let Some((table, rest)) = self.tables.split_first() else { return self.end_pass().await };
        let rotations = self.accounts.store().key_rotations();
        let held = rotations.hold(&self.rotation, *table, &self.after, BATCH).await?;
        let found = held.values.len();
        if let Some(last) = held.values.last() {
            self.after = last.place.clone();
        }
        let mut renewed = Vec::with_capacity(found);
        for value in &held.values {
            match self.renew(*table, value) {
                Ok(sealed) => renewed.push((value.clone(), sealed)),
                Err(error) => {
                    self.failed += 1;
                    if self.failures.len() < MAX_NAMED {
                        self.failures
                            .push(json!({ "row": name(*table, value), "reason": error.to_string() }));
                    }
                }
            }
        }
        if !renewed.is_empty() {
            held.replace(&renewed).await?;
        }
        if found < BATCH as usize {
            (self.tables, self.after) = (rest, ValuePlace::default());
        }
        Ok(Turn::More)
    }

    async fn end_pass(&mut self) -> Result<Turn, AccountsError> {
        let rotations = self.accounts.store().key_rotations();
        let failures = Value::Array(std::mem::take(&mut self.failures));
        rotations.note_pass(self.rotation.id, self.failed, &failures).await?;
        if self.failed == 0 {
            let probe = self.ring.self_test_value(&mut *self.accounts.0.randomness.lock());
            if rotations.finish(&self.rotation, &probe, self.accounts.now()).await? {
                let done = rotations.latest().await?.map_or(0, |row| row.done);
                return Ok(Turn::Finished { done });
            }
        }
        Ok(Turn::Left { failed: self.failed })
    }

    fn renew(&self, table: SealedTable, value: &SealedValue) -> Result<Vec<u8>, OpenError> {
        let type_id = value.type_id.unwrap_or_default();
        let place = &value.place;
        let binding = match table {
            SealedTable::Answers => idempotency::binding(value.owner.as_bytes(), &place.slot, &place.key),
            SealedTable::Settings => settings::binding(&place.slot),
            SealedTable::Credentials | SealedTable::Instances => Binding {
                owner: value.owner.as_bytes(),
                type_id: type_id.as_bytes(),
                slot: &place.slot,
                row: place.row.as_bytes(),
            },
        };
        let plain = self.accounts.open(&binding, &value.sealed)?;
        Ok(self.ring.seal(&mut *self.accounts.0.randomness.lock(), &binding, plain.expose_secret()))
    }
}

/// What a value is called where it does not open.
fn name(table: SealedTable, value: &SealedValue) -> String {
    let ValuePlace { row, slot, .. } = &value.place;
    match table {
        SealedTable::Credentials => format!("slot {slot} of credential {row}"),
        SealedTable::Instances => format!("slot {slot} of instance {row}"),
        SealedTable::Settings => format!("setting {slot}"),
        SealedTable::Answers => format!("a kept answer to {slot} of user {row}"),
    }
}
