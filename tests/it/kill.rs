//! The service is killed in the middle of its work, over and over (T21): a rotation is done or not begun, and what was
//! answered is there.

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

/// How often the service is killed, unless `COVERBASE_KILLS` names another number.
const KILLS: usize = 200;

/// Keys that are rotated all the time, each by a thread of its own.
const CHAINS: [&str; 3] = ["red", "green", "blue"];

#[test]
fn on_redb_a_kill_leaves_old_xor_new_and_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    survives_kills(&format!("redb://{}", path.display()));
}

/// Kills the service on this store, and looks at what it left, again and again.
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
        // A list of keys stays short in an organization that is young.
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
    assert!(rotations > kills, "they came in the middle of work");
    fs::remove_file(jwks).unwrap();
}

struct Client {
    address: SocketAddr,
    token: String,
}

/// A key that has been answered.
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

    /// `None`: killed before the answer.
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

    fn opens(&self, secret: &str) -> bool {
        match get(self.address, "/v1/utils/authtest", secret, "").0 {
            200 => true,
            401 => false,
            status => panic!("{status}"),
        }
    }
}

/// What the service has answered, and so must keep.
#[derive(Default)]
struct Answered {
    keys: Vec<Key>,
    rotated_away: HashSet<String>,
}

impl Answered {
    /// Looks at what there is, and gives the live key of each chain.
    fn check(&mut self, client: &Client) -> Vec<String> {
        let list = client.list();
        let mut revoked = HashMap::new();
        for key in &list {
            revoked.insert(key["id"].as_str().unwrap(), key["revoked"] == true);
        }
        for Key { id, secret } in &self.keys {
            let revoked = revoked.get(&**id).expect("no answered key is lost");
            assert_eq!(client.opens(secret), !revoked, "{id}");
        }
        for id in &self.rotated_away {
            assert!(revoked[&**id], "{id} was answered to be rotated");
        }
        // Those that are gone have been looked at.
        self.keys.retain(|key| !revoked[&*key.id]);
        CHAINS
            .iter()
            .map(|chain| {
                let of_chain = list.iter().filter(|key| {
                    let name = key["name"].as_str().unwrap();
                    name.starts_with(chain) && key["revoked"] == false
                });
                let live: Vec<_> = of_chain.map(|key| key["id"].as_str().unwrap()).collect();
                assert_eq!(live.len(), 1, "never two live keys, never none: {chain}");
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
