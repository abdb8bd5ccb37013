//! Hearing of what other instances change.
//!
//! A `NOTIFY` that is lost is lost silently, so one connection does nothing but listen, and is asked every second whether it
//! still does. While it does not, caches are bypassed; when it does again, they begin anew.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{info, warn};

use super::{
    backoff::Backoff,
    connections::Connections,
    failure::Failure,
    server::{Server, Wire},
};
use crate::{
    credential::KeyDigest,
    key_store::{Invalidation, Invalidations},
};

const TARGET: &str = "coverbase_auth";

/// Two of them and an answer that does not come are less than the five seconds in which a dead connection is found.
const HEARTBEAT: Duration = Duration::from_secs(1);
const HEARTBEAT_ANSWER: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    pub(super) server: Server,
    pub(super) connector: MakeRustlsConnect,
    pub(super) channel: String,
    pub(super) invalidations: Invalidations,
    pub(super) connections: Arc<Connections>,
}

/// A connection on which `LISTEN` has been acknowledged.
pub(super) struct Session {
    client: Client,
    wire: Wire,
}

impl Listener {
    pub(super) async fn open(&self) -> Result<Session, Failure> {
        let session = async {
            let began_at = Instant::now();
            let (client, mut wire) = self.server.connect(&self.connector).await?;
            self.connections.connected_in(began_at.elapsed());
            let listen = format!("LISTEN {}", self.channel);
            let listen = async { Ok(client.batch_execute(&listen).await?) };
            self.while_hearing(&mut wire, listen).await?;
            Ok(Session { client, wire })
        };
        let session = timeout(CONNECT, session).await;
        session.unwrap_or_else(|_elapsed| Err(Failure::no_answer()))
    }

    /// Listens for ever: on `session`, and whenever one is lost on the next.
    pub(super) async fn run(self, mut session: Session) {
        loop {
            let Err(failure) = self.attend(session).await;
            self.invalidations.publish(&Invalidation::Lost);
            warn!(
                target: TARGET,
                reason = failure.reason(),
                "changes of other instances go unheard: caches are bypassed"
            );
            // They lead to the same server, and may be as dead without knowing it.
            self.connections.retire_idle(Instant::now());
            session = self.reopen().await;
            self.connections.retire_idle(Instant::now());
            self.invalidations.publish(&Invalidation::Resumed);
            info!(target: TARGET, "changes of other instances are heard again");
        }
    }

    async fn reopen(&self) -> Session {
        let mut backoff = Backoff::new();
        loop {
            let attempt = async {
                let session = self.open().await;
                if session.is_err() {
                    sleep(backoff.delay()).await;
                }
                session
            };
            tokio::select! {
                biased;
                session = attempt => if let Ok(session) = session {
                    return session;
                },
                () = self.connections.silence_broken() => {}
            }
        }
    }

    async fn attend(&self, session: Session) -> Result<Infallible, Failure> {
        let Session { client, mut wire } = session;
        let heartbeat = async {
            loop {
                sleep(HEARTBEAT).await;
                let answer = timeout(HEARTBEAT_ANSWER, client.batch_execute(""));
                answer.await.map_err(|_elapsed| Failure::no_answer())??;
            }
        };
        self.while_hearing(&mut wire, heartbeat).await
    }

    /// Hears until `task` is done. The wire is what carries the task's own answers, too.
    async fn while_hearing<T>(
        &self,
        wire: &mut Wire,
        task: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            lost = self.hear(wire) => match lost? {},
            done = task => done,
        }
    }

    async fn hear(&self, wire: &mut Wire) -> Result<Infallible, Failure> {
        while let Some(message) = poll_fn(|cx| wire.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message?
                && let Some(invalidation) = parse(notification.payload())
            {
                self.invalidations.publish(&invalidation);
            }
        }
        Err(Failure::new("the server has closed the connection"))
    }
}

/// A key's digest, an organization's id, or everything. Whoever may log in to the database can send any of them, and anything
/// else, which says nothing (T17).
fn parse(payload: &str) -> Option<Invalidation> {
    match payload.split_once(':') {
        Some(("k", digest)) => Some(Invalidation::Key(parse_digest(digest)?)),
        Some(("o", org_id)) => Some(Invalidation::Organization(org_id.into())),
        None if payload == "*" => Some(Invalidation::Resumed),
        _ => None,
    }
}

fn parse_digest(hex: &str) -> Option<KeyDigest> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        let [high, low] = digits else { return None };
        *byte = u8::try_from(value(*high)? << 4 | value(*low)?).ok()?;
    }
    Some(KeyDigest::from_bytes(digest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_names_what_has_changed() {
        let digest = format!("k:00ff{}", "a1".repeat(30));
        let mut expected = [0xa1; 32];
        expected[..2].copy_from_slice(&[0, 0xff]);
        let expected = KeyDigest::from_bytes(expected);
        assert_eq!(parse(&digest), Some(Invalidation::Key(expected)));
        assert_eq!(
            parse("o:org:a"),
            Some(Invalidation::Organization("org:a".into()))
        );
        assert_eq!(parse("*"), Some(Invalidation::Resumed));
    }

    // T17
    #[test]
    fn what_is_not_a_payload_of_ours_says_nothing() {
        let long = "a".repeat(7999);
        for odd in ["", "k", "k:", "k:zz", "x:org", "**", "k:+f", &long, "lost"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(parse(&format!("k:{}", "+f".repeat(32))), None);
        assert_eq!(parse(&format!("k:{}", "é".repeat(32))), None);
        assert_eq!(parse(&format!("k:{}", "a".repeat(65))), None);
    }

    proptest! {
        // T17: nothing that is sent makes a cache believe more than before.
        #[test]
        fn no_payload_loses_the_way(payload in ".{0,80}|[ko]:.{0,80}|k:[0-9a-fA-F]{60,66}") {
            prop_assert_ne!(parse(&payload), Some(Invalidation::Lost));
        }
    }
}
