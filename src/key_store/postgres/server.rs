//! The address of the database, and how connections to it are made.

use std::{borrow::Cow, fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Client, Config, Connection, Socket,
    config::{Host, SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{failure::Failure, tls::Trust};

/// Options that the URL can overrule. The operating system closes a connection whose data is not acknowledged for 4 seconds;
/// keepalives after 30 idle seconds prevent firewalls from forgetting it.
const DEFAULTS: &str = "tcp_user_timeout=4&keepalives_idle=30&application_name=coverbase-auth";

pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database server, as its URL describes it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    trust: Trust,
}

/// A server whose certificates of authorities have been read.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Server {
    /// Returns `None` if the URL cannot be parsed. An error would say more, but might quote a part of the password.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return None;
        }
        let (url, tls) = split_tls(url)?;
        let mut config: Config = url.parse().ok()?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return None;
        }
        // A mode that only tokio-postgres has found is spelled in a way that must not decide about trust.
        let (mode, trust) = match tls {
            None if config.get_ssl_mode() != SslMode::Prefer => return None,
            tls => tls.unwrap_or((SslMode::Prefer, Trust::Any)),
        };
        config.ssl_mode(mode);
        // A standby lags behind, so a revoked key would still be valid there.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Some(Self { config, trust })
    }

    /// # Errors
    ///
    /// If the certificates of authorities that `sslmode` needs cannot be read.
    pub(super) fn connector(&self) -> Result<Connector, Failure> {
        Ok(Connector {
            config: self.config.clone(),
            tls: self.trust.connector()?,
        })
    }
}

impl Connector {
    pub(super) async fn connect(&self) -> Result<(Client, Wire), Failure> {
        Ok(self.config.connect(self.tls.clone()).await?)
    }
}

/// Writes hosts and ports only.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => Cow::Borrowed(name.as_str()),
            Host::Unix(path) => path.to_string_lossy(),
        });
        let addresses = self.config.get_hostaddrs().iter();
        let addresses = addresses.map(|address| Cow::Owned(address.to_string()));
        let ports = self.config.get_ports();
        for (position, host) in hosts.chain(addresses).enumerate() {
            let port = ports.get(position).or_else(|| ports.first());
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{host}:{}", port.unwrap_or(&5432))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

/// Adds the default options to the URL, and removes `sslmode` and `sslrootcert`, because tokio-postgres does not support `sslrootcert` and the modes that
/// verify. `require` verifies as `verify-full` does, because an attacker who can change answers of the database can admit any
/// key; so does a URL with authorities and without a mode.
fn split_tls(url: &str) -> Option<(String, Option<(SslMode, Trust)>)> {
    let (base, query) = url.rsplit_once('?').unwrap_or((url, ""));
    let (mut mode, mut authorities, mut rest) = (None, None, vec![DEFAULTS]);
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => {
                let file = percent_decode_str(value).decode_utf8().ok()?;
                authorities = Some(PathBuf::from(file.into_owned()));
            }
            None if parameter.is_empty() => {}
            _ => rest.push(parameter),
        }
    }
    let tls = match mode {
        None if authorities.is_none() => None,
        Some("disable") => Some((SslMode::Disable, Trust::Any)),
        Some("prefer") => Some((SslMode::Prefer, Trust::Any)),
        None | Some("require" | "verify-ca" | "verify-full") => {
            Some((SslMode::Require, Trust::Authorities(authorities)))
        }
        Some(_) => return None,
    };
    Some((format!("{base}?{}", rest.join("&")), tls))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const VERIFIED: Trust = Trust::Authorities(None);

    #[test]
    fn sslmode_in_any_spelling_never_skips_verification_or_downgrades() {
        for (query, expected) in [
            ("", Some((SslMode::Prefer, Trust::Any))),
            ("?sslmode=prefer", Some((SslMode::Prefer, Trust::Any))),
            ("?sslmode=disable", Some((SslMode::Disable, Trust::Any))),
            ("?sslmode=require", Some((SslMode::Require, VERIFIED))),
            ("?sslmode=verify-ca", Some((SslMode::Require, VERIFIED))),
            (
                "?application_name=a&sslmode=verify-full",
                Some((SslMode::Require, VERIFIED)),
            ),
            (
                "?sslmode=disable&sslmode=require",
                Some((SslMode::Require, VERIFIED)),
            ),
            (
                "?sslmode=require&ssl%6dode=disable",
                Some((SslMode::Require, VERIFIED)),
            ),
            ("?ssl%6dode=require", None),
            ("?ssl%6dode=disable", None),
            ("?sslmode=allow", None),
            ("?sslmode=", None),
            ("?sslmode=REQUIRE", None),
        ] {
            for authority in ["db", "user@db", "user:a%3Fb@db:5433", "user:a?b@db"] {
                let server = Server::parse(&format!("postgres://{authority}/keys{query}"));
                let found = server.map(|server| (server.config.get_ssl_mode(), server.trust));
                assert_eq!(found, expected, "{authority} {query}");
            }
        }
        assert!(Server::parse("host=db sslmode=require").is_none());
    }

    #[test]
    fn sslrootcert_replaces_the_authorities_of_the_system() {
        let roots = Some(PathBuf::from("/etc/a b.pem"));
        for query in [
            "sslrootcert=%2Fetc%2Fa%20b.pem",
            "sslrootcert=/etc/a b.pem&sslmode=require",
        ] {
            let server = Server::parse(&format!("postgres://db/keys?{query}")).unwrap();
            assert_eq!(server.config.get_ssl_mode(), SslMode::Require);
            assert_eq!(server.trust, Trust::Authorities(roots.clone()));
        }
    }

    #[test]
    fn option_of_the_url_replaces_its_default() {
        let seconds = Duration::from_secs;
        for (url, user_timeout, idle, name) in [
            ("postgres://db", 4, 30, "coverbase-auth"),
            ("postgres://db/keys", 4, 30, "coverbase-auth"),
            ("postgresql://user:a%3Fb@db/keys?", 4, 30, "coverbase-auth"),
            (
                "postgres://db/keys?keepalives_idle=7200",
                4,
                7200,
                "coverbase-auth",
            ),
            (
                "postgres://db?tcp_user_timeout=9&application_name=a%26b",
                9,
                30,
                "a&b",
            ),
        ] {
            let config = Server::parse(url).unwrap().config;
            assert_eq!(
                config.get_tcp_user_timeout(),
                Some(&seconds(user_timeout)),
                "{url}"
            );
            assert_eq!(config.get_keepalives_idle(), seconds(idle), "{url}");
            assert_eq!(config.get_application_name(), Some(name), "{url}");
            assert_eq!(
                config.get_target_session_attrs(),
                TargetSessionAttrs::ReadWrite
            );
        }
    }

    #[test]
    fn debug_output_has_hosts_and_no_credentials() {
        let server =
            Server::parse("postgres://user:hunter2@one:1,%2Frun:2/keys?hostaddr=10.0.0.1,10.0.0.2");
        let shown = format!("{:?}", server.unwrap());
        assert!(shown.contains("one:1, /run:2"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("user"),
            "{shown}"
        );
    }
}
