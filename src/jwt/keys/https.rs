//! Key sets over HTTPS.

use std::{fmt, net::IpAddr};

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    Request, Response, StatusCode, Uri, header,
    uri::{PathAndQuery, Scheme},
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

use crate::{
    json::{self, Value},
    jwt::keys::{
        source::{FetchError, JwksSource},
        verification_keys::{Fault, KeySetError, MAX_BYTES},
    },
};

/// How often a server may send the fetch on, to another path of its own.
const MAX_REDIRECTS: usize = 3;

const USER_AGENT: &str = concat!("coverbase-auth/", env!("CARGO_PKG_VERSION"));

/// Fetches a JWK Set over HTTPS, with the roots of trust that the operating system has.
///
/// Plain `http` is for loopback alone. A redirect is followed to the same scheme, host and port, three times at most; it
/// never leads to another server (T15). Proxies named by the environment are not used: bring a
/// [`JwksSource`] of your own where there is no other way out.
///
/// ```
/// use coverbase_auth::jwt::HttpsJwks;
///
/// let source = HttpsJwks::url("http://localhost:8080/jwks.json")?;
/// let provider = HttpsJwks::openid("http://localhost:8080")?;
/// assert!(HttpsJwks::url("http://clerk.example.com/jwks.json").is_err(), "whoever is on the way could change it");
/// # let _ = (source, provider);
/// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
/// ```
pub struct HttpsJwks {
    address: Address,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

enum Address {
    Set(Uri),
    OpenId { issuer: String, configuration: Uri },
}

impl HttpsJwks {
    /// The set at this address.
    ///
    /// # Errors
    ///
    /// When it is not an address of `https`, or of `http` at `localhost`, 127.0.0.0/8 or `[::1]`; when a user name or a
    /// password stands in it; when it is `https` and the system has no root certificates.
    pub fn url(url: impl AsRef<str>) -> Result<Self, KeySetError> {
        let url = url.as_ref();
        let uri = permitted(url).map_err(|error| setup(error).at(url))?;
        Self::new(Address::Set(uri))
    }

    /// The set of the OpenID provider of this name, whose `/.well-known/openid-configuration` tells the address (OpenID
    /// Connect Discovery §4), anew at each fetch.
    ///
    /// The document's `issuer` must be `issuer` to the byte (§4.3). Its `jwks_uri` may be at another host, as it is for
    /// Google: whoever can forge the document could as well forge the keys. It must be `https` too, unless `issuer`
    /// is itself on loopback.
    ///
    /// # Errors
    ///
    /// As [`url`](Self::url), of `issuer`.
    pub fn openid(issuer: impl Into<String>) -> Result<Self, KeySetError> {
        let issuer = issuer.into();
        let configuration = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let configuration = permitted(&configuration).map_err(|error| setup(error).at(&issuer))?;
        Self::new(Address::OpenId {
            issuer,
            configuration,
        })
    }

    /// Trusts these root certificates, in PEM, and not the system's: for an issuer whose certificate is of one's own
    /// making.
    ///
    /// # Errors
    ///
    /// When there is no certificate in `pem`, or one that cannot be read.
    ///
    /// ```
    /// use coverbase_auth::jwt::HttpsJwks;
    ///
    /// # let source = HttpsJwks::url("http://localhost/jwks.json")?;
    /// let error = source.with_root_certificates("nothing").unwrap_err();
    /// assert_eq!(error.to_string(), "no root certificate in the PEM that was given");
    /// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
    /// ```
    pub fn with_root_certificates(self, pem: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_ref()) {
            let certificate = certificate
                .map_err(|error| setup(format!("a root certificate cannot be read: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| setup(format!("a root certificate cannot be used: {error}")))?;
        }
        if roots.is_empty() {
            return Err(setup("no root certificate in the PEM that was given"));
        }
        Ok(Self {
            client: client(Some(roots))?,
            ..self
        })
    }

    fn new(address: Address) -> Result<Self, KeySetError> {
        // On loopback without TLS a system without root certificates is good enough.
        let client = match client(None) {
            Err(_) if is_plain(address.first()) => client(Some(RootCertStore::empty())),
            client => client,
        };
        Ok(Self {
            address,
            client: client?,
        })
    }

    /// Reads one document, wherever on its server it is.
    async fn get(&self, address: &Uri) -> Result<Bytes, FetchError> {
        let mut address = address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.request(request(&address)).await;
            let response = response.map_err(FetchError::new)?;
            match response.status() {
                StatusCode::OK => return read(response.into_body()).await,
                status if status.is_redirection() => address = target(&address, &response)?,
                status => return Err(FetchError::new(format!("the answer is {status}"))),
            }
        }
        Err(FetchError::new("more than 3 redirects"))
    }

    async fn discover(&self, issuer: &str, configuration: &Uri) -> Result<Uri, FetchError> {
        let document = self.get(configuration).await?;
        let document = json::parse_object(&document)
            .map_err(|error| FetchError::new(format!("the OpenID configuration is {error}")))?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(FetchError::new(
                "the OpenID configuration is another issuer's",
            ));
        }
        let jwks_uri = document.get("jwks_uri").and_then(Value::as_str);
        let jwks_uri = jwks_uri
            .ok_or_else(|| FetchError::new("the OpenID configuration has no `jwks_uri`"))?;
        let jwks_uri = permitted(jwks_uri).map_err(FetchError::new)?;
        if is_plain(&jwks_uri) && !is_plain(configuration) {
            return Err(FetchError::new("the `jwks_uri` is not `https`"));
        }
        Ok(jwks_uri)
    }
}

#[async_trait]
impl JwksSource for HttpsJwks {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        match &self.address {
            Address::Set(address) => self.get(address).await,
            Address::OpenId {
                issuer,
                configuration,
            } => {
                let address = self.discover(issuer, configuration).await?;
                self.get(&address).await
            }
        }
    }
}

/// The address that it was made for, as the log shows it.
impl fmt::Debug for HttpsJwks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpsJwks({})", self.address.first())
    }
}

impl Address {
    fn first(&self) -> &Uri {
        match self {
            Self::Set(uri) => uri,
            Self::OpenId { configuration, .. } => configuration,
        }
    }
}

/// `None`: the roots of the system. They follow its updates and its owner's decisions, where a list compiled in stays as
/// old as the binary.
fn client(
    roots: Option<RootCertStore>,
) -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, KeySetError> {
    // A provider of its own: which one the process has for its default, and whether it has one, is the service's affair.
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?;
    let config = match roots {
        Some(roots) => config.with_root_certificates(roots),
        None => config.with_native_roots().map_err(|error| {
            setup(format!(
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
    // One request in five minutes: a connection that is kept would be half open by then.
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector))
}

fn request(address: &Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = address.clone();
    let headers = request.headers_mut();
    let accept = "application/json, application/jwk-set+json";
    headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
    headers.insert(
        header::USER_AGENT,
        header::HeaderValue::from_static(USER_AGENT),
    );
    request
}

/// Counts what it reads: a length that a header claims is only a claim.
async fn read(
    body: impl http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
) -> Result<Bytes, FetchError> {
    let body = Limited::new(body, MAX_BYTES).collect().await;
    Ok(body.map_err(FetchError::new)?.to_bytes())
}

/// Where a redirect leads, on the same server.
fn target<B>(from: &Uri, response: &Response<B>) -> Result<Uri, FetchError> {
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| FetchError::new("a redirect without a `Location`"))?;
    if location.starts_with('/') && !location.starts_with("//") {
        let mut parts = from.clone().into_parts();
        let path = location.parse::<PathAndQuery>();
        parts.path_and_query = Some(path.map_err(FetchError::new)?);
        return Uri::from_parts(parts).map_err(FetchError::new);
    }
    let target = permitted(location).map_err(FetchError::new)?;
    if origin(&target) == origin(from) {
        Ok(target)
    } else {
        Err(FetchError::new("a redirect to another server"))
    }
}

fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let default = if is_plain(uri) { 80 } else { 443 };
    (
        uri.scheme_str(),
        uri.host().map(str::to_ascii_lowercase),
        uri.port_u16().or(Some(default)),
    )
}

/// An address that may be asked.
fn permitted(url: &str) -> Result<Uri, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("not an address: {error}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err("not a whole address, as `https://example.com/jwks.json` is".into());
    };
    if authority.as_str().contains('@') {
        return Err("a user name or a password stands in the address".into());
    }
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback(authority.host())) {
        Ok(uri)
    } else {
        Err("a key set is fetched over `https`: `http` is for loopback alone".into())
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

fn setup(reason: impl Into<String>) -> KeySetError {
    Fault::Setup(reason.into()).into()
}
