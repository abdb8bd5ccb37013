//! Hears the changes that other instances make.
//!
//! A lost notification leaves no trace. So one connection only listens, and is tested every second. While it fails, caches are
//! bypassed; when it works again, they begin empty.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client};
use tracing::{info, warn};

use super::{
    database::Database,
    failure::{Failure, in_time},
    server::{Connector, Wire},
};
use crate::{
    backoff::Backoff,
    credential::KeyDigest,
    key_store::{Invalidation, Invalidations},
};

const TARGET: &str = "coverbase_auth";

/// A dead connection must be noticed within five seconds. The interval and the time-out of a heartbeat add up to three.
const HEARTBEAT: Duration = Duration::from_secs(1);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Listener {
    pub(super) connector: Connector,
    pub(super) channel: String,
    pub(super) invalidations: Invalidations,
    pub(super) database: Arc<Database>,
}

/// A connection on which `LISTEN` has been acknowledged.
pub(super) type Session = (Client, Wire);

impl Listener {
    pub(super) async fn open(&self) -> Result<Session, Failure> {
        let session = async {
            let (client, mut wire) = self.connector.connect().await?;
            let listen = format!("LISTEN {}", self.channel);
            let listen = async { Ok(client.batch_execute(&listen).await?) };
            self.while_hearing(&mut wire, listen).await?;
            Ok((client, wire))
        };
        in_time(CONNECT_TIMEOUT, session).await
    }

    /// Listens on `session`, and whenever a session fails, on the next. Never returns.
    pub(super) async fn run(self: Arc<Self>, mut session: Session) {
        loop {
            let Err(failure) = self.attend(session).await;
            self.invalidations.publish(&Invalidation::Lost);
            warn!(
                target: TARGET,
                reason = failure.reason,
                "cannot hear the changes of other instances: caches are bypassed"
            );
            // The pool's connections lead to the same server, and may be dead as well.
            self.database.close_idle();
            session = self.reopen().await;
            self.database.close_idle();
            self.invalidations.publish(&Invalidation::Resumed);
            info!(target: TARGET, "hearing the changes of other instances again");
        }
    }

    /// Returns the first session of repeated attempts. They overlap: after a network failure a new attempt succeeds at once, and
    /// one from before the failure ended may hang until its time-out.
    async fn reopen(self: &Arc<Self>) -> Session {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        let mut attempts = JoinSet::new();
        loop {
            let listener = Arc::clone(self);
            attempts.spawn(async move { listener.open().await });
            let first = timeout(backoff.delay(), async {
                loop {
                    match attempts.join_next().await {
                        Some(Ok(Ok(session))) => return session,
                        Some(_failed) => {}
                        None => pending().await,
                    }
                }
            });
            if let Ok(session) = first.await {
                return session;
            }
        }
    }

    async fn attend(&self, (client, mut wire): Session) -> Result<Infallible, Failure> {
        let heartbeat = async {
            loop {
                sleep(HEARTBEAT).await;
                let answer = async { Ok(client.batch_execute("").await?) };
                in_time(HEARTBEAT_TIMEOUT, answer).await?;
            }
        };
        self.while_hearing(&mut wire, heartbeat).await
    }

    /// Publishes notifications until `task` is done. Polling `wire` also delivers the answers that `task` waits for.
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

/// Parses the digest of a key, the id of an organization, or `*` for everything. Any client of the database can send any
/// payload; every other one is ignored (T17).
fn parse(payload: &str) -> Option<Invalidation> {
    match payload.split_once(':') {
        Some(("k", hex)) => {
            let mut digest = [0; 32];
            hex::decode_to_slice(hex, &mut digest).ok()?;
            Some(Invalidation::Key(KeyDigest::from_bytes(digest)))
        }
        Some(("o", org_id)) => Some(Invalidation::Organization(org_id.into())),
        None if payload == "*" => Some(Invalidation::Resumed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn payload_is_parsed_into_an_invalidation() {
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
    fn unknown_payload_is_ignored() {
        let long = "a".repeat(7999);
        for odd in ["", "k", "k:", "k:zz", "x:org", "**", "k:+f", &long, "lost"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(parse(&format!("k:{}", "+f".repeat(32))), None);
        assert_eq!(parse(&format!("k:{}", "é".repeat(32))), None);
        assert_eq!(parse(&format!("k:{}", "a".repeat(65))), None);
    }

    proptest! {
        // T17: no payload can stop the caches.
        #[test]
        fn payload_is_never_parsed_as_lost(payload in ".{0,80}|[ko]:.{0,80}|k:[0-9a-fA-F]{60,66}") {
            prop_assert_ne!(parse(&payload), Some(Invalidation::Lost));
        }
    }
}
