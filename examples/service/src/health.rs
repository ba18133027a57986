//! The paths by which a supervisor asks how a server is.

/// What a supervisor wants to know. These paths need no password and count against no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/healthz` and `/health`: does it still work, or should it be started anew?
    Live,
    /// `/readyz` and `/ready`: may clients be sent to it?
    Ready,
}

impl Probe {
    /// The question behind a path; `None` where it is none of these.
    ///
    /// ```
    /// use kepler_service::Probe;
    ///
    /// assert_eq!(Probe::of("/readyz"), Some(Probe::Ready));
    /// assert_eq!(Probe::of("/metrics"), None);
    /// ```
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/healthz" | "/health" => Some(Self::Live),
            "/readyz" | "/ready" => Some(Self::Ready),
            _ => None,
        }
    }
}
