//! Addresses of objects in S3-style stores. The store's library signs; what is signed is fetched like any other URL.

use std::time::Duration;

use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path as Key;
use object_store::signer::Signer as _;
use tokio::runtime::Runtime;
use ureq::http::{Method, Request};

use crate::manage::client::Client;

/// Signs for one object, with the account that the environment names (`AWS_ACCESS_KEY_ID` and the like, or a role of the
/// pod).
pub(super) struct Signer {
    store: AmazonS3,
    key: Key,
    runtime: Runtime,
}

/// How long a signed address holds: a try begins at once, and may last as long as it likes.
const HOLDS: Duration = Duration::from_secs(900);

impl Signer {
    /// # Errors
    /// What is wrong with the address, or missing in the environment.
    pub(super) fn new(url: &str, client: &Client) -> Result<Self, String> {
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (bucket, key) = match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => (bucket, key),
            _ => return Err(format!("{url}: expected s3://BUCKET/KEY")),
        };
        let fail = |e: object_store::Error| format!("s3://{bucket}/{key}: {e}");
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_http_connector(Connector(client.clone()))
            .build()
            .map_err(fail)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start: {e}"))?;
        Ok(Self {
            store,
            key: Key::parse(key).map_err(|e| fail(e.into()))?,
            runtime,
        })
    }

    /// An address that can be fetched without an account for a while.
    ///
    /// # Errors
    /// Why there is no account to sign with.
    pub(super) fn url(&self) -> Result<String, String> {
        let signed = self.store.signed_url(Method::GET, &self.key, HOLDS);
        let signed = self.runtime.block_on(signed);
        signed
            .map(Into::into)
            .map_err(|e| format!("cannot sign for {}: {e}", self.key))
    }
}

/// Has the library ask by our client for the account of a pod or machine.
#[derive(Debug)]
struct Connector(Client);

#[derive(Debug)]
struct Service(Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.as_bytes().map(|bytes| bytes.to_vec());
        let request = Request::from_parts(parts, body.unwrap_or_default());
        // Blocks the runtime, which has nothing else to do.
        let response = self.0.whole(request);
        let response = response.map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
        Ok(response.map(Into::into))
    }
}
