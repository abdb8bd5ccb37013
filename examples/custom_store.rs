//! A store over an HTTP key service such as Clerk's `POST /v1/api_keys/verify`, of which there is a stub here.
use std::{collections::HashMap, error::Error, io};

use axum::{Json, Router, routing::post};
use coverbase_auth::{
    CachedStore, IpAllowlist, KeyDigest, KeyRecord, KeyStore, Lookup, Scope, StoreError,
    key_store::PresentedKey,
};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// To ask Clerk itself, take a connector with TLS, and send its secret key in `Authorization`.
#[derive(Debug, Clone)]
pub(crate) struct KeyService(Client<HttpConnector, String>, String);

impl KeyStore for KeyService {
    fn lookup(&self, _: &KeyDigest) -> Lookup {
        Lookup::ready(Err(StoreError::new("the service is asked with secrets")))
    }

    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        let answer = verify(self.clone(), json!({"secret": key.expose_secret()}));
        Lookup::pending(async { answer.await.map_err(StoreError::new) })
    }
}

type Verified = Result<Option<KeyRecord>, Box<dyn Error + Send + Sync>>;
async fn verify(KeyService(client, url): KeyService, body: Value) -> Verified {
    let request = Request::post(url).header(CONTENT_TYPE, "application/json");
    let answer = client.request(request.body(body.to_string())?).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        // Whatever that means, it does not mean that the key is bad (`C31`).
        status => return Err(format!("it answers {status}").into()),
    }
    let key: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    let text = |name: &str| key[name].as_str().ok_or("it answers no key");
    let scopes: Vec<String> = serde_json::from_value(key["scopes"].clone())?;
    let scopes: Result<Vec<Scope>, _> = scopes.iter().map(|scope| scope.parse()).collect();
    let networks: Vec<String> = serde_json::from_value(key["claims"]["allowlist"].clone())?;
    let mut record = KeyRecord::new(text("id")?, text("subject")?)
        .with_name(text("name")?)
        .with_scopes(scopes?)
        .with_allowlist(IpAllowlist::parse(networks)?);
    if let Some(milliseconds) = key["expiration"].as_u64() {
        record = record.with_expires_at(milliseconds / 1000);
    }
    if key["revoked"] != false {
        record = record.with_revoked_at(0);
    }
    Ok(Some(record))
}

/// The service, with these keys under their secrets.
pub(crate) async fn stub(keys: HashMap<String, Value>) -> io::Result<KeyService> {
    let verify = async move |Json(body): Json<Value>| {
        let key = keys.get(body["secret"].as_str().unwrap_or_default());
        key.cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/api_keys/verify", listener.local_addr()?);
    let app = Router::new().route("/v1/api_keys/verify", post(verify));
    tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http();
    Ok(KeyService(client, url))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = json!({"id": "ak_1", "subject": "org_1", "name": "ci", "scopes": [], "claims": {"allowlist": []}, "revoked": false});
    let store = CachedStore::new(stub([("ak_secret".to_owned(), key)].into()).await?);
    for secret in ["ak_secret", "ak_other", "ak_secret"] {
        let key = secret.parse()?;
        let found = store.lookup_presented(&PresentedKey::from(&key)).await?;
        println!("{found:?}, asked {} times", store.stats().loads);
    }
    Ok(())
}
