//! PEM files in, a rustls configuration out; and rustls' refusals in the words of the settings.

use super::{Error, Settings, read};
use std::{path::Path, sync::Arc};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as Refusal, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
};

/// What a broker of `mqtts://` is met with; `None` where no broker wants it. Reads files: not for the async loop.
pub fn prepare(settings: &Settings) -> Result<Option<Arc<ClientConfig>>, Error> {
    if !settings.brokers.iter().any(|broker| broker.tls) {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = &settings.ca_file {
        if roots.add_parsable_certificates(certificates("ca_file", path)?).0 == 0 {
            return Err(Error::NoCertificate { key: "ca_file", path: path.clone() });
        }
    } else if roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs).0 == 0 {
        return Err(Error::NoRoots);
    }
    // The provider is named here, so that nothing depends on a default of the whole process.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots);
    let config = match (&settings.cert_file, &settings.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates("cert_file", cert)?, private_key(key)?)
            .map_err(|source| Error::Pair { cert: cert.clone(), key: key.clone(), source })?,
        _ => return Err(Error::HalfPair),
    };
    Ok(Some(Arc::new(config)))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Error::NoCertificate { key, path: path.into() }),
        Ok(found) => Ok(found),
        Err(source) => Err(Error::Pem { key, path: path.into(), source }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let key = "key_file";
    PrivateKeyDer::from_pem_slice(&read(key, path)?).map_err(|source| match source {
        PemError::NoItemsFound => Error::NoKey { key, path: path.into() },
        source => Error::Pem { key, path: path.into(), source },
    })
}

/// Why a handshake failed, as one would tell who can change it.
pub(super) fn words(refusal: &Refusal) -> String {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    match refusal {
        Refusal::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "its certificate is not signed by an authority of ca_file (or, without one, of the system)".into()
        }
        Refusal::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            format!("its certificate is for another host name ({refusal})")
        }
        Refusal::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            format!("its certificate has expired ({refusal})")
        }
        Refusal::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => format!("it refused our certificate: see cert_file and key_file ({refusal})"),
        Refusal::InvalidMessage(_) => format!("it does not speak TLS on this port ({refusal})"),
        other => other.to_string(),
    }
}
