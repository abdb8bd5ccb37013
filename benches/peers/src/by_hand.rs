//! Authentication as a good engineer writes it by hand: digests in a map behind a lock, and the record of the key in the
//! request's extensions.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use coverbase_auth::PeerAddr;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use tower_http::auth::AsyncRequireAuthorizationLayer;

use crate::{floor::Digests, support::requests::key};

/// A key: whose it is, what it may do, and when it was last used.
#[derive(Debug)]
pub(crate) struct Record {
    #[expect(dead_code, reason = "the inner service does not read it")]
    key_id: String,
    #[expect(dead_code, reason = "the inner service does not read it")]
    org_id: String,
    scopes: Vec<String>,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
    allowlist: Vec<IpNet>,
    last_used_at: AtomicU64,
}

impl Record {
    fn new(number: u64, allowlist: &[IpNet]) -> Self {
        Self {
            key_id: format!("ak_{number:022}"),
            org_id: format!("org_{}", number / 10),
            scopes: vec!["audit:read".to_owned()],
            expires_at: Some(u64::MAX),
            revoked_at: None,
            allowlist: allowlist.to_vec(),
            last_used_at: AtomicU64::new(0),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Keys(Arc<RwLock<Digests<Arc<Record>>>>);

impl Keys {
    pub(crate) fn new(keys: u64, allowlist: &[IpNet]) -> Self {
        Self(Arc::new(RwLock::new(digests(keys, |number| {
            Arc::new(Record::new(number, allowlist))
        }))))
    }

    /// Finds the key, and checks nothing else.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Result<Arc<Record>, StatusCode> {
        self.find_token(bearer(headers)?)
    }

    pub(crate) fn find_token(&self, token: &str) -> Result<Arc<Record>, StatusCode> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let keys = self.0.read().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        keys.get(&digest).cloned().ok_or(StatusCode::UNAUTHORIZED)
    }

    /// Finds the key and makes the checks of coverbase-auth: revocation, expiry, allowlist and scope. Stamps the last use.
    #[expect(clippy::disallowed_methods, reason = "no test sets this clock")]
    pub(crate) fn authorize<B>(
        &self,
        request: &Request<B>,
        scope: &str,
    ) -> Result<Arc<Record>, StatusCode> {
        let record = self.find(request.headers())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        if record.revoked_at.is_some() || record.expires_at.is_some_and(|it| it <= now) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        if !record.allowlist.is_empty() {
            let peer: Option<&PeerAddr> = request.extensions().get();
            let address = peer
                .ok_or(StatusCode::FORBIDDEN)?
                .addr()
                .ip()
                .to_canonical();
            if !record.allowlist.iter().any(|net| net.contains(&address)) {
                return Err(StatusCode::FORBIDDEN);
            }
        }
        if !record.scopes.iter().any(|it| it == scope) {
            return Err(StatusCode::FORBIDDEN);
        }
        record.last_used_at.store(now, Ordering::Relaxed);
        Ok(record)
    }
}

pub(crate) fn digests<V>(keys: u64, value: impl Fn(u64) -> V) -> Digests<V> {
    let digests = (0..keys).map(|number| (*key(number).digest().as_bytes(), value(number)));
    digests.collect()
}

fn bearer(headers: &HeaderMap) -> Result<&str, StatusCode> {
    let value = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let token = value.and_then(|it| it.strip_prefix("Bearer "));
    token.ok_or(StatusCode::UNAUTHORIZED)
}

/// The request with its caller, or the response to a rejected one.
type Authorized = Ready<Result<Request<()>, Response<()>>>;

/// Returns tower-http's layer with a function that finds the caller.
pub(crate) fn require_authorization<C: Clone + Send + Sync + 'static>(
    authenticate: impl Fn(&Request<()>) -> Result<C, StatusCode> + Clone,
) -> AsyncRequireAuthorizationLayer<impl Fn(Request<()>) -> Authorized + Clone> {
    AsyncRequireAuthorizationLayer::new(move |mut request: Request<()>| {
        ready(match authenticate(&request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Ok(request)
            }
            Err(status) => {
                let mut response = Response::new(());
                *response.status_mut() = status;
                Err(response)
            }
        })
    })
}

/// As it is often written: the digest in hexadecimal, the caller by value.
#[derive(Clone)]
pub(crate) struct KeysByHexDigest(Arc<RwLock<HashMap<String, Caller>>>);

#[derive(Debug, Clone)]
#[expect(dead_code, reason = "the inner service does not read it")]
pub(crate) struct Caller {
    key_id: String,
    org_id: String,
    scopes: Vec<String>,
}

impl KeysByHexDigest {
    pub(crate) fn new(keys: u64) -> Self {
        let caller = |number| Caller {
            key_id: format!("ak_{number:022}"),
            org_id: format!("org_{}", number / 10),
            scopes: vec!["audit:read".to_owned()],
        };
        let keys = (0..keys).map(|number| (hex(key(number).digest().as_bytes()), caller(number)));
        Self(Arc::new(RwLock::new(keys.collect())))
    }

    pub(crate) fn find(&self, headers: &HeaderMap) -> Result<Caller, StatusCode> {
        let digest = hex(&Sha256::digest(bearer(headers)?));
        let keys = self.0.read().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        keys.get(&digest).cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
