//! Passwords and tokens, compared in the same time whether they are right or wrong.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Result};

/// The largest cost of a hash: some seconds. Each step more doubles it.
const LARGEST_COST: u32 = 16;
/// Passwords that may wait to be verified; each takes its turn.
const WAITING: usize = 16;
/// Verified passwords that are remembered.
const REMEMBERED: usize = 1024;

/// Who may come in: names and bcrypt hashes.
#[derive(Debug)]
pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// What the password of an unknown user is compared with, so that the answer takes as long.
    decoy: String,
}

impl Users {
    /// `None` where there are no users, and everybody may come in.
    pub(crate) fn new(hashes: &BTreeMap<String, String>, file: &Path) -> Result<Option<Self>> {
        let mut most = 0;
        for (user, hash) in hashes {
            let wrong = |problem| {
                Error::invalid(
                    &file.display(),
                    format!("basic_auth_users.{user}: {problem}"),
                )
            };
            let cost = hash
                .parse::<bcrypt::HashParts>()
                .map_err(|_| wrong("expected a bcrypt hash, such as htpasswd -nB makes".into()))?
                .get_cost();
            if !(4..=LARGEST_COST).contains(&cost) {
                return Err(wrong(format!(
                    "expected a cost from 4 to {LARGEST_COST}, found {cost}"
                )));
            }
            most = most.max(cost);
        }
        Ok((!hashes.is_empty()).then(|| Self {
            hashes: hashes.clone(),
            decoy: format!("$2b${most:02}${}", ".".repeat(53)),
        }))
    }
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Welcome,
    Unknown,
    /// Too many passwords wait to be verified.
    Busy,
}

/// Verifies passwords, one at a time and off the event loop, and remembers those that were right.
pub(crate) struct Passwords {
    key: hmac::Key,
    right: Mutex<HashSet<[u8; 32]>>,
    turn: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            key: random_key()?,
            right: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
        })
    }

    /// Whether the request's basic credentials are those of one of `users`.
    pub(crate) async fn verify(&self, users: &Users, headers: &HeaderMap) -> Verdict {
        let Some((user, password)) = basic_credentials(headers) else {
            return Verdict::Unknown;
        };
        let (known, hash) = match users.hashes.get(&user) {
            Some(hash) => (true, hash.clone()),
            None => (false, users.decoy.clone()),
        };
        // Remembered as a keyed digest, so that neither the password nor a cheap hash of it stays in memory.
        let digest = self.digest(&[user.as_bytes(), hash.as_bytes(), &password]);
        if known && self.lock().contains(&digest) {
            return Verdict::Welcome;
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Verdict::Busy;
        };
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            return Verdict::Busy;
        };
        // Another request may have brought the same password meanwhile.
        if known && self.lock().contains(&digest) {
            return Verdict::Welcome;
        }
        if !(is_right(password, hash, turn).await && known) {
            return Verdict::Unknown;
        }
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest);
        Verdict::Welcome
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares in a thread of its own: one of the runtime's would hold up the end of the program. The turn ends with the
/// comparison, not with the request: a client that goes away does not make room for a second one beside it.
async fn is_right(password: Vec<u8>, hash: String, turn: OwnedSemaphorePermit) -> bool {
    let (tell, told) = oneshot::channel();
    let compare = move || {
        // Nobody may be there any more to hear it.
        let _ = tell.send(bcrypt::verify(&password, &hash).unwrap_or(false));
        drop(turn);
    };
    let started = std::thread::Builder::new().spawn(compare);
    started.is_ok() && told.await.unwrap_or(false)
}

/// User and password of an `Authorization: Basic` header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let mut bytes = BASE64_STANDARD.decode(scheme(headers, "basic")?).ok()?;
    let colon = bytes.iter().position(|&b| b == b':')?;
    let password = bytes.split_off(colon + 1);
    bytes.truncate(colon);
    Some((String::from_utf8(bytes).ok()?, password))
}

/// What an `Authorization` header says in this scheme.
fn scheme<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

fn random_key() -> Result<hmac::Key> {
    hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error::System {
        what: "draw random numbers",
        source: std::io::ErrorKind::Other.into(),
    })
}

/// A secret that opens what only administrators may do.
#[derive(Clone)]
pub struct AdminToken {
    key: hmac::Key,
    tag: Arc<hmac::Tag>,
}

impl AdminToken {
    /// The header by which a token can be brought where `Authorization` holds a password.
    pub const HEADER: &'static str = "x-admin-token";

    /// A token; `None` where it is empty.
    pub fn new(token: &[u8]) -> Option<Self> {
        let key = random_key().ok().filter(|_| !token.is_empty())?;
        let tag = Arc::new(hmac::sign(&key, token));
        Some(Self { key, tag })
    }

    /// Whether what a request brings is the token, as `Authorization: Bearer TOKEN` or as `X-Admin-Token: TOKEN`; `None` where
    /// it brings none. Takes the same time for every wrong token.
    ///
    /// ```
    /// use hyper::HeaderMap;
    /// use kepler_service::AdminToken;
    ///
    /// let token = AdminToken::new(b"open sesame").unwrap();
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(token.verify(&headers), None);
    /// headers.insert("x-admin-token", "a guess".parse().unwrap());
    /// assert_eq!(token.verify(&headers), Some(false));
    /// headers.insert("authorization", "Bearer open sesame".parse().unwrap());
    /// assert_eq!(token.verify(&headers), Some(true));
    /// ```
    pub fn verify(&self, headers: &HeaderMap) -> Option<bool> {
        let bearer = scheme(headers, "bearer").map(str::as_bytes);
        let own = headers.get(Self::HEADER).map(|value| value.as_bytes());
        let is_right = |token| hmac::verify(&self.key, token, self.tag.as_ref().as_ref()).is_ok();
        let verified = [bearer, own].map(|token| token.map(is_right));
        verified.into_iter().flatten().reduce(|a, b| a | b)
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}
