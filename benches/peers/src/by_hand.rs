//! What a good engineer writes: digests in a map, and the principal in the request's extensions. No expiry, no scopes, no
//! allowlist.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{Arc, RwLock},
};

use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use tower_http::auth::AsyncAuthorizeRequest;

use crate::floor::Digests;

/// Who is calling, as it lies in the request's extensions.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "the inner service that would read it is bare")]
pub(crate) struct Principal {
    pub(crate) key_id: String,
    pub(crate) org_id: String,
    pub(crate) scopes: Vec<String>,
}

impl Principal {
    pub(crate) fn of(number: u64) -> Self {
        Self {
            key_id: format!("ak_{number:022}"),
            org_id: format!("org_{}", number / 10),
            scopes: vec!["audit:read".to_owned()],
        }
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

pub(crate) fn unauthorized() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// As well as one can write it.
#[derive(Clone)]
pub(crate) struct ByDigest(pub(crate) Arc<RwLock<Digests<Arc<Principal>>>>);

impl ByDigest {
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
        self.find_token(bearer(headers)?)
    }

    pub(crate) fn find_token(&self, token: &str) -> Option<Arc<Principal>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.read().ok()?.get(&digest).cloned()
    }
}

impl AsyncAuthorizeRequest<()> for ByDigest {
    type RequestBody = ();
    type ResponseBody = ();
    type Future = Ready<Result<Request<()>, Response<()>>>;

    fn authorize(&mut self, mut request: Request<()>) -> Self::Future {
        ready(match self.find(request.headers()) {
            Some(principal) => {
                request.extensions_mut().insert(principal);
                Ok(request)
            }
            None => Err(unauthorized()),
        })
    }
}

/// As it is often written: the digest in hexadecimal, the principal by value.
#[derive(Clone)]
pub(crate) struct ByHexDigest(pub(crate) Arc<RwLock<HashMap<String, Principal>>>);

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ByHexDigest {
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<Principal> {
        let digest = hex(&Sha256::digest(bearer(headers)?));
        self.0.read().ok()?.get(&digest).cloned()
    }
}

impl AsyncAuthorizeRequest<()> for ByHexDigest {
    type RequestBody = ();
    type ResponseBody = ();
    type Future = Ready<Result<Request<()>, Response<()>>>;

    fn authorize(&mut self, mut request: Request<()>) -> Self::Future {
        ready(match self.find(request.headers()) {
            Some(principal) => {
                request.extensions_mut().insert(principal);
                Ok(request)
            }
            None => Err(unauthorized()),
        })
    }
}
