//! Everybody who can have something: a principal is known from the first time
//! that anything names it, and for ever.

use std::collections::BTreeSet;

use redb::{Key, ReadableTable, TableDefinition, WriteTransaction};

use super::records::Record;
use super::servers::put;
use super::{Store, codec, tables};
use crate::model::{
    AuditEntry, Error, Event, KnownPrincipal, Origin, Principal, PrincipalId, Release, Result,
    Server, Token,
};

impl Store {
    /// Everybody who is known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn principals(&self) -> Result<Vec<KnownPrincipal>> {
        self.read(|txn| {
            let table = txn.open_table(tables::PRINCIPALS).map_err(codec::db)?;
            let rows = table.iter().map_err(codec::db)?;
            rows.map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
                .collect()
        })
        .await
    }

    /// Calls a principal something else: whatever is theirs stays so, and names
    /// them so. History goes on to tell what they were called.
    ///
    /// # Errors
    /// If nobody has this id, or the database fails.
    pub async fn rename_principal(&self, id: PrincipalId, name: String) -> Result<()> {
        self.write(move |txn| {
            let known = read(txn, id)?
                .ok_or_else(|| Error::Internal(format!("nobody is known by the id {id}")))?;
            let origin = known.origin;
            let known = KnownPrincipal {
                name: name.clone(),
                origin,
            };
            put(txn, tables::PRINCIPALS, id.as_u128(), &known)?;
            let call = |principal: &mut Principal| {
                let is_theirs = principal.id == id;
                if is_theirs {
                    principal.name.clone_from(&name);
                }
                is_theirs
            };
            rewrite(txn, tables::SERVERS, |server: &mut Server| {
                let owners = std::iter::once(&mut server.creator).chain(&mut server.members);
                owners.map(call).fold(false, std::ops::BitOr::bitor)
            })?;
            rewrite(txn, tables::TOKENS, |token: &mut Token| {
                let named = [&mut token.principal, &mut token.created_by].into_iter();
                let named = named.chain(&mut token.grant.bound_to);
                named.map(call).fold(false, std::ops::BitOr::bitor)
            })
        })
        .await
    }
}

/// The principal of this origin, as it is called now; from now on by this name
/// where it is not known yet. A token is not made known: it can have nothing, and
/// developers could make any number of them.
pub(super) fn know(txn: &WriteTransaction, origin: &Origin, name: &str) -> Result<Principal> {
    let id = origin.id();
    if let Some(known) = read(txn, id)? {
        return Ok(origin.called(known.name));
    }
    if !matches!(origin, Origin::Token(_)) {
        let known = KnownPrincipal {
            name: name.to_owned(),
            origin: origin.clone(),
        };
        put(txn, tables::PRINCIPALS, id.as_u128(), &known)?;
    }
    Ok(origin.called(name))
}

/// Makes everybody known whom a record names that was written while people were
/// names. Whoever is known stays as they are: it may be done again.
pub(super) fn take_in_all(txn: &WriteTransaction) -> Result<()> {
    let mut found = BTreeSet::from([
        Principal::administrator(),
        Principal::platform(),
        Principal::connection_test(),
    ]);
    each(txn, tables::SERVERS, |server: Server| {
        found.extend(server.owners().cloned());
    })?;
    each(txn, tables::VERSIONS, |release: Release| {
        found.insert(release.uploaded_by);
    })?;
    each(txn, tables::EVENTS, |event: Event| {
        found.extend(event.actor);
    })?;
    each(txn, tables::TOKENS, |token: Token| {
        found.extend([token.principal, token.created_by]);
    })?;
    each(txn, tables::AUDIT, |entry: AuditEntry| {
        found.extend(entry.actor.into_iter().chain(entry.made_by));
    })?;
    for Principal { id, name } in found {
        let of_emcp = [Origin::Platform, Origin::ConnectionTest];
        let mut origins = of_emcp.into_iter().chain([Origin::of_name(&name)]);
        if let Some(origin) = origins.find(|origin| origin.id() == id) {
            know(txn, &origin, &name)?;
        }
    }
    Ok(())
}

fn read(txn: &WriteTransaction, id: PrincipalId) -> Result<Option<KnownPrincipal>> {
    let table = txn.open_table(tables::PRINCIPALS).map_err(codec::db)?;
    let known = table.get(id.as_u128()).map_err(codec::db)?;
    known.map(|bytes| codec::decode(bytes.value())).transpose()
}

/// Every record that reads: a damaged one is told of by whoever needs it, and by
/// `emcp check`.
fn each<K: Key + 'static, T: Record>(
    txn: &WriteTransaction,
    definition: TableDefinition<'_, K, &'static [u8]>,
    mut take: impl FnMut(T),
) -> Result<()> {
    let table = txn.open_table(definition).map_err(codec::db)?;
    for row in table.iter().map_err(codec::db)? {
        if let Ok(record) = codec::decode(row.map_err(codec::db)?.1.value()) {
            take(record);
        }
    }
    Ok(())
}

/// Writes the records that `change` changes.
fn rewrite<T: Record>(
    txn: &WriteTransaction,
    definition: TableDefinition<'_, u128, &'static [u8]>,
    mut change: impl FnMut(&mut T) -> bool,
) -> Result<()> {
    let mut table = txn.open_table(definition).map_err(codec::db)?;
    let mut changed = Vec::new();
    for row in table.iter().map_err(codec::db)? {
        let (key, bytes) = row.map_err(codec::db)?;
        let mut record = codec::decode(bytes.value())?;
        if change(&mut record) {
            changed.push((key.value(), codec::encode(&record)?));
        }
    }
    for (key, bytes) in changed {
        table.insert(key, bytes.as_slice()).map_err(codec::db)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
