//! What a good engineer writes: digests in a map, and the principal in the request's extensions. No expiry, no scopes, no
//! allowlist.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, RwLock},
};

use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use tower_http::auth::AsyncAuthorizeRequest;

/// Who is calling, as it lies in the request's extensions.
#[derive(Debug, Clone)]
pub struct Principal {
    pub key_id: String,
    pub org_id: String,
    pub scopes: Vec<String>,
}

impl Principal {
    pub fn of(number: u64) -> Self {
        Self {
            key_id: format!("ak_{number:022}"),
            org_id: format!("org_{}", number / 10),
            scopes: vec!["audit:read".to_owned()],
        }
    }
}

/// A digest's first bytes are its hash.
#[derive(Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub type Digests<V> = HashMap<[u8; 32], V, BuildHasherDefault<FirstBytes>>;

pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

pub fn unauthorized() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// As well as one can write it.
#[derive(Clone, Default)]
pub struct ByDigest(pub Arc<RwLock<Digests<Arc<Principal>>>>);

impl ByDigest {
    pub fn find(&self, headers: &HeaderMap) -> Option<Arc<Principal>> {
        self.find_token(bearer(headers)?)
    }

    pub fn find_token(&self, token: &str) -> Option<Arc<Principal>> {
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
#[derive(Clone, Default)]
pub struct ByHexDigest(pub Arc<RwLock<HashMap<String, Principal>>>);

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ByHexDigest {
    pub fn find(&self, headers: &HeaderMap) -> Option<Principal> {
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

/// The limit: one block of SHA-256, and one look into a map.
pub fn floor(map: &Digests<Arc<Principal>>, key: &[u8]) -> bool {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    block[key.len()] = 0x80;
    block[56..].copy_from_slice(&(key.len() as u64 * 8).to_be_bytes());
    let mut state = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&u32::to_be_bytes(word));
    }
    map.contains_key(&digest)
}
