//! A service for the tests: the layer, a `KeyAdmin`, an issuer of session tokens, and one test clock.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use coverbase_auth::{
    ApiKey, ClientIpSource, CoverbaseAuthLayer, Environment, JwtVerifier, KeyAdmin, KeyId,
    KeyRecord, KeyRegistry, MemoryStore, Principal, Scope,
    key_admin::{CreateKey, CreatedKey},
    testing::{TestClock, TestIssuer},
};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const NOON: u64 = 1_795_521_600; // 2026-11-24T12:00:00Z
pub(crate) const DAY: u64 = 86_400;
pub(crate) const ORG: &str = "org_acme";
pub(crate) const OTHER_ORG: &str = "org_other";

pub(crate) struct Service {
    pub(crate) store: MemoryStore,
    pub(crate) key_admin: KeyAdmin,
    pub(crate) layer: CoverbaseAuthLayer,
    pub(crate) clock: TestClock,
    issuer: TestIssuer,
    client_ip: ClientIpSource,
}

impl Service {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let key_admin = KeyAdmin::new(store.clone());
        Self::administered(store, key_admin)
    }

    /// Creates a service with this `KeyAdmin`, and sets its clock.
    pub(crate) fn administered(store: MemoryStore, key_admin: KeyAdmin) -> Self {
        let clock = TestClock::at(NOON);
        let issuer = TestIssuer::new("https://clerk.coverbase.test");
        let verifier = JwtVerifier::new(issuer.issuer(), issuer.key_set())
            .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY]);
        let layer = CoverbaseAuthLayer::new(store.clone())
            .with_jwt(verifier)
            .with_clock(clock.clone());
        Self {
            store,
            key_admin: key_admin.with_clock(clock.clone()),
            layer,
            clock,
            issuer,
            client_ip: ClientIpSource::peer(),
        }
    }

    pub(crate) fn with_client_ip(self, source: ClientIpSource) -> Self {
        Self {
            layer: self.layer.with_client_ip(source.clone()),
            client_ip: source,
            ..self
        }
    }

    /// Returns the routes of the contract behind the layer.
    pub(crate) fn app(&self) -> axum::Router {
        use coverbase_auth::routes::{Routes, router};

        let routes = Routes::new(self.key_admin.clone());
        router(routes.with_client_ip(self.client_ip.clone())).layer(self.layer.clone())
    }

    /// Returns a session token of `user_<role>`.
    pub(crate) fn session(&self, role: &str, org_id: &str) -> String {
        let token = self.issuer.token().with_role(role).with_org(org_id);
        token.with_subject(&format!("user_{role}")).sign()
    }

    pub(crate) fn session_without_role(&self) -> String {
        let organization = serde_json::json!({"id": ORG});
        self.issuer.token().with_claim("o", organization).sign()
    }

    /// Inserts a key of `ORG` into the store and returns its secret.
    pub(crate) fn key(&self, scopes: &[Scope]) -> String {
        self.key_of(ORG, scopes)
    }

    pub(crate) fn key_of(&self, org_id: &str, scopes: &[Scope]) -> String {
        static IDS: AtomicUsize = AtomicUsize::new(0);
        let key = ApiKey::generate(Environment::Live);
        let id = format!("ak_{}", IDS.fetch_add(1, Ordering::Relaxed));
        let record = KeyRecord::new(id, org_id).with_scopes(scopes.iter().cloned());
        self.store.insert(&key, record);
        key.expose_secret().to_owned()
    }

    /// Returns the principal that the layer resolves `token` to, or `None` if it rejects the request.
    pub(crate) async fn principal(&self, token: &str) -> Option<Principal> {
        let capture = service_fn(|request: Request<()>| async move {
            let principal = Principal::of(request.extensions()).cloned();
            let mut response = Response::new(());
            response.extensions_mut().insert(principal);
            Ok::<_, Infallible>(response)
        });
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let service = self.layer.layer(capture);
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        response.extensions().get::<Option<Principal>>()?.clone()
    }

    pub(crate) async fn accepts(&self, secret: &ApiKey) -> bool {
        self.principal(secret.expose_secret()).await.is_some()
    }

    /// Returns a user of `ORG` with role `admin`.
    pub(crate) async fn admin(&self) -> Principal {
        self.user("admin").await
    }

    pub(crate) async fn user(&self, role: &str) -> Principal {
        self.principal(&self.session(role, ORG)).await.unwrap()
    }

    /// Returns the principal of a new key of `ORG`.
    pub(crate) async fn service_account(&self, scopes: &[Scope]) -> Principal {
        self.principal(&self.key(scopes)).await.unwrap()
    }

    /// Creates a key of `ORG` as its admin.
    pub(crate) async fn create(&self, body: &str) -> CreatedKey {
        let request = CreateKey::from_json(body.as_bytes()).unwrap();
        let caller = self.admin().await;
        self.key_admin.create(&caller, request).await.unwrap()
    }

    pub(crate) async fn record(&self, id: &KeyId) -> KeyRecord {
        let record = self.store.find(&ORG.into(), id).await;
        record.unwrap().expect("the organization has this key")
    }
}
