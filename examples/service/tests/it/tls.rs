//! Certificates of the server and of its clients.

use std::path::Path;
use std::process::{Command, Stdio};

use kepler_service::{Limits, Server, WebArgs};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    string::Ia5String,
};

use crate::support::{Folder, Running, args, curl, run, said};

/// An authority and what it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whose certificate is `ca.crt` of `folder`.
    pub(crate) fn new(folder: &Folder) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        folder.write("ca.crt", issuer.pem());
        Self(issuer)
    }

    /// Signs `NAME.crt` with `NAME.key` in `folder`, for these names.
    pub(crate) fn sign(&self, folder: &Folder, name: &str, names: Vec<SanType>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        folder.write(&format!("{name}.crt"), certificate.pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
    }
}

pub(crate) fn loopback() -> Vec<SanType> {
    vec![
        SanType::IpAddress("127.0.0.1".parse().unwrap()),
        SanType::DnsName("localhost".try_into().unwrap()),
    ]
}

fn uri(text: &str) -> Vec<SanType> {
    vec![SanType::URI(Ia5String::try_from(text).unwrap())]
}

/// A folder with an authority, a server's certificate and a web configuration with `more` in its TLS section.
fn prepared(more: &str) -> (Folder, Authority) {
    let folder = Folder::new();
    let authority = Authority::new(&folder);
    authority.sign(&folder, "server", loopback());
    folder.write(
        "web.yml",
        format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}"),
    );
    (folder, authority)
}

fn serve(folder: &Folder, addresses: &[&str]) -> Running {
    Running::start(
        &args(addresses, Some(&folder.path("web.yml"))),
        Limits::default(),
    )
}

#[test]
fn https_and_http_stand_side_by_side() {
    let (folder, _authority) = prepared("");
    let unix = format!("unix:{}", folder.text("socket"));
    let server = serve(&folder, &["127.0.0.1:0", "http://127.0.0.1:0", &unix]);
    let (tls, plain) = (server.addresses[0], server.addresses[1]);
    let ca = folder.text("ca.crt");
    for (number, (http, version)) in [("--http1.1", "1.1"), ("--http2", "2")].iter().enumerate() {
        let said = curl(&[http, "--cacert", &ca, &format!("https://{tls}/who")]);
        let peer = format!("Peer {{ address: Some(127.0.0.1), tls: true, connection: {number} }}");
        assert_eq!(said, format!("{peer}\n\n200 {version}"));
    }
    let said = curl(&[&format!("http://{plain}/who")]);
    assert!(said.contains("tls: false"), "{said}");
    let socket = folder.text("socket");
    assert!(curl(&["--unix-socket", &socket, "http://x/who"]).contains("tls: false"));
    // Who mistakes one for the other is told.
    let said = curl(&[&format!("http://{tls}/")]);
    assert!(
        said.contains("speaks HTTPS") && said.ends_with("400 1.1"),
        "{said}"
    );
}

#[test]
fn http2_can_be_turned_off() {
    let (folder, _authority) = prepared(
        "http_server_config: {http2: false, headers: {Strict-Transport-Security: max-age=60}}\n",
    );
    let server = serve(&folder, &[]);
    let url = format!("https://{}/metrics", server.address());
    let said = curl(&["-i", "--http2", "--cacert", &folder.text("ca.crt"), &url]);
    assert!(
        said.ends_with("200 1.1") && said.contains("strict-transport-security: max-age=60"),
        "{said}"
    );
}

#[test]
fn a_certificate_of_our_own_names_this_host() {
    let mut args = WebArgs::default();
    args.self_signed = true;
    let server = Running::start(&args, Limits::default());
    let port = server.address().port();
    let shown = shown_certificate(&server, &["-showcerts"]);
    let folder = Folder::new();
    folder.write("own.crt", &shown);
    let own = folder.text("own.crt");
    let host = said(&mut Command::new("hostname"));
    let resolve = format!("{}:{port}:127.0.0.1", host.trim());
    for name in ["localhost", "127.0.0.1", host.trim()] {
        let url = format!("https://{name}:{port}/healthz");
        let said = curl(&["--cacert", &own, "--resolve", &resolve, &url]);
        assert_eq!(said, "ok\n\n200 2", "{name}");
    }
}

/// What `openssl s_client` says.
fn s_client(server: &Running, arguments: &[&str]) -> String {
    let output = run(Command::new("openssl")
        .args(["s_client", "-connect", &server.address().to_string()])
        .args(arguments)
        .stdin(Stdio::null()));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn shown_certificate(server: &Running, arguments: &[&str]) -> String {
    let said = s_client(server, arguments);
    let start = said.find("-----BEGIN CERTIFICATE").expect("a certificate");
    let end = said.find("-----END CERTIFICATE-----").expect("its end");
    said[start..end].to_owned() + "-----END CERTIFICATE-----\n"
}

#[test]
fn versions_suites_and_curves_are_those_of_the_file() {
    let (folder, _authority) = prepared(
        "  min_version: TLS10\n  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  \
         curve_preferences: [CurveP384]\n",
    );
    let server = serve(&folder, &[]);
    let said = s_client(&server, &[]);
    for part in [
        "TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDH, secp384r1, 384 bits",
    ] {
        assert!(said.contains(part), "{said}");
    }
    for refused in [
        &["-tls1_3"][..],
        &["-tls1_1"],
        &["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        &["-groups", "X25519"],
    ] {
        let said = s_client(&server, refused);
        assert!(said.contains("Cipher is (NONE)"), "{refused:?}: {said}");
    }
    let (folder, _authority) = prepared("  min_version: TLS13\n");
    let server = serve(&folder, &[]);
    assert!(s_client(&server, &[]).contains("TLSv1.3"));
    assert!(s_client(&server, &["-tls1_2"]).contains("Cipher is (NONE)"));
}

#[test]
fn clients_show_the_certificates_that_are_asked_for() {
    let (folder, authority) = prepared("");
    let stranger = Folder::new();
    Authority::new(&stranger).sign(&stranger, "stranger", uri("spiffe://home/prometheus"));
    authority.sign(&folder, "named", uri("spiffe://home/prometheus"));
    authority.sign(&folder, "other", uri("spiffe://home/other"));
    authority.sign(
        &folder,
        "ip",
        vec![SanType::IpAddress("192.0.2.1".parse().unwrap())],
    );
    let web = folder.read("web.yml");
    let paths = |name: &str| match name {
        "stranger" => (stranger.text("stranger.crt"), stranger.text("stranger.key")),
        name => (
            folder.text(&format!("{name}.crt")),
            folder.text(&format!("{name}.key")),
        ),
    };
    // For each policy: whether nobody, a stranger, and one of ours come in.
    let ca = "  client_ca_file: ca.crt\n";
    let sans = "  client_allowed_sans: ['spiffe://home/prometheus', 192.0.2.1]\n";
    let certificates = ["", "stranger", "other", "named", "ip"];
    for (kind, more, welcome) in [
        (
            "NoClientCert",
            String::new(),
            [true, true, true, true, true],
        ),
        (
            "RequestClientCert",
            String::new(),
            [true, true, true, true, true],
        ),
        (
            "RequireAnyClientCert",
            String::new(),
            [false, true, true, true, true],
        ),
        (
            "RequireAnyClientCert",
            sans.into(),
            [false, true, false, true, true],
        ),
        (
            "VerifyClientCertIfGiven",
            ca.into(),
            [true, false, true, true, true],
        ),
        (
            "RequireAndVerifyClientCert",
            ca.into(),
            [false, false, true, true, true],
        ),
        (
            "RequireAndVerifyClientCert",
            ca.to_owned() + sans,
            [false, false, false, true, true],
        ),
    ] {
        folder.write(
            "policy.yml",
            format!("{web}  client_auth_type: {kind}\n{more}"),
        );
        let server = Running::start(
            &args(&[], Some(&folder.path("policy.yml"))),
            Limits::default(),
        );
        let url = format!("https://{}/healthz", server.address());
        for (name, welcome) in certificates.into_iter().zip(welcome) {
            for tls in ["1.2", "1.3"] {
                let mut curl = Command::new("curl");
                curl.args([
                    "-sS",
                    "--tls-max",
                    tls,
                    "--cacert",
                    &folder.text("ca.crt"),
                    &url,
                ]);
                if !name.is_empty() {
                    let (certificate, key) = paths(name);
                    curl.args(["--cert", &certificate, "--key", &key]);
                }
                let output = run(&mut curl);
                assert_eq!(
                    output.status.success(),
                    welcome,
                    "{kind} {more} {name} {tls}: {output:?}"
                );
            }
        }
    }
}

#[test]
fn a_listed_certificate_comes_in_itself_though_it_is_an_authoritys() {
    let (folder, _authority) = prepared("");
    for name in ["listed", "stranger"] {
        let output = run(Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '))
            .args(["-subj", "/CN=prometheus", "-keyout"])
            .args([folder.text(&format!("{name}.key")), "-out".to_owned()])
            .arg(folder.text(&format!("{name}.crt"))));
        assert!(output.status.success(), "{output:?}");
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().unwrap();
    folder.write("expired.key", key.serialize_pem());
    folder.write("expired.crt", params.self_signed(&key).unwrap().pem());
    folder.write(
        "clients.crt",
        folder.read("listed.crt") + &folder.read("expired.crt"),
    );
    let web = folder.read("web.yml")
        + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n";
    let comes_in = |name: &str, more: &str| {
        folder.write("policy.yml", format!("{web}{more}"));
        let policy = folder.path("policy.yml");
        let server = Running::start(&args(&[], Some(&policy)), Limits::default());
        let url = format!("https://{}/healthz", server.address());
        ["1.2", "1.3"].map(|tls| {
            let output = run(Command::new("curl")
                .args(["-sS", "--tls-max", tls, "--cacert", &folder.text("ca.crt")])
                .args(["--cert", &folder.text(&format!("{name}.crt"))])
                .args(["--key", &folder.text(&format!("{name}.key")), &url]));
            output.status.success()
        })
    };
    assert_eq!(comes_in("listed", ""), [true, true]);
    assert_eq!(comes_in("stranger", ""), [false, false]);
    assert_eq!(comes_in("expired", ""), [false, false]);
    let named = "  client_allowed_sans: [somebody]\n";
    assert_eq!(comes_in("listed", named), [false, false]);
}

#[test]
fn what_cannot_be_used_is_told_in_a_line() {
    let (folder, authority) = prepared("");
    authority.sign(&folder, "second", loopback());
    folder.write("empty", "");
    folder.write(
        "junk",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let web = |text: &str| {
        folder.write("web.yml", text);
        let bound = Server::bind(
            &args(&[], Some(&folder.path("web.yml"))),
            "127.0.0.1:0",
            Limits::default(),
        );
        bound.err().unwrap().to_string()
    };
    let pair = "cert_file: server.crt, key_file: server.key";
    for (text, said) in [
        (
            "tls_server_config: {cert_file: server.crt}".to_owned(),
            "key is missing",
        ),
        (
            "tls_server_config: {key_file: server.key}".into(),
            "cert is missing",
        ),
        (
            "tls_server_config: {cert_file: nowhere.crt, key_file: server.key}".into(),
            "nowhere.crt",
        ),
        (
            "tls_server_config: {cert_file: empty, key_file: server.key}".into(),
            "no certificate in PEM",
        ),
        (
            "tls_server_config: {cert_file: junk, key_file: server.key}".into(),
            "the certificate is unusable: BadEncoding",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: empty}".into(),
            "no private key in PEM",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: second.key}".into(),
            "the certificate and the key",
        ),
        (
            format!("tls_server_config: {{{pair}, cert: x}}"),
            "both cert and cert_file",
        ),
        (
            format!("tls_server_config: {{{pair}, client_ca_file: ca.crt}}"),
            "client_auth_type",
        ),
        (
            format!("tls_server_config: {{{pair}, client_auth_type: RequireAndVerifyClientCert}}"),
            "client_ca is missing",
        ),
        (
            format!("tls_server_config: {{{pair}, client_allowed_sans: [a]}}"),
            "client_allowed_sans needs",
        ),
        (
            format!("tls_server_config: {{{pair}, max_version: TLS11}}"),
            "TLS12 and TLS13",
        ),
        (
            format!("tls_server_config: {{{pair}, min_version: TLS13, max_version: TLS12}}"),
            "min_version",
        ),
        (
            format!("tls_server_config: {{{pair}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}"),
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            format!("tls_server_config: {{{pair}, curve_preferences: [CurveP521]}}"),
            "CurveP384",
        ),
    ] {
        let error = web(&text);
        assert!(
            error.contains(said) && !error.contains('\n'),
            "{text}: {error}"
        );
    }
    let plain = Server::bind(&args(&["https://127.0.0.1:0"], None), "", Limits::default());
    let error = plain.err().unwrap().to_string();
    assert!(error.contains("no certificate is set"), "{error}");
    let device = Server::check(&args(&[], Some(Path::new("/dev/zero"))));
    let error = device.unwrap_err().to_string();
    assert!(error.contains("device, not a file"), "{error}");
}
