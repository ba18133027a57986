//! How often a client may ask, and who the client is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use ipnet::IpNet;

/// So many requests in such a time, all of them at once if a client likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many requests may come at once.
    pub(crate) burst: u32,
    /// After what time a further one may come.
    pub(crate) each: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a count and a unit, such as 100/s, 600/m or 1000/h".to_owned();
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let burst = count.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?;
        let time = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(wrong()),
        };
        Ok(Self {
            burst,
            each: time / burst,
        })
    }
}

/// Clients remembered in each of two generations, so that the table never holds more than twice as many.
const CLIENTS: usize = 8192;

/// The clients of late. A client is remembered by one moment: when all that it used will be made up for.
pub(crate) struct RateLimiter {
    rate: Rate,
    clients: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<IpAddr, Instant>,
    old: HashMap<IpAddr, Instant>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            clients: Mutex::default(),
        }
    }

    /// Counts a request of `client`; `Err` with the time to wait where it has had its share.
    pub(crate) fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let client = network_of(client);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients
            .young
            .get(&client)
            .or_else(|| clients.old.get(&client));
        let from = known.copied().unwrap_or(now).max(now);
        let until = from + self.rate.each;
        let most = self.rate.each * self.rate.burst;
        let ahead = until - now;
        if ahead > most {
            return Err(ahead - most);
        }
        if clients.young.len() >= CLIENTS && !clients.young.contains_key(&client) {
            clients.turn(now);
        }
        clients.young.insert(client, until);
        Ok(())
    }
}

impl Generations {
    /// Forgets those that have made up for what they used; where that is not enough, those not seen for longest.
    fn turn(&mut self, now: Instant) {
        self.young.retain(|_, until| *until > now);
        if self.young.len() >= CLIENTS / 2 {
            self.old = std::mem::take(&mut self.young);
        } else {
            self.old.retain(|_, until| *until > now);
        }
    }
}

/// What counts as one client: an IPv4 address, or the network of 64 bits that an IPv6 host commands.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 => v4,
    }
}

/// Who asks: the peer, or where the peer is a trusted proxy, the last address in `X-Forwarded-For` that is none.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    if !trusted(&client) {
        return client;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let hops = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    for hop in hops {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_unit() {
        assert_eq!(
            "600/m".parse(),
            Ok(Rate {
                burst: 600,
                each: Duration::from_millis(100)
            })
        );
        assert_eq!(
            "4".parse(),
            Ok(Rate {
                burst: 4,
                each: Duration::from_millis(250)
            })
        );
        for wrong in ["", "0", "-1/s", "1/d", "x/s", "1/", "5000000000/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_largest_rate_of_a_file_is_counted() {
        let each = crate::duration("87600h").unwrap();
        let limiter = RateLimiter::new(Rate {
            burst: u32::MAX,
            each,
        });
        let client = "10.0.0.1".parse().unwrap();
        assert_eq!(limiter.take(client, Instant::now()), Ok(()));
        assert_eq!(limiter.take(client, Instant::now()), Ok(()));
    }

    #[test]
    fn a_client_has_its_share_and_no_more() {
        let limiter = RateLimiter::new("3/s".parse().unwrap());
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take(a, start), Ok(()));
        }
        let wait = limiter.take(a, start).unwrap_err();
        assert!(
            (Duration::from_millis(300)..Duration::from_millis(400)).contains(&wait),
            "{wait:?}"
        );
        assert_eq!(limiter.take(b, start), Ok(()));
        // Refused requests do not lengthen the wait.
        assert_eq!(limiter.take(a, start + wait), Ok(()));
        assert!(limiter.take(a, start + wait).is_err());
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_client() {
        let limiter = RateLimiter::new("1/h".parse().unwrap());
        let now = Instant::now();
        assert_eq!(limiter.take("2001:db8::1".parse().unwrap(), now), Ok(()));
        assert!(
            limiter
                .take("2001:db8::ffff:2".parse().unwrap(), now)
                .is_err()
        );
        assert_eq!(
            limiter.take("::ffff:10.0.0.1".parse().unwrap(), now),
            Ok(())
        );
        assert!(limiter.take("10.0.0.1".parse().unwrap(), now).is_err());
    }

    #[test]
    fn many_clients_take_bounded_memory() {
        let limiter = RateLimiter::new("1/h".parse().unwrap());
        let now = Instant::now();
        for n in 0..100_000_u32 {
            assert_eq!(limiter.take(IpAddr::from(n.to_be_bytes()), now), Ok(()));
        }
        let clients = limiter.clients.lock().unwrap();
        assert!(clients.young.len() <= CLIENTS && clients.old.len() <= CLIENTS);
        drop(clients);
        // The last ones are still known.
        assert!(
            limiter
                .take(IpAddr::from(99_999_u32.to_be_bytes()), now)
                .is_err()
        );
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let of = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            client(peer.parse().unwrap(), &headers, &proxies).to_string()
        };
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        // What the client itself wrote comes first and is not believed.
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            of("::ffff:10.0.0.1", &["203.0.113.9", "198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(of("10.0.0.1", &["junk, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }
}
