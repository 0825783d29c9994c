//! What each person has and may have. Quotas bound developers; administrators,
//! who set them, have none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::parts::Parts;
use super::token_changes::TokenChanges;
use crate::access::{Caller, CanAdminister, CanSeeUsage, PersonQuota, TokenTable, WriteMeter};
use crate::api::{AmountView, ChangeToken, PeopleView, PersonView, TokenView, WritesView};
use crate::bounds::Bounds;
use crate::model::{
    Error, Holdings, OwnQuota, Principal, PrincipalId, Quota, Result, Role, TokenId,
};
use crate::store::{Allowance, Store};

/// Says what a person may have.
pub(super) struct Allowances {
    tokens: Arc<TokenTable>,
    bounds: Arc<Bounds>,
}

impl Allowances {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            tokens: Arc::clone(&parts.tokens),
            bounds: Arc::clone(&parts.bounds),
        }
    }

    /// What bounds a change that adds to what `person` has. `is_exempt` is
    /// whether an administrator makes it.
    pub(super) fn of_person(&self, person: &Principal, is_exempt: bool) -> Option<Allowance> {
        if is_exempt {
            return None;
        }
        Some(Allowance {
            person: person.clone(),
            quota: self.quota_of(person.id)?,
            maxima: self.bounds.maxima(),
        })
    }

    fn quota_of(&self, person: PrincipalId) -> Option<Quota> {
        match self.tokens.quota_of(person, Timestamp::now()) {
            PersonQuota::Exempt => None,
            PersonQuota::Bounded(own) => Some(own.over(self.bounds.quota())),
        }
    }
}

/// What people have, may have and do.
pub struct Quotas {
    store: Store,
    tokens: Arc<TokenTable>,
    token_changes: Arc<TokenChanges>,
    bounds: Arc<Bounds>,
    allowances: Allowances,
    /// How often each person changes something.
    writes: WriteMeter,
}

impl Quotas {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            store: parts.store.clone(),
            tokens: Arc::clone(&parts.tokens),
            token_changes: Arc::clone(&parts.token_changes),
            bounds: Arc::clone(&parts.bounds),
            allowances: Allowances::of(parts),
            writes: WriteMeter::default(),
        }
    }

    /// Counts a change of this caller.
    ///
    /// # Errors
    /// `too_many_writes`.
    pub fn count_write(&self, caller: &Caller) -> Result<()> {
        if caller.grant().role == Role::Admin {
            return Ok(());
        }
        let Some(Quota {
            writes_per_minute, ..
        }) = self.allowances.quota_of(caller.principal().id)
        else {
            return Ok(());
        };
        let Principal { id, name } = caller.principal();
        let taken = self.writes.take(*id, writes_per_minute, Instant::now());
        taken.map_err(|wait| Error::TooMany {
            code: "too_many_writes",
            message: format!(
                "\"{name}\" has changed things {writes_per_minute} times within a minute, which is the most that is allowed; try again a little later. An administrator can raise the quota of \"{name}\" (PATCH /api/tokens/{{id}}), or everybody's in EMCP_QUOTA_WRITES_PER_MINUTE"
            ),
            // Rounded up: who comes back then is listened to.
            retry_after_secs: wait.as_secs() + 1,
        })
    }

    /// What people have and may have.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn people(&self, permit: &CanSeeUsage) -> Result<PeopleView> {
        let maxima = self.bounds.maxima();
        let held = self.store.holdings(maxima).await?;
        let mut people = match permit.only() {
            Some(person) => vec![person.clone()],
            None => self.people_with_a_part(&held),
        };
        people.sort_by(|one, other| one.name.cmp(&other.name));
        let people = people.into_iter().map(|person| {
            let has = held.get(&person).copied().unwrap_or_default();
            self.person(person, has)
        });
        Ok(PeopleView {
            people: people.collect(),
            maxima,
            quota: self.bounds.quota(),
        })
    }

    /// Gives the holder of a token a quota of their own.
    ///
    /// # Errors
    /// `token_not_found`, `quota_not_for_role`, `invalid_quota`, or if the
    /// database fails.
    pub async fn change_token(
        &self,
        _: &CanAdminister,
        token: &TokenView,
        change: ChangeToken,
    ) -> Result<TokenView> {
        let quota = change.quota.checked()?;
        require_developer(token.role, quota)?;
        let id: TokenId = token.id;
        let changed = self.token_changes.set_quota(id, quota).await?;
        Ok(changed.into())
    }

    /// Whoever could have something, and whoever has.
    fn people_with_a_part(&self, held: &BTreeMap<Principal, Holdings>) -> Vec<Principal> {
        let now = Timestamp::now();
        let able = self.tokens.list().into_iter().filter(|token| {
            matches!(token.grant.role, Role::Admin | Role::Developer) && token.is_live(now)
        });
        let mut people: BTreeSet<_> = able.map(|token| token.principal).collect();
        people.extend(held.keys().cloned());
        people.insert(Principal::administrator());
        people.into_iter().collect()
    }

    fn person(&self, Principal { id, name }: Principal, has: Holdings) -> PersonView {
        let quota = self.allowances.quota_of(id);
        let amount = |used: u64, limit: fn(Quota) -> u64| AmountView {
            used,
            limit: quota.map(limit),
        };
        PersonView {
            exempt: quota.is_none(),
            servers: amount(has.servers, |quota| quota.servers),
            memory_bytes: amount(has.memory_bytes, |quota| quota.memory_bytes),
            stored_bytes: amount(has.stored_bytes, |quota| quota.stored_bytes),
            tokens: amount(has.tokens, |quota| quota.tokens),
            writes: WritesView {
                used: self.writes.used(id, Instant::now()),
                limit_per_minute: quota.map(|quota| quota.writes_per_minute),
            },
            name,
        }
    }
}

/// Nobody else has a quota: administrators have none, others change nothing.
///
/// # Errors
/// `quota_not_for_role`.
pub(super) fn require_developer(role: Role, quota: OwnQuota) -> Result<()> {
    if role == Role::Developer || quota == OwnQuota::default() {
        return Ok(());
    }
    Err(Error::invalid(
        "quota_not_for_role",
        "quota",
        "only holders of tokens with the role \"developer\" have a quota",
    ))
}
