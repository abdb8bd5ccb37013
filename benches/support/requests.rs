//! Requests as a server reads them: three headers and the credential, and the peer address in the extensions.

use coverbase_auth::{ApiKey, PeerAddr};
use http::{
    HeaderValue, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT},
};

pub(crate) const PATH: &str = "/v1/reports";

/// Returns the key with this number. It is as long as a generated key and the same in every run.
pub(crate) fn key(number: u64) -> ApiKey {
    format!("ak_live_{number:047}").parse().expect("a key")
}

pub(crate) fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a header value")
}

pub(crate) fn request(credential: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(credential) = credential {
        // The clone shares the bytes, as the header values of a server share its read buffer.
        headers.insert(AUTHORIZATION, credential.clone());
    }
    let peer = PeerAddr::new(([10, 0, 0, 9], 443));
    request.extensions_mut().insert(peer);
    request
}

pub(crate) fn presenting(token: &str) -> Request<()> {
    request(Some(&bearer(token)))
}

pub(crate) fn with_key(number: u64) -> Request<()> {
    presenting(key(number).expose_secret())
}

/// Returns a source of requests that present the credentials in turn, without end.
pub(crate) fn in_turn(credentials: Vec<HeaderValue>) -> impl FnMut() -> Request<()> {
    let mut turn = (0..credentials.len()).cycle();
    move || request(turn.next().and_then(|turn| credentials.get(turn)))
}

/// Returns a source of requests that all present `token`.
pub(crate) fn always(token: &str) -> impl FnMut() -> Request<()> + use<> {
    in_turn(vec![bearer(token)])
}

/// Returns a source of requests that present the keys 0 to `keys` in turn.
pub(crate) fn hot_set(keys: u64) -> impl FnMut() -> Request<()> {
    let credentials = (0..keys).map(|number| bearer(key(number).expose_secret()));
    in_turn(credentials.collect())
}
