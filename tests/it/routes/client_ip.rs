//! `GET /v1/whoami/ip` (`C24`–`C26`, `C37`).

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use coverbase_auth::{ClientIpSource, PeerAddr};
use http::StatusCode;
use serde_json::json;

use super::{ask, request};
use crate::service::Service;

// C37, C24–C26
#[tokio::test]
async fn whoami_returns_the_address_that_the_allowlist_checks() {
    for (source, peer, forwarded, expected) in [
        (ClientIpSource::peer(), None, None, None),
        (ClientIpSource::peer(), None, Some("203.0.113.42"), None),
        (
            ClientIpSource::peer(),
            Some("203.0.113.42:9"),
            Some("192.0.2.66"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::peer(),
            Some("[::ffff:203.0.113.42]:9"),
            None,
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::peer(),
            Some("[2001:db8:0:0::1]:9"),
            None,
            Some("2001:db8::1"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("192.0.2.66, 203.0.113.42"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("::ffff:203.0.113.42"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            None,
            None,
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("010.0.0.1"),
            None,
        ),
    ] {
        let service = Service::new().with_client_ip(source);
        let key = service.key(&[]);
        let app = service.app();
        let ask_from = async |path| {
            let mut request = request(&key, "GET", path, "");
            if let Some(peer) = peer {
                let peer = PeerAddr::new(peer.parse::<SocketAddr>().unwrap());
                request.extensions_mut().insert(peer);
            }
            if let Some(forwarded) = forwarded {
                let value = forwarded.parse().unwrap();
                request.headers_mut().insert("x-forwarded-for", value);
            }
            ask(app.clone(), request).await
        };
        let answer = ask_from("/v1/whoami/ip").await;
        answer.assert_is(200, &json!({ "client_ip": expected }).to_string());

        // An allowlist of exactly this address admits the request.
        let allowed = expected.unwrap_or("203.0.113.42");
        let body = json!({"api_ip_allowlist": [allowed]}).to_string();
        let admin = service.admin_session();
        let set = service.post(&admin, "/v1/org/org_acme", body).await;
        assert_eq!(set.status, StatusCode::OK);
        let status = ask_from("/v1/utils/authtest").await.status.as_u16();
        assert_eq!(status, if expected.is_some() { 200 } else { 403 });
    }
}

// C37
#[tokio::test]
async fn whoami_reads_the_peer_from_connect_info() {
    let service = Service::new();
    let mut request = request(&service.key(&[]), "GET", "/v1/whoami/ip", "");
    let peer = ConnectInfo(SocketAddr::from(([203, 0, 113, 42], 9)));
    request.extensions_mut().insert(peer);
    let answer = ask(service.app(), request).await;
    answer.assert_is(200, r#"{"client_ip":"203.0.113.42"}"#);
}
