//! Where the database is, and how to get through to it.

use std::{borrow::Cow, fmt, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Client, Config, Connection, Socket,
    config::{Host, SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{failure::Failure, tls::Trust};

/// From when on a connection whose packets nobody acknowledges is gone.
const SILENCE: Duration = Duration::from_secs(4);

/// How often a connection that nobody uses says so, lest something on its way forgets it.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What the client library keeps to where the URL says nothing.
const RARE_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database server as its URL describes it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    trust: Trust,
}

impl Server {
    /// `None` where the URL cannot be read. Why is not said: a part of it may be a part of the password.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return None;
        }
        let (url, tls) = split_tls(url)?;
        let mut config: Config = url.parse().ok()?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return None;
        }
        // A mode that was found by the client library alone was written in a way that must not decide about trust.
        let default = (SslMode::Prefer, Trust::Anybody);
        let (mode, trust) =
            tls.or_else(|| (config.get_ssl_mode() == default.0).then_some(default))?;
        config.ssl_mode(mode);
        // A standby lags behind: a revoked key would live on in it.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_keepalives_idle() == RARE_KEEPALIVE {
            config.keepalives_idle(KEEPALIVE);
        }
        if config.get_application_name().is_none() {
            config.application_name("coverbase-auth");
        }
        Some(Self { config, trust })
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// # Errors
    ///
    /// What is wrong with the authorities that `sslmode` asks for.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, Failure> {
        self.trust.connector().map_err(Failure::new)
    }

    /// A connection that no pool has.
    pub(super) async fn connect(
        &self,
        connector: &MakeRustlsConnect,
    ) -> Result<(Client, Wire), Failure> {
        Ok(self.config.connect(connector.clone()).await?)
    }
}

/// Hosts and ports.
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

/// Takes `sslmode` and `sslrootcert` out of the URL: the client library knows neither the latter nor that certificates are to
/// be verified. `require` verifies as `verify-full` does, since who can change what the database says can let anybody in; and
/// so does a URL that names authorities and no mode.
fn split_tls(url: &str) -> Option<(String, Option<(SslMode, Trust)>)> {
    let credentials = url.find('@').unwrap_or(0);
    let query = url
        .get(credentials..)?
        .find('?')
        .map(|start| credentials + start);
    let Some((base, query)) = query.and_then(|start| url.split_at_checked(start)) else {
        return Some((url.to_owned(), None));
    };
    let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
    for parameter in query.trim_start_matches('?').split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => {
                let file = percent_decode_str(value).decode_utf8().ok()?;
                authorities = Some(PathBuf::from(file.into_owned()));
            }
            _ => rest.push(parameter),
        }
    }
    let tls = match mode {
        None if authorities.is_none() => None,
        Some("disable") => Some((SslMode::Disable, Trust::Anybody)),
        Some("prefer") => Some((SslMode::Prefer, Trust::Anybody)),
        None | Some("require" | "verify-ca" | "verify-full") => {
            Some((SslMode::Require, Trust::Authorities(authorities)))
        }
        Some(_) => return None,
    };
    let rest = rest.join("&");
    let separator = if rest.is_empty() { "" } else { "?" };
    Some((format!("{base}{separator}{rest}"), tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIED: Trust = Trust::Authorities(None);

    #[test]
    fn no_spelling_of_sslmode_encrypts_without_verifying_or_downgrades() {
        for (query, expected) in [
            ("", Some((SslMode::Prefer, Trust::Anybody))),
            ("?sslmode=prefer", Some((SslMode::Prefer, Trust::Anybody))),
            ("?sslmode=disable", Some((SslMode::Disable, Trust::Anybody))),
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
    fn authorities_that_are_named_are_asked() {
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
    fn a_connection_is_kept_alive_as_often_as_the_url_says() {
        for (options, expected) in [("", KEEPALIVE), ("?keepalives_idle=90", 3 * KEEPALIVE)] {
            let server = Server::parse(&format!("postgres://db/keys{options}")).unwrap();
            assert_eq!(server.config.get_keepalives_idle(), expected);
        }
    }

    #[test]
    fn it_shows_where_and_not_as_whom() {
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
