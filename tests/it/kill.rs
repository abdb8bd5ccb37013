//! Kills the service during its work, many times (T21): every rotation is complete or has not happened, and every change
//! that was answered is stored.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use coverbase_auth::testing::TestIssuer;
use serde_json::{Value, json};

use crate::program::{Server, get, post, scratch};

/// The number of kills, unless `COVERBASE_KILLS` sets another.
const KILLS: usize = 200;

/// The names of keys that are rotated continuously, each by its own thread.
const CHAINS: [&str; 3] = ["red", "green", "blue"];

#[test]
fn kill_on_redb_leaves_rotations_whole_and_loses_no_answered_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    survives_kills(&format!("redb://{}", path.display()));
}

/// Repeatedly kills the service on this store and checks what it left.
pub(crate) fn survives_kills(store: &str) {
    let kills = std::env::var("COVERBASE_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().unwrap());
    let issuer = TestIssuer::new("https://clerk.example.test");
    let jwks = scratch("jwks.json");
    fs::write(&jwks, issuer.jwks_json()).unwrap();
    let flags = ["--store", store, "--jwks", jwks.to_str().unwrap()];
    let flags = [&flags[..], &["--issuer", issuer.issuer()]].concat();

    let (begun, mut rotations) = (Instant::now(), 0);
    let mut answered = Answered::default();
    for kill in 0..=kills {
        let mut server = Server::start(&flags);
        // A new organization every 20 kills keeps the list of keys short.
        let org_id = format!("org_{}", kill / 20);
        let client = Client {
            address: server.address,
            token: issuer.token().with_org(&org_id).sign(),
        };
        if kill % 20 == 0 {
            answered = Answered::default();
            answered
                .keys
                .extend(CHAINS.map(|chain| client.create(chain).unwrap()));
        }
        let live = answered.check(&client);
        let moment = Duration::from_millis(10 + 13 * (kill as u64 % 7));
        let work = work_until_killed(&mut server, &client, &live, moment);
        rotations += work.rotated_away.len();
        answered.add(work);
    }
    let took = begun.elapsed();
    println!("{kills} kills, {rotations} answered rotations, {took:?}");
    assert!(rotations > kills, "the kills came during rotations");
    fs::remove_file(jwks).unwrap();
}

struct Client {
    address: SocketAddr,
    token: String,
}

/// A key from an answer.
struct Key {
    id: String,
    secret: String,
}

impl Client {
    fn create(&self, name: &str) -> Option<Key> {
        self.key_of("/v1/api-keys", &json!({"name": name}).to_string())
    }

    fn rotate(&self, id: &str) -> Option<Key> {
        self.key_of(&format!("/v1/api-keys/{id}/rotate"), "")
    }

    /// Returns `None` if the service was killed before the answer.
    fn key_of(&self, path: &str, body: &str) -> Option<Key> {
        let (status, key) = post(self.address, path, &self.token, body)?;
        assert!(matches!(status, 200 | 201), "{status} {key}");
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Some(Key {
            id: text("id"),
            secret: text("secret"),
        })
    }

    fn list(&self) -> Vec<Value> {
        let (status, list) = get(self.address, "/v1/api-keys", &self.token, "");
        assert_eq!(status, 200, "{list}");
        list["data"].as_array().unwrap().clone()
    }

    fn accepts(&self, secret: &str) -> bool {
        match get(self.address, "/v1/utils/authtest", secret, "").0 {
            200 => true,
            401 => false,
            status => panic!("{status}"),
        }
    }
}

/// The changes that the service has answered and must keep.
#[derive(Default)]
struct Answered {
    keys: Vec<Key>,
    rotated_away: HashSet<String>,
}

impl Answered {
    /// Checks the stored keys and returns the id of the live key of each chain.
    fn check(&mut self, client: &Client) -> Vec<String> {
        let list = client.list();
        let mut revoked = HashMap::new();
        for key in &list {
            revoked.insert(key["id"].as_str().unwrap(), key["revoked"] == true);
        }
        for Key { id, secret } in &self.keys {
            let revoked = revoked.get(&**id).expect("an answered key is lost");
            assert_eq!(client.accepts(secret), !revoked, "{id}");
        }
        for id in &self.rotated_away {
            assert!(revoked[&**id], "the rotation of {id} was answered");
        }
        // Revoked keys need no further check.
        self.keys.retain(|key| !revoked[&*key.id]);
        CHAINS
            .iter()
            .map(|chain| {
                let of_chain = list.iter().filter(|key| {
                    let name = key["name"].as_str().unwrap();
                    name.starts_with(chain) && key["revoked"] == false
                });
                let live: Vec<_> = of_chain.map(|key| key["id"].as_str().unwrap()).collect();
                assert_eq!(live.len(), 1, "exactly one live key: {chain}");
                live[0].to_owned()
            })
            .collect()
    }

    fn add(&mut self, work: Self) {
        self.keys.extend(work.keys);
        self.rotated_away.extend(work.rotated_away);
    }
}

/// Rotates each chain and creates keys, until the service is killed after `moment`.
fn work_until_killed(
    server: &mut Server,
    client: &Client,
    live: &[String],
    moment: Duration,
) -> Answered {
    let create = || {
        let keys = std::iter::from_fn(|| client.create("plain"));
        Answered {
            keys: keys.collect(),
            ..Answered::default()
        }
    };
    let rotate = |first: &str| {
        let (mut work, mut id) = (Answered::default(), first.to_owned());
        while let Some(key) = client.rotate(&id) {
            work.rotated_away.insert(id);
            id = key.id.clone();
            work.keys.push(key);
        }
        work
    };
    thread::scope(|scope| {
        let rotate = &rotate;
        let chains = live.iter().map(|id| scope.spawn(move || rotate(id)));
        let threads: Vec<_> = chains.chain([scope.spawn(create)]).collect();
        thread::sleep(moment);
        server.kill();
        let mut all = Answered::default();
        for thread in threads {
            all.add(thread.join().unwrap());
        }
        all
    })
}
