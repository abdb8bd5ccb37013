//! Key sets over HTTPS.

use std::{error::Error, fmt, net::IpAddr};

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    Request, Response, StatusCode, Uri, header,
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{error::KeySetError, source::JwksSource, verification_keys::MAX_BYTES};
use crate::json::{self, Value};

const MAX_REDIRECTS: usize = 3;

const USER_AGENT: &str = concat!("coverbase-auth/", env!("CARGO_PKG_VERSION"));

/// Fetches a JWK Set over HTTPS, trusting the root certificates of the operating system.
///
/// Plain `http` is accepted on loopback only. At most three redirects are followed, and only to the same scheme, host and
/// port (T15). Proxies named by environment variables are not used: implement [`JwksSource`] where a proxy is required.
///
/// ```
/// use coverbase_auth::jwt::HttpsJwks;
///
/// let source = HttpsJwks::url("http://localhost:8080/jwks.json")?;
/// let provider = HttpsJwks::openid("http://localhost:8080")?;
/// assert!(HttpsJwks::url("http://clerk.example.com/jwks.json").is_err());
/// # let _ = (source, provider);
/// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
/// ```
pub struct HttpsJwks {
    /// The JWK Set, or the OpenID configuration of `openid_issuer`.
    url: Uri,
    openid_issuer: Option<String>,
    client: HttpsClient,
}

type BoxError = Box<dyn Error + Send + Sync>;

type HttpsClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

impl HttpsJwks {
    /// Fetches the set at `url`.
    ///
    /// # Errors
    ///
    /// If `url` is neither `https` nor `http` at `localhost`, 127.0.0.0/8 or `[::1]`; if it contains a user name or password;
    /// if it is `https` and the system has no root certificates.
    pub fn url(url: impl AsRef<str>) -> Result<Self, KeySetError> {
        let url = url.as_ref();
        Self::new(url, None).map_err(|error| error.at(url))
    }

    /// Fetches the set of the OpenID provider `issuer`, whose URL is in `/.well-known/openid-configuration` (OpenID Connect
    /// Discovery §4). The configuration is read anew at each fetch.
    ///
    /// Its `issuer` must equal `issuer` (§4.3). Its `jwks_uri` may name another host, as Google's does, and must be `https`
    /// unless `issuer` is on loopback.
    ///
    /// # Errors
    ///
    /// As [`url`](Self::url), for `issuer`.
    pub fn openid(issuer: impl Into<String>) -> Result<Self, KeySetError> {
        let issuer = issuer.into();
        let base = issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        Self::new(&url, Some(issuer.clone())).map_err(|error| error.at(issuer))
    }

    /// Trusts the root certificates in `pem` instead of the system's.
    ///
    /// # Errors
    ///
    /// If `pem` contains no certificate, or one that cannot be read.
    ///
    /// ```
    /// use coverbase_auth::jwt::HttpsJwks;
    ///
    /// # let source = HttpsJwks::url("http://localhost/jwks.json")?;
    /// let error = source.with_root_certificates("nothing").unwrap_err();
    /// assert_eq!(error.to_string(), "no root certificate in the given PEM");
    /// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
    /// ```
    pub fn with_root_certificates(self, pem: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_ref()) {
            certificate
                .map_err(BoxError::from)
                .and_then(|certificate| Ok(roots.add(certificate)?))
                .map_err(|error| {
                    KeySetError::new(format!("a root certificate cannot be used: {error}"))
                })?;
        }
        if roots.is_empty() {
            return Err(KeySetError::new("no root certificate in the given PEM"));
        }
        let client = client(Some(roots))?;
        Ok(Self { client, ..self })
    }

    fn new(url: &str, openid_issuer: Option<String>) -> Result<Self, KeySetError> {
        let url = permitted(url).map_err(KeySetError::new)?;
        // Without TLS no root certificates are needed.
        let roots = is_plain(&url).then(RootCertStore::empty);
        Ok(Self {
            url,
            openid_issuer,
            client: client(roots)?,
        })
    }

    async fn get(&self, url: &Uri) -> Result<Bytes, BoxError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = Request::get(&url)
                .header(header::ACCEPT, "application/json, application/jwk-set+json")
                .header(header::USER_AGENT, USER_AGENT)
                .body(Empty::new())?;
            let response = self.client.request(request).await?;
            match response.status() {
                StatusCode::OK => {
                    // A `Content-Length` proves nothing, so the bytes are counted.
                    let body = Limited::new(response.into_body(), MAX_BYTES);
                    return Ok(body.collect().await?.to_bytes());
                }
                status if status.is_redirection() => url = redirect_target(&url, &response)?,
                status => return Err(format!("the answer is {status}").into()),
            }
        }
        Err("more than 3 redirects".into())
    }

    /// Returns the `jwks_uri` of the OpenID configuration.
    async fn discover(&self, issuer: &str) -> Result<Uri, BoxError> {
        let document = self.get(&self.url).await?;
        let document = json::parse_object(&document)
            .map_err(|error| format!("the OpenID configuration is {error}"))?;
        let member = |name| document.get(name).and_then(Value::as_str);
        if member("issuer") != Some(issuer) {
            return Err("the OpenID configuration has another `issuer`".into());
        }
        let uri = member("jwks_uri").ok_or("the OpenID configuration has no `jwks_uri`")?;
        let uri = permitted(uri)?;
        if is_plain(&uri) && !is_plain(&self.url) {
            return Err("the `jwks_uri` is not `https`".into());
        }
        Ok(uri)
    }
}

#[async_trait]
impl JwksSource for HttpsJwks {
    async fn fetch(&self) -> Result<Bytes, BoxError> {
        match &self.openid_issuer {
            None => self.get(&self.url).await,
            Some(issuer) => self.get(&self.discover(issuer).await?).await,
        }
    }
}

/// Shows the URL.
impl fmt::Debug for HttpsJwks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpsJwks({})", self.url)
    }
}

/// `None`: the root certificates of the system, which follow its updates.
fn client(roots: Option<RootCertStore>) -> Result<HttpsClient, KeySetError> {
    // With a provider of its own: the process need not have a default one, and it may be any.
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| KeySetError::new(error.to_string()))?;
    let config = match roots {
        Some(roots) => config.with_root_certificates(roots),
        None => config.with_native_roots().map_err(|error| {
            KeySetError::new(format!(
                "the system has no root certificates ({error}): install `ca-certificates`, set SSL_CERT_FILE, or use \
                 `HttpsJwks::with_root_certificates`"
            ))
        })?,
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .build();
    // With one request in five minutes, a pooled connection would be half open at the next one.
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector))
}

/// Returns the target of a redirect, on the same server.
fn redirect_target<B>(from: &Uri, response: &Response<B>) -> Result<Uri, BoxError> {
    let location = response.headers().get(header::LOCATION);
    let location = location.ok_or("a redirect without a `Location`")?;
    let location = Uri::try_from(location.as_bytes())?;
    let is_foreign =
        |to: &Authority| to.as_str().contains('@') || origin(&location) != origin(from);
    if location.authority().is_some_and(is_foreign) {
        return Err("a redirect to another server".into());
    }
    let mut target = from.clone().into_parts();
    target.path_and_query = location.into_parts().path_and_query;
    Ok(Uri::from_parts(target)?)
}

fn origin(uri: &Uri) -> (Option<&Scheme>, Option<String>, u16) {
    let default = if is_plain(uri) { 80 } else { 443 };
    let host = uri.host().map(str::to_ascii_lowercase);
    (uri.scheme(), host, uri.port_u16().unwrap_or(default))
}

/// Reads a URL that may be fetched.
fn permitted(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err("not an absolute URL like `https://example.com/jwks.json`".into());
    };
    if authority.as_str().contains('@') {
        return Err("the URL contains a user name or password".into());
    }
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback(authority.host())) {
        Ok(uri)
    } else {
        Err("a key set is fetched over `https`; `http` is accepted on loopback only".into())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_plain(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTP)
}
