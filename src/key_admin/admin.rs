//! [`KeyAdmin`]: the rules of the key lifecycle (`C18`–`C20`, `C38`–`C42`).

use std::sync::Arc;

use super::{
    CreateKey, CreatedKey, InvalidField, KeyAdminError, KeySummary, Organization, RevokeKey,
    RotatedKey, SetAllowlist, name,
};
#[cfg(feature = "audit")]
use crate::audit::{AuditRecord, AuditRecordId, AuditSink, Change};
use crate::{
    authenticator::RejectionKind,
    client_ip::IpAllowlist,
    clock::{Clock, SystemClock},
    credential::{ApiKey, Environment, KeyId},
    key_store::{KeyRecord, KeyRegistry},
    principal::{OrgId, Principal, PrincipalKind, Role, Scope, Scopes},
    requirement::Requirement,
};

/// Creates, lists, rotates and revokes the API keys of an organization, and sets its IP allowlist.
///
/// Every method takes the [`Principal`] of the request and acts on its organization only (`C20`). Every method checks the
/// rights of the principal, whether or not the route has checked them before.
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use coverbase_auth::{KeyAdmin, MemoryStore, Role, testing};
/// use coverbase_auth::key_admin::{CreateKey, RevokeKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), coverbase_auth::key_admin::KeyAdminError> {
/// let admin = KeyAdmin::new(MemoryStore::new());
/// let caller = testing::user("user_1", "org_acme", Role::ADMIN);
///
/// let created = admin.create(&caller, CreateKey::from_json(br#"{"name": "ci"}"#)?).await?;
/// println!("{}", created.secret.expose_secret());
///
/// let rotated = admin.rotate(&caller, &created.id).await?;
/// assert_eq!(rotated.revoked_id, created.id);
///
/// admin.revoke(&caller, &rotated.created.id, RevokeKey::default()).await?;
/// assert!(admin.list(&caller).await?.iter().all(|key| key.revoked));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KeyAdmin {
    registry: Arc<dyn KeyRegistry>,
    clock: Arc<dyn Clock>,
    environment: Environment,
    grantable: Scopes,
    #[cfg(feature = "audit")]
    audit: Option<Arc<dyn AuditSink>>,
}

impl KeyAdmin {
    /// Administers the keys in `registry`. By default new keys belong to the live environment, the
    /// [known scopes](Scope::known) can be granted, and changes are not recorded.
    #[must_use]
    pub fn new(registry: impl KeyRegistry) -> Self {
        Self {
            registry: Arc::new(registry),
            clock: Arc::new(SystemClock),
            environment: Environment::Live,
            grantable: Scope::known().iter().cloned().collect(),
            #[cfg(feature = "audit")]
            audit: None,
        }
    }

    /// Records each change in `sink`: the creation, rotation or revocation of a key, and a new allowlist (`C43`). A request
    /// that is rejected or changes nothing leaves no record. A failure of `sink` does not fail the change.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Some(Arc::new(sink));
        self
    }

    /// Adds scopes of the service to those that can be granted (`C9`).
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.grantable = self.grantable.iter().cloned().chain(scopes).collect();
        self
    }

    /// Sets the environment of new keys.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sets the clock. The default is the system clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the requirement of key management: role `admin` or scope `keys:manage` (`C18`).
    pub fn requirement() -> Requirement {
        Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN)
    }

    /// Returns every key of the organization, revoked and expired ones included, oldest first (`C38`).
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] if the caller lacks the right or the store is unavailable.
    pub async fn list(&self, caller: &Principal) -> Result<Vec<KeySummary>, KeyAdminError> {
        Self::requirement().check(caller)?;
        let records = self.registry.list(caller.org_id()).await?;
        let now = self.clock.unix_seconds();
        let summaries = records.iter().map(|record| KeySummary::at(record, now));
        Ok(summaries.collect())
    }

    /// Creates a key (`C39`). Only a user with role `admin` can grant scopes to it (`C19`).
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::InvalidName`]; [`KeyAdminError::InvalidField`] if the name is too long or a scope is unknown;
    /// [`KeyAdminError::Rejected`] if the caller lacks the right to create the key or to grant its scopes, or the store is
    /// unavailable.
    pub async fn create(
        &self,
        caller: &Principal,
        request: CreateKey,
    ) -> Result<CreatedKey, KeyAdminError> {
        Self::requirement().check(caller)?;
        if !request.scopes.is_empty() && !can_grant_scopes(caller) {
            return Err(RejectionKind::ScopeGrantForbidden.into());
        }
        let name = name::checked(&request.name)?;
        let scopes = self.parse_scopes(&request.scopes)?;
        let now = self.clock.unix_seconds();
        let lifetime = request.seconds_until_expiration;
        let expires_at = lifetime.map(|seconds| now.saturating_add(seconds));

        let record = new_record(caller, name, scopes, now, expires_at)?;
        let secret = ApiKey::try_generate(self.environment)?;
        self.registry
            .create(secret.digest(), record.clone())
            .await?;
        #[cfg(feature = "audit")]
        self.record(caller, Change::creation(&record));
        Ok(CreatedKey::new(&record, secret))
    }

    /// Revokes a live key and creates its replacement, with the same scopes and expiry (`C40`). When this method returns, the
    /// old secret is no longer accepted.
    ///
    /// A caller that is a key cannot rotate a key that has scopes, unless the caller has all of these scopes and expires no
    /// earlier: it receives the new secret, and a leaked key must not gain rights by a rotation (`C19`).
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] if the caller lacks the right, the organization has no such live key, or the store is
    /// unavailable.
    pub async fn rotate(
        &self,
        caller: &Principal,
        key_id: &KeyId,
    ) -> Result<RotatedKey, KeyAdminError> {
        Self::requirement().check(caller)?;
        let now = self.clock.unix_seconds();
        let found = self.registry.find(caller.org_id(), key_id).await?;
        let old = found
            .filter(|record| record.is_live_at(now))
            .ok_or(RejectionKind::ApiKeyNotFound)?;
        if !can_hold(caller, &old) {
            return Err(RejectionKind::ScopeGrantForbidden.into());
        }

        let name = name::rotated(old.name(), now);
        let new = new_record(caller, &name, old.scopes().clone(), now, old.expires_at())?;
        let secret = ApiKey::try_generate(self.environment)?;
        let is_rotated = self
            .registry
            .rotate(key_id, secret.digest(), new.clone(), now)
            .await?;
        // Another request may have revoked the key in the meantime.
        if !is_rotated {
            return Err(RejectionKind::ApiKeyNotFound.into());
        }
        #[cfg(feature = "audit")]
        self.record(caller, Change::rotation(&old, &new));
        Ok(RotatedKey {
            created: CreatedKey::new(&new, secret),
            revoked_id: old.key_id().clone(),
        })
    }

    /// Revokes a key (`C41`). When this method returns, no instance accepts the key. Revoking a revoked key changes nothing
    /// and returns the same.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] if the caller lacks the right, the organization has no such key, or the store is
    /// unavailable.
    #[cfg_attr(not(feature = "audit"), expect(unused_variables))]
    pub async fn revoke(
        &self,
        caller: &Principal,
        key_id: &KeyId,
        request: RevokeKey,
    ) -> Result<KeySummary, KeyAdminError> {
        Self::requirement().check(caller)?;
        let now = self.clock.unix_seconds();
        let revocation = self.registry.revoke(caller.org_id(), key_id, now).await?;
        let revocation = revocation.ok_or(RejectionKind::ApiKeyNotFound)?;
        #[cfg(feature = "audit")]
        if revocation.is_first {
            let change = Change::revocation(&revocation.record, request.reason.as_deref());
            self.record(caller, change);
        }
        Ok(KeySummary::at(&revocation.record, now))
    }

    /// Returns the organization with its allowlist (`C42`). Every principal of the organization can read it.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] if `org_id` is not the organization of the caller or the store is unavailable.
    pub async fn organization(
        &self,
        caller: &Principal,
        org_id: &OrgId,
    ) -> Result<Organization, KeyAdminError> {
        if caller.org_id() != org_id {
            return Err(RejectionKind::OrgNotFound.into());
        }
        let allowlist = self.registry.allowlist(org_id).await?;
        Ok(Organization::new(org_id, &allowlist))
    }

    /// Replaces the allowlist of the organization (`C42`). A request with one invalid entry changes nothing.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::InvalidCidr`]; [`KeyAdminError::Rejected`] if the caller lacks the right, `org_id` is not its
    /// organization, or the store is unavailable.
    pub async fn set_allowlist(
        &self,
        caller: &Principal,
        org_id: &OrgId,
        request: SetAllowlist,
    ) -> Result<Organization, KeyAdminError> {
        Self::requirement().check(caller)?;
        if caller.org_id() != org_id {
            return Err(RejectionKind::OrgNotFound.into());
        }
        let allowlist = IpAllowlist::parse(&request.api_ip_allowlist)?;
        // For the record of the change, which goes on if the store cannot answer.
        #[cfg(feature = "audit")]
        let old = match &self.audit {
            Some(_) => self.registry.allowlist(org_id).await.ok(),
            None => None,
        };
        self.registry
            .set_allowlist(org_id, allowlist.clone())
            .await?;
        #[cfg(feature = "audit")]
        if old.as_ref() != Some(&allowlist) {
            let change = Change::new_allowlist(org_id, old.as_ref(), &allowlist);
            self.record(caller, change);
        }
        Ok(Organization::new(org_id, &allowlist))
    }

    #[cfg(feature = "audit")]
    fn record(&self, caller: &Principal, change: Change) {
        if let Some(sink) = &self.audit {
            let id = AuditRecordId::at(self.clock.unix_millis());
            sink.record(AuditRecord::of_change(id, caller.clone(), change));
        }
    }

    /// Parses scope names. Each must be one of the scopes that can be granted (`C39`).
    fn parse_scopes(&self, names: &[String]) -> Result<Scopes, InvalidField> {
        let parse = |(position, name): (usize, &String)| {
            let scope = name.parse().ok();
            scope
                .filter(|scope| self.grantable.contains(scope))
                .ok_or_else(|| {
                    let names = self.grantable.iter().map(|scope| format!("'{scope}'"));
                    let names = names.collect::<Vec<_>>().join(", ");
                    let error =
                        InvalidField::new("enum", format!("Input should be one of {names}"));
                    error.inside(position).inside("scopes")
                })
        };
        names.iter().enumerate().map(parse).collect()
    }
}

fn new_record(
    caller: &Principal,
    name: &str,
    scopes: Scopes,
    now: u64,
    expires_at: Option<u64>,
) -> Result<KeyRecord, KeyAdminError> {
    let mut record = KeyRecord::new(KeyId::try_generate()?, caller.org_id().clone())
        .with_name(name)
        .with_scopes(scopes)
        .with_created_at(now);
    if let Some(user_id) = caller.user_id() {
        record = record.with_created_by(user_id);
    }
    if let Some(expires_at) = expires_at {
        record = record.with_expires_at(expires_at);
    }
    Ok(record)
}

/// Only a user with role `admin` can grant scopes. A key cannot, not even scopes that it has (`C19`).
fn can_grant_scopes(caller: &Principal) -> bool {
    caller.kind() == PrincipalKind::User && caller.role() == Some(&Role::ADMIN)
}

/// Returns whether `caller` may receive a secret with the scopes and expiry of `key` without gaining rights.
fn can_hold(caller: &Principal, key: &KeyRecord) -> bool {
    let outlives_caller = caller
        .expires_at()
        .is_some_and(|end| key.expires_at().is_none_or(|expires_at| expires_at > end));
    can_grant_scopes(caller)
        || key.scopes().is_empty()
        || (caller.scopes().contains_all(key.scopes()) && !outlives_caller)
}
