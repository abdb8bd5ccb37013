//! Mints session tokens with `jsonwebtoken` and verifies them through the layer.
//!
//! ```text
//! cargo run --example session_tokens --features jsonwebtoken
//! ```

use std::{convert::Infallible, error::Error};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use coverbase_auth::{Algorithm, CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore, Principal};
use http::{Request, Response, StatusCode};
use jsonwebtoken::{
    EncodingKey, Header, encode, get_current_timestamp,
    jwk::{Jwk, JwkSet},
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

const ISSUER: &str = "https://id.example.com";

/// The identity provider: a signing key and the JWK Set that it publishes.
#[derive(Debug)]
pub struct Provider {
    key: EncodingKey,
    pub jwks: JwkSet,
}

impl Provider {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::Es256.into())?;
        jwk.common.key_id = Some("key_1".to_owned());
        let jwks = JwkSet { keys: vec![jwk] };
        Ok(Self { key, jwks })
    }

    /// A session token of `user_1` with this role in `org_acme`, valid for a minute.
    pub fn mint(&self, role: &str) -> jsonwebtoken::errors::Result<String> {
        let mut header = Header::new(Algorithm::Es256.into());
        header.kid = Some("key_1".to_owned());
        let claims = json!({
            "v": 2,
            "iss": ISSUER,
            "sub": "user_1",
            "sid": "sess_1",
            "o": { "id": "org_acme", "rol": role },
            "exp": get_current_timestamp() + 60,
        });
        encode(&header, &claims, &self.key)
    }
}

/// The service: a layer that accepts the tokens of the provider.
pub fn layer(jwks: &JwkSet) -> Result<CoverbaseAuthLayer, Box<dyn Error>> {
    let verifier = JwtVerifier::new(ISSUER, KeySet::try_from(jwks)?);
    Ok(CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier))
}

/// The status of a request with this token, and the role that the handler sees.
pub async fn request(layer: &CoverbaseAuthLayer, token: &str) -> (StatusCode, Option<String>) {
    let handler = service_fn(async |request: Request<()>| {
        let user = Principal::of(request.extensions());
        let role = user.and_then(|user| user.role()).map(ToString::to_string);
        let mut response = Response::new(());
        response.extensions_mut().insert(role);
        Ok::<_, Infallible>(response)
    });
    let request = Request::builder().header("authorization", format!("Bearer {token}"));
    let request = request.body(()).expect("a request");
    let answer = layer.layer(handler).oneshot(request).await;
    let mut response = answer.unwrap_or_else(|never| match never {});
    let role = response.extensions_mut().remove::<Option<String>>();
    (response.status(), role.flatten())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = Provider::new()?;
    let layer = layer(&provider.jwks)?;
    let token = provider.mint("member")?;
    println!("minted:  {:?}", request(&layer, &token).await);
    println!(
        "altered: {:?}",
        request(&layer, &token.replace('.', ".A")).await
    );
    let other = Provider::new()?.mint("admin")?;
    println!("forged:  {:?}", request(&layer, &other).await);
    Ok(())
}
