//! The flags that every server of this house has.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::Address;
use crate::rate::Rate;

/// The flags of a server, to be flattened into a program's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[non_exhaustive]
pub struct WebArgs {
    /// Address to listen on: host:port, :port, unix:/path or held:/path, after http:// or https:// where it shall not depend on
    /// whether a certificate is set; may be given more than once
    #[arg(
        long = "web.listen-address",
        visible_alias = "listen",
        value_name = "ADDRESS"
    )]
    pub listen: Vec<Address>,
    /// File with certificates, users, headers and a rate, in the format that Prometheus' exporters share; read again when
    /// it or a file that it names changes
    #[arg(
        long = "web.config.file",
        alias = "web.config-file",
        value_name = "PATH"
    )]
    pub config_file: Option<PathBuf>,
    /// Speak TLS with a certificate made at the start, where the file sets none
    #[arg(long = "web.self-signed")]
    pub self_signed: bool,
    /// Requests that a client may make, such as 100/s or 600/m; past it, the answer is 429
    #[arg(long = "rate-limit", value_name = "COUNT/UNIT")]
    pub rate_limit: Option<Rate>,
    /// Proxies whose X-Forwarded-For is believed, as addresses or networks
    #[arg(
        long = "trusted-proxies",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = network
    )]
    pub trusted_proxies: Vec<IpNet>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .ok()
        .or_else(|| address().ok())
        .ok_or_else(|| "expected an address or a network such as 10.0.0.0/8".into())
}
