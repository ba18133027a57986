//! How much a client may take.

use std::time::Duration;

/// What bounds the clients of a server. [`Default`] says the usual values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time (default 512). Past it, idle ones are closed; where there are none, the answer is 503.
    pub connections: usize,
    /// The largest body of a request, in bytes (default 10 MB). Past it, the answer is 413.
    pub body_bytes: u64,
    /// What the bodies of all requests together may hold, in bytes (default 64 MiB), each from when it comes until it is
    /// answered. Past it, the answer is 503.
    pub bodies_bytes: u64,
    /// The largest head of a request, in bytes (default 16 KiB). Past it, the answer is 431.
    pub head_bytes: usize,
    /// How long a client may take for the head of a request, or for a TLS handshake (default 10 s). Past it, the answer is 408.
    pub head_time: Duration,
    /// How long a request may take from its head to the head of its answer (default 30 s). Past it, the answer is 408 where
    /// the client still owes a part of the body, else 503.
    pub request_time: Duration,
    /// How long a client may take nothing of an answer (default 10 s). Past it, its connection is closed.
    pub stall_time: Duration,
    /// How long a connection may be busy without a pause (default 5 min). Past it, it is closed.
    pub busy_time: Duration,
    /// How long an idle connection is kept (default 75 s).
    pub idle_time: Duration,
    /// How long a stop waits for answers under way (default 8 s).
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            body_bytes: 10_000_000,
            bodies_bytes: 64 << 20,
            head_bytes: 16 << 10,
            head_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(10),
            busy_time: Duration::from_secs(300),
            idle_time: Duration::from_secs(75),
            stop_time: Duration::from_secs(8),
        }
    }
}
