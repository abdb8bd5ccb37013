//! TLS to the database, according to `sslmode` and `sslrootcert`.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;

/// Which certificates of the server are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any: `sslmode=prefer`. An attacker who can present a certificate can also claim that the server has no TLS, so that
    /// verification would only reject servers with self-signed certificates.
    Any,
    /// Certificates for the host's name by an authority of this PEM file, or of the operating system.
    Authorities(Option<PathBuf>),
}

impl Trust {
    /// # Errors
    ///
    /// If there are no usable certificates of authorities.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(Failure::new)?;
        let config = match self {
            Self::Any => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
            Self::Authorities(file) => config.with_root_certificates(roots(file.as_ref())?),
        };
        Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
    }
}

fn roots(file: Option<&PathBuf>) -> Result<RootCertStore, Failure> {
    let found = match file {
        Some(file) => rustls_native_certs::load_certs_from_paths(Some(file), None),
        None => rustls_native_certs::load_native_certs(),
    };
    let place = match file {
        Some(file) => format!("sslrootcert {}", file.display()),
        None => "the operating system (sslrootcert can name a file)".to_owned(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let reason = format!(
            "no authority's certificate in {place}: {}",
            errors.join("; ")
        );
        return Err(Failure::new(reason.trim_end_matches(": ")));
    }
    Ok(roots)
}

/// Accepts any certificate whose private key the server has.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
