//! An axum service whose routes are declared together with what they require.
//!
//! ```text
//! cargo run --example axum --features axum
//! ```

use std::{io, net::SocketAddr};

use axum::{Json, Router, extract::Path};
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, GuardedRouter, KeyRecord, KeyStore, MemoryStore,
    OrgId, OrgScoped, Principal, Rejection, RejectionKind, Requirement, Role, Scope, User,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const REPORTS_DELETE: Scope = Scope::from_static("reports:delete");

/// Stands for a database, which finds the report of an id whichever organization owns it.
fn find(id: u64) -> Option<OrgScoped<Value>> {
    let (org_id, title) = match id {
        1 => ("org_demo", "Spending"),
        2 => ("org_other", "Secrets"),
        _ => return None,
    };
    Some(OrgScoped::new(org_id, json!({"id": id, "title": title})))
}

async fn list(org_id: OrgId) -> Json<Value> {
    let reports = [1, 2].into_iter().filter_map(find);
    let own = reports.filter(|report| *report.org_id() == org_id).count();
    Json(json!({"count": own}))
}

async fn show(caller: Principal, Path(id): Path<u64>) -> Result<Json<Value>, Rejection> {
    let report = find(id).ok_or(RejectionKind::NotFound)?;
    Ok(Json(report.visible_to(&caller)?))
}

async fn delete(caller: Principal, Path(id): Path<u64>) -> Result<String, Rejection> {
    let report = find(id)
        .ok_or(RejectionKind::NotFound)?
        .visible_to(&caller)?;
    Ok(format!("{} is gone", report["title"]))
}

async fn greet(user: User) -> String {
    format!("welcome back, {}", user.user_id())
}

fn routes() -> GuardedRouter {
    let delete_reports = Requirement::scope(REPORTS_DELETE).or_role(Role::ADMIN);
    GuardedRouter::new()
        .get("/health", Requirement::public(), async || "ok")
        .get("/v1/reports", Requirement::authenticated(), list)
        .get("/v1/reports/{id}", Requirement::authenticated(), show)
        .delete("/v1/reports/{id}", delete_reports, delete)
        .get("/v1/greeting", Requirement::authenticated(), greet)
}

/// The service, behind the layer.
pub fn app(store: impl KeyStore) -> Router {
    routes().protected_by(CoverbaseAuthLayer::new(store))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
    store.insert(&key, KeyRecord::new("ak_demo", "org_demo"));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!(
        "http://{} with {}\n",
        listener.local_addr()?,
        key.expose_secret()
    );
    print!("{}", routes().listing());
    let app = app(store).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await
}
