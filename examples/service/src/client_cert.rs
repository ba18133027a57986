//! What is asked of clients' certificates.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, PCBit, Tag, TagClass};

/// Asks for certificates, checks them where there is an authority, and lets in who has one of the allowed names. That the
/// client owns its certificate is checked always.
#[derive(Debug)]
pub(crate) struct ClientCert {
    authorities: Option<Authorities>,
    mandatory: bool,
    allowed_names: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Who vouches for clients.
#[derive(Debug)]
pub(crate) struct Authorities {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// Their certificates.
    pub(crate) listed: Vec<CertificateDer<'static>>,
}

impl ClientCert {
    pub(crate) fn new(
        authorities: Option<Authorities>,
        mandatory: bool,
        allowed_names: Vec<String>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            authorities,
            mandatory,
            allowed_names,
            algorithms,
        }
    }
}

impl Authorities {
    fn vouch(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let verified = self.verifier.verify_client_cert(shown, intermediates, now);
        match verified {
            // A self-signed certificate is often an authority's too, as openssl makes it. rustls lets no authority in; Go
            // does where it is listed itself, and who has its key could sign any other. That it is not expired was looked at
            // before.
            Err(error) if is_authority(&error) && self.listed.contains(shown) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether nothing speaks against a certificate but that it is an authority's.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(why))) = error else {
        return false;
    };
    matches!(why.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ClientCertVerifier for ClientCert {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities
            .as_ref()
            .map_or(&[], |known| known.verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(known) = &self.authorities {
            known.vouch(end_entity, intermediates, now)?;
        }
        if !self.allowed_names.is_empty() {
            let names = alternative_names(end_entity).map_err(|_| CertificateError::BadEncoding)?;
            if !names.iter().any(|name| self.allowed_names.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The subject's alternative names in a certificate: DNS names, e-mail and IP addresses, URIs. RFC 5280, 4.1 and 4.2.1.6.
fn alternative_names(certificate: &[u8]) -> ASN1Result<Vec<String>> {
    let mut names = Vec::new();
    yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_sequence_of(|field| {
                let field = field.read_tagged_der()?;
                if field.tag() == Tag::context(3) {
                    names = yasna::parse_der(field.value(), extensions)?;
                }
                Ok(())
            })?;
            reader.next().read_der()?;
            reader.next().read_der().map(drop)
        })
    })?;
    Ok(names)
}

fn extensions(reader: yasna::BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    let subject_alt_name = ObjectIdentifier::from_slice(&[2, 5, 29, 17]);
    let mut names = Vec::new();
    reader.read_sequence_of(|extension| {
        extension.read_sequence(|extension| {
            let name = extension.next().read_oid()?;
            extension.read_optional(|critical| critical.read_bool())?;
            let value = extension.next().read_bytes()?;
            if name == subject_alt_name {
                yasna::parse_der(&value, |value| {
                    value.read_sequence_of(|name| {
                        names.extend(general_name(&name.read_tagged_der()?));
                        Ok(())
                    })
                })?;
            }
            Ok(())
        })
    })?;
    Ok(names)
}

fn general_name(name: &yasna::models::TaggedDerValue) -> Option<String> {
    if name.tag().tag_class != TagClass::ContextSpecific || name.pcbit() != PCBit::Primitive {
        return None;
    }
    let value = name.value();
    match name.tag().tag_number {
        1 | 2 | 6 => String::from_utf8(value.to_vec()).ok(),
        7 => match value.len() {
            4 => <[u8; 4]>::try_from(value)
                .ok()
                .map(|v| Ipv4Addr::from(v).to_string()),
            16 => <[u8; 16]>::try_from(value)
                .ok()
                .map(|v| Ipv6Addr::from(v).to_string()),
            _ => None,
        },
        _ => None,
    }
}
