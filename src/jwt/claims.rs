//! The claims that every token must have (C13, C14), in any issuer's form.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    issuer::Issuer,
    membership::Claims,
    rejection::Reason,
    token::{string, text},
};
use crate::{
    json::{Object, Value},
    principal::Principal,
};

/// The last second of the year 9999. A later date is usually one in milliseconds.
const LAST_SECOND: i64 = 253_402_300_799;

/// What a verified token says, except whether it is valid now.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) principal: Principal,
    /// In whole Unix seconds, as the others.
    expires_at: i64,
    not_before: Option<i64>,
    issued_at: Option<i64>,
}

impl Session {
    /// Checks whether the token is valid at `now` (Unix seconds): at every request, also for a cached token (C13).
    ///
    /// It is expired if `now >= exp + leeway`, and not yet valid if `nbf` or `iat` is after `now + leeway`.
    pub(crate) fn check_times(&self, now: u64, leeway: u64) -> Result<(), Reason> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let leeway = i64::try_from(leeway).unwrap_or(i64::MAX);
        let latest = now.saturating_add(leeway);
        let is_future = |date: Option<i64>| date.is_some_and(|date| date > latest);
        if now >= self.expires_at.saturating_add(leeway) {
            Err("expired")
        } else if is_future(self.not_before) {
            Err("`nbf` is in the future")
        } else if is_future(self.issued_at) {
            Err("`iat` is in the future")
        } else {
            Ok(())
        }
    }
}

impl Issuer {
    /// Returns the session that the claims describe.
    pub(crate) fn session(&self, claims: &Object) -> Result<Session, Reason> {
        let subject = text(claims, "sub", "`sub` is not a non-empty string")?;
        reject_other_tokens(claims, subject)?;
        let expires_at = date(claims, "exp", "`exp` is not a date up to 9999")?;
        let expires_at = expires_at.ok_or("`exp` is missing")?;
        let not_before = date(claims, "nbf", "`nbf` is not a date up to 9999")?;
        let issued_at = date(claims, "iat", "`iat` is not a date up to 9999")?;
        self.check_party(claims)?;
        self.check_audience(claims)?;
        Ok(Session {
            principal: self.principal(claims, subject)?,
            expires_at,
            not_before,
            issued_at,
        })
    }

    /// Returns the user `user_id`. A token whose mapping panics is rejected (T19).
    fn principal(&self, claims: &Object, user_id: &str) -> Result<Principal, Reason> {
        let principal = || {
            let membership = (self.mapping)(&Claims(claims)).map_err(|invalid| invalid.0)?;
            membership.into_principal(user_id)
        };
        catch_unwind(AssertUnwindSafe(principal))
            .unwrap_or(Err("the mapping of the claims panicked"))
    }

    /// C14: `azp`.
    fn check_party(&self, claims: &Object) -> Result<(), Reason> {
        let party = string(claims, "azp", "`azp` is not a string")?;
        let Some(parties) = &self.authorized_parties else {
            return Ok(());
        };
        let party = party.ok_or("`azp` is missing")?;
        if parties.iter().any(|known| known == party) {
            Ok(())
        } else {
            Err("`azp` is not an authorized party")
        }
    }

    /// C14: `aud`, a string or an array of strings (RFC 7519 §4.1.3).
    fn check_audience(&self, claims: &Object) -> Result<(), Reason> {
        let audiences = match claims.get("aud") {
            None if self.audiences.is_none() => return Ok(()),
            None => return Err("`aud` is missing"),
            Some(Value::Array(audiences)) => &audiences[..],
            Some(audience) => std::slice::from_ref(audience),
        };
        if audiences.iter().any(|audience| audience.as_str().is_none()) {
            return Err("`aud` is neither a string nor an array of strings");
        }
        let mut named = audiences.iter().filter_map(Value::as_str);
        let known = self.audiences.iter().flatten();
        if named.any(|name| known.clone().any(|known| known == name)) {
            Ok(())
        } else {
            Err("`aud` names no configured audience")
        }
    }
}

/// Rejects other kinds of token that Clerk signs with the same keys.
fn reject_other_tokens(claims: &Object, subject: &str) -> Result<(), Reason> {
    let id = string(claims, "jti", "`jti` is not a string")?.unwrap_or_default();
    if subject.starts_with("mch_") || id.starts_with("mt_") {
        Err("a machine token, not a session token")
    } else if id.starts_with("oat_") {
        Err("an OAuth access token, not a session token")
    } else {
        Ok(())
    }
}

/// A `NumericDate` (RFC 7519 §2), a fraction of a second rounded up. Rounding changes no decision: for a whole second `t`,
/// `t >= date` if and only if `t >= ceil(date)`.
fn date(claims: &Object, name: &str, reason: Reason) -> Result<Option<i64>, Reason> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let number = value.as_f64().ok_or(reason)?;
    // The cast saturates.
    let seconds = value.as_i64().unwrap_or_else(|| number.ceil() as i64);
    if seconds <= LAST_SECOND {
        Ok(Some(seconds))
    } else {
        Err(reason)
    }
}

#[cfg(test)]
mod tests;
