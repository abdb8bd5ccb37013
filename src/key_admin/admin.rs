//! The rules of the key lifecycle (C18–C20, C38–C42).

use std::sync::Arc;

use super::{
    CreateKey, CreatedKey, InvalidField, KeyAdminError, KeySummary, Organization, RevokeKey,
    RotatedKey, SetAllowlist, name,
};
use crate::{
    authenticator::RejectionKind,
    client_ip::IpAllowlist,
    clock::{Clock, SystemClock},
    credential::{ApiKey, Environment, KeyId},
    key_store::{KeyRecord, KeyRegistry},
    principal::{OrgId, Principal, PrincipalKind, Role, Scope, Scopes},
    requirement::Requirement,
};

/// Administers the keys of the caller's organization, for any framework.
///
/// Every call takes the [`Principal`] of the request: its organization is the only one that is read or written (`C20`), and
/// its rights are checked here, whatever the route has checked before.
///
/// ```
/// use coverbase_auth::{KeyAdmin, MemoryStore, Principal, key_admin::{CreateKey, KeyAdminError}};
///
/// async fn create_key(admin: &KeyAdmin, caller: &Principal, body: &[u8]) -> Result<String, KeyAdminError> {
///     let created = admin.create(caller, CreateKey::from_json(body)?).await?;
///     Ok(created.secret.expose_secret().to_owned())
/// }
/// # let _ = (KeyAdmin::new(MemoryStore::new()), create_key);
/// ```
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use coverbase_auth::{Environment, KeyAdmin, MemoryStore, Role, Scope, testing::{self, TestClock}};
/// use coverbase_auth::key_admin::{CreateKey, RevokeKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), coverbase_auth::key_admin::KeyAdminError> {
/// let admin = KeyAdmin::new(MemoryStore::new())
///     .with_environment(Environment::Test)
///     .with_scopes([Scope::from_static("reports:export")])
///     .with_clock(TestClock::at(1_700_000_000));
/// let caller = testing::user("user_1", "org_acme", Role::ADMIN);
///
/// let created = admin.create(&caller, CreateKey::new("ci")).await?;
/// let rotated = admin.rotate(&caller, &created.id).await?;
/// assert_eq!(rotated.revoked_id, created.id);
/// admin.revoke(&caller, &rotated.created.id, RevokeKey::default()).await?;
/// assert!(admin.list(&caller).await?.iter().all(|key| key.revoked && key.created_at == 1_700_000_000));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KeyAdmin {
    pub(super) registry: Arc<dyn KeyRegistry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) environment: Environment,
    pub(super) grantable: Scopes,
    #[cfg(feature = "audit")]
    pub(super) audit: Option<Arc<dyn crate::audit::AuditSink>>,
}

impl KeyAdmin {
    /// Creates keys of the live environment with the scopes that the contract knows.
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

    /// Leaves a record of each change: a key that is created, rotated or revoked, an allowlist that becomes another
    /// (`C43`). What is refused, and what changes nothing, leaves none; a `sink` that loses records stops no change.
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, MemoryStore, audit::MemoryAuditLog};
    ///
    /// let log = MemoryAuditLog::new();
    /// let admin = KeyAdmin::new(MemoryStore::new()).with_audit(log.clone());
    /// # let _ = admin;
    /// ```
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit(self, sink: impl crate::audit::AuditSink) -> Self {
        Self {
            audit: Some(Arc::new(sink)),
            ..self
        }
    }

    /// Lets an administrator grant a service's own scopes too (`C9`).
    #[must_use]
    pub fn with_scopes(self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let grantable = self.grantable.iter().cloned().chain(scopes).collect();
        Self { grantable, ..self }
    }

    /// Creates keys of `environment`.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self {
            environment,
            ..self
        }
    }

    /// Tells the time by `clock`.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }

    /// What managing keys requires: role `admin` or scope `keys:manage` (`C18`).
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, RequireLayer};
    ///
    /// let layer = RequireLayer::new(KeyAdmin::requirement());
    /// # let _ = layer;
    /// assert_eq!(KeyAdmin::requirement().to_string(), "scope keys:manage or role admin");
    /// ```
    pub fn requirement() -> Requirement {
        Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN)
    }

    /// Every key of the organization, revoked and expired ones too, oldest first (`C38`).
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] for a caller without the right, and where the store does not answer.
    pub async fn list(&self, caller: &Principal) -> Result<Vec<KeySummary>, KeyAdminError> {
        Self::requirement().check(caller)?;
        let records = self.registry.list(caller.org_id()).await?;
        let now = self.clock.unix_seconds();
        let summaries = records.iter().map(|record| KeySummary::at(record, now));
        Ok(summaries.collect())
    }

    /// Creates a key (`C39`). Only an administrator of the organization may give it scopes (`C19`).
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::InvalidName`], [`KeyAdminError::InvalidField`], or [`KeyAdminError::Rejected`] for a caller without
    /// the right to create a key or to grant its scopes, and where the store does not answer.
    pub async fn create(
        &self,
        caller: &Principal,
        request: CreateKey,
    ) -> Result<CreatedKey, KeyAdminError> {
        Self::requirement().check(caller)?;
        if !request.scopes.is_empty() && !may_grant_scopes(caller) {
            return Err(RejectionKind::ScopeGrantForbidden.into());
        }
        let name = name::checked(&request.name)?;
        let scopes = self.granted(&request.scopes)?;
        let now = self.clock.unix_seconds();

        let mut record = self.new_record(caller, name, now)?.with_scopes(scopes);
        if let Some(seconds) = request.seconds_until_expiration {
            record = record.with_expires_at(now.saturating_add(seconds));
        }
        let secret = ApiKey::try_generate(self.environment)?;
        self.registry
            .create(secret.digest(), record.clone())
            .await?;
        #[cfg(feature = "audit")]
        self.note_created(caller, &record);
        Ok(CreatedKey::new(&record, secret))
    }

    /// Replaces a live key by a new one with the same scopes and the lifetime that was left (`C40`). From the answer on
    /// the old secret opens nothing.
    ///
    /// A key may not rotate one that has a scope which it has not itself, or any scope for longer than itself: the answer holds
    /// the new secret, and a leaked key would widen its own rights by it (`C19`). One without scopes it may create as well.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] for a caller without the right, for a key that is not the organization's or not live,
    /// and where the store does not answer.
    pub async fn rotate(
        &self,
        caller: &Principal,
        key_id: &KeyId,
    ) -> Result<RotatedKey, KeyAdminError> {
        Self::requirement().check(caller)?;
        let now = self.clock.unix_seconds();
        let rotated = self.registry.find(caller.org_id(), key_id).await?;
        let rotated = rotated
            .filter(|record| record.is_live_at(now))
            .ok_or(RejectionKind::ApiKeyNotFound)?;
        if !may_hold(caller, &rotated) {
            return Err(RejectionKind::ScopeGrantForbidden.into());
        }

        let name = name::rotated(rotated.name(), now);
        let mut replacement = self
            .new_record(caller, &name, now)?
            .with_scopes(rotated.scopes().clone());
        if let Some(expires_at) = rotated.expires_at() {
            replacement = replacement.with_expires_at(expires_at);
        }
        let secret = ApiKey::try_generate(self.environment)?;
        let done = self
            .registry
            .rotate(key_id, secret.digest(), replacement.clone(), now)
            .await?;
        if !done {
            return Err(RejectionKind::ApiKeyNotFound.into());
        }
        #[cfg(feature = "audit")]
        self.note_rotated(caller, &rotated, &replacement);
        Ok(RotatedKey::new(&replacement, secret, rotated.key_id()))
    }

    /// Revokes a key, for good (`C41`). From the answer on it opens nothing, on every instance. To revoke it again
    /// changes nothing and answers the same.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] for a caller without the right, for a key that is not the organization's, and where the
    /// store does not answer.
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
        let RevokeKey { reason } = request;
        #[cfg(feature = "audit")]
        if revocation.is_first {
            self.note_revoked(caller, &revocation.record, reason);
        }
        #[cfg(not(feature = "audit"))]
        drop(reason);
        Ok(KeySummary::at(&revocation.record, now))
    }

    /// The caller's organization with its allowlist (`C42`). Any principal of it may read.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::Rejected`] for another organization, and where the store does not answer.
    pub async fn organization(
        &self,
        caller: &Principal,
        org_id: &OrgId,
    ) -> Result<Organization, KeyAdminError> {
        own_organization(caller, org_id)?;
        let allowlist = self.registry.allowlist(org_id).await?;
        Ok(Organization::new(org_id, &allowlist))
    }

    /// Replaces the allowlist of the caller's organization (`C42`). One invalid entry, and nothing is changed.
    ///
    /// # Errors
    ///
    /// [`KeyAdminError::InvalidCidr`], or [`KeyAdminError::Rejected`] for a caller without the right, for another
    /// organization, and where the store does not answer.
    ///
    #[cfg_attr(feature = "test-util", doc = "```")]
    #[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
    /// use coverbase_auth::{KeyAdmin, MemoryStore, OrgId, Role, key_admin::SetAllowlist, testing};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), coverbase_auth::key_admin::KeyAdminError> {
    /// let admin = KeyAdmin::new(MemoryStore::new());
    /// let (caller, acme) = (testing::user("user_1", "org_acme", Role::ADMIN), OrgId::from("org_acme"));
    /// let request = SetAllowlist::from_json(br#"{"api_ip_allowlist": ["192.0.2.7"]}"#)?;
    /// admin.set_allowlist(&caller, &acme, request).await?;
    /// assert_eq!(admin.organization(&caller, &acme).await?.api_ip_allowlist, ["192.0.2.7/32"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_allowlist(
        &self,
        caller: &Principal,
        org_id: &OrgId,
        request: SetAllowlist,
    ) -> Result<Organization, KeyAdminError> {
        Self::requirement().check(caller)?;
        own_organization(caller, org_id)?;
        let allowlist = IpAllowlist::parse(&request.api_ip_allowlist)?;
        let organization = Organization::new(org_id, &allowlist);
        #[cfg(feature = "audit")]
        let old = self.allowlist_to_note(org_id).await;
        self.registry.set_allowlist(org_id, allowlist).await?;
        #[cfg(feature = "audit")]
        self.note_allowlist(caller, old.as_ref(), &organization.api_ip_allowlist);
        Ok(organization)
    }

    fn new_record(
        &self,
        caller: &Principal,
        name: &str,
        now: u64,
    ) -> Result<KeyRecord, KeyAdminError> {
        let record = KeyRecord::new(KeyId::try_generate()?, caller.org_id().clone())
            .with_name(name)
            .with_created_at(now);
        Ok(match caller.user_id() {
            Some(user_id) => record.with_created_by(user_id),
            None => record,
        })
    }

    /// The scopes by their names, each one that there is (`C39`).
    fn granted(&self, names: &[String]) -> Result<Scopes, KeyAdminError> {
        let scope = |(position, name): (usize, &String)| {
            let scope = name.parse().ok();
            scope
                .filter(|scope| self.grantable.contains(scope))
                .ok_or_else(|| InvalidField::unknown_scope(position, &self.grantable))
        };
        let scopes: Result<Scopes, InvalidField> = names.iter().enumerate().map(scope).collect();
        Ok(scopes?)
    }
}

/// `C19`: an administrator in person. A key never, not even for scopes that it holds.
fn may_grant_scopes(caller: &Principal) -> bool {
    caller.kind() == PrincipalKind::User && caller.role() == Some(&Role::ADMIN)
}

/// Whether handing `caller` the secret of `key` widens nobody's rights: it has no scope that they have not, and none for longer.
fn may_hold(caller: &Principal, key: &KeyRecord) -> bool {
    let lasts_longer = caller
        .expires_at()
        .is_some_and(|end| key.expires_at().is_none_or(|expires_at| expires_at > end));
    may_grant_scopes(caller)
        || key.scopes().is_empty()
        || (caller.scopes().contains_all(key.scopes()) && !lasts_longer)
}

fn own_organization(caller: &Principal, org_id: &OrgId) -> Result<(), RejectionKind> {
    if caller.org_id() == org_id {
        Ok(())
    } else {
        Err(RejectionKind::OrgNotFound)
    }
}
