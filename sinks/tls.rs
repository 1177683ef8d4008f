//! TLS towards a destination: whom we trust, who we are, and what goes wrong when the files are read.

mod insecure;
mod verifiers;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use std::time::SystemTime;

use serde::Deserialize;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

pub use self::insecure::Insecure;
use self::verifiers::{Anyone, Named};
use crate::BuildError;

/// `tls = { … }`: PEM files, and the name to expect. `tls = {}` trusts the system's certificate authorities.
///
/// The files are read at every new connection, so that a rotated certificate is taken up without a restart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// The certificate authorities to trust, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate that says who we are, with its chain. Needs `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name to find in the server's certificate, where it is not the one we connect to.
    pub server_name: Option<String>,
    /// `"any certificate is accepted"`: takes whoever answers for the server. For a trial, never for logs that matter.
    pub insecure: Option<Insecure>,
}

impl TlsConfig {
    /// Takes file names as below `folder`, unless they begin at the root.
    pub fn root_in(&mut self, folder: &Path) {
        for path in [&mut self.ca, &mut self.cert, &mut self.key].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }

    /// What rustls needs, or which key of `tls` is wrong. The name to verify is up to whoever connects.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, BuildError> {
        self.client_with(Ok).map(Arc::new)
    }

    /// The same for a client that knows the server by its URL alone: `server_name` is verified in place of its host.
    pub(crate) fn http_client(&self) -> Result<ClientConfig, BuildError> {
        let mut client = self.client_with(|verifier| match &self.server_name {
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|error| {
                    let message = format!("`{name}` is not the name of a host");
                    wrong("tls.server_name", message, "give a name in the server's certificate", error)
                })?;
                Ok(Arc::new(Named { verifier, name }))
            }
            None => Ok(verifier),
        })?;
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(client)
    }

    fn client_with(
        &self,
        verify: impl FnOnce(Arc<dyn ServerCertVerifier>) -> Result<Arc<dyn ServerCertVerifier>, BuildError>,
    ) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self.insecure {
            Some(_) => {
                self.refuse_what_insecure_ignores()?;
                WARNED.call_once(|| {
                    tracing::warn!("a sink accepts any certificate: whoever is between reads logs and credentials");
                });
                Arc::new(Anyone(Arc::clone(&provider)))
            }
            None => verify(self.trusted(&provider)?)?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("tls", "TLS cannot be set up", HINT_REPORT, error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some((cert, key)) = self.identity()? else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(cert, "tls.cert")?;
        let secret =
            PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls.key", key, "private key", error))?;
        builder.with_client_auth_cert(chain, secret).map_err(|error| {
            let message = format!("`{}` does not fit `{}`", key.display(), cert.display());
            wrong("tls.key", message, "give the key the certificate was made for", error)
        })
    }

    fn trusted(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, BuildError> {
        let roots = match &self.ca {
            Some(path) => roots_from(path)?,
            None => system_roots()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = verifier.build().map_err(|error| wrong("tls", "TLS cannot be set up", HINT_REPORT, error))?;
        Ok(verifier)
    }

    /// Somebody who names a certificate authority wants it to be asked.
    fn refuse_what_insecure_ignores(&self) -> Result<(), BuildError> {
        let (key, what) = match (&self.insecure, &self.ca, &self.server_name) {
            (Some(_), Some(_), _) => ("tls.ca", "an authority"),
            (Some(_), _, Some(_)) => ("tls.server_name", "a name"),
            _ => return Ok(()),
        };
        Err(BuildError::new(
            key,
            format!("{what} to verify beside `insecure`, which verifies nothing"),
            "leave out `insecure`: what stands here makes it needless",
        ))
    }

    /// When the files were last written, as far as the system tells. Another answer means: read them again.
    pub(crate) fn written(&self) -> [Option<SystemTime>; 3] {
        [&self.ca, &self.cert, &self.key]
            .map(|path| std::fs::metadata(path.as_ref()?).and_then(|file| file.modified()).ok())
    }

    /// Certificate and key, both or neither.
    pub(crate) fn identity(&self) -> Result<Option<(&Path, &Path)>, BuildError> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(BuildError::new(
                "tls.cert",
                "a certificate without its key",
                "add `key`, the path of the private key",
            )),
            (None, Some(_)) => Err(BuildError::new(
                "tls.key",
                "a key without its certificate",
                "add `cert`, the path of the certificate",
            )),
        }
    }
}

/// One warning at the start is read; one at every connection is not.
static WARNED: Once = Once::new();

const HINT_REPORT: &str = "this is a fault of auditline: please report it";

fn system_roots() -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(BuildError::new(
            "tls",
            "this system has no certificate authorities",
            "install the package `ca-certificates`, or set `tls = { ca = \"…\" }`",
        ));
    }
    Ok(roots)
}

fn roots_from(path: &Path) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "tls.ca")? {
        roots.add(certificate).map_err(|error| {
            let message = format!("`{}` holds a certificate that cannot be used", path.display());
            wrong("tls.ca", message, "give the certificate authority's own certificate", error)
        })?;
    }
    Ok(roots)
}

fn certificates(path: &Path, key: &'static str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| unreadable(key, path, "certificate", error))?;
    if found.is_empty() {
        return Err(unreadable(key, path, "certificate", PemError::NoItemsFound));
    }
    Ok(found)
}

fn unreadable(key: &'static str, path: &Path, what: &str, error: PemError) -> BuildError {
    let path = path.display();
    match error {
        PemError::Io(error) => {
            wrong(key, format!("cannot read `{path}`"), "give the path of a PEM file this user may read", error)
        }
        PemError::NoItemsFound => BuildError::new(
            key,
            format!("`{path}` holds no {what}"),
            format!("give a PEM file with a `-----BEGIN {}-----` in it", what.to_uppercase()),
        ),
        other => wrong(
            key,
            format!("`{path}` is not a PEM file"),
            "convert it: `openssl x509 -inform der …`",
            // pki-types' error has no `Error` impl on every platform; its text is all that is needed.
            other.to_string(),
        ),
    }
}

fn wrong(key: &str, message: impl Into<String>, hint: &str, source: impl Into<crate::BoxError>) -> BuildError {
    BuildError { source: Some(source.into()), ..BuildError::new(key, message, hint) }
}

/// What a failed handshake means for the person who has to make it work: message and hint. `None` if it may pass.
pub(crate) fn explain(error: &std::io::Error) -> Option<(&'static str, &'static str)> {
    explain_tls(error.get_ref()?.downcast_ref()?)
}

/// The same for an error that has rustls' own somewhere among its causes.
pub(crate) fn explain_cause(error: &(dyn std::error::Error + 'static)) -> Option<(&'static str, &'static str)> {
    match find(error)? {
        rustls::Error::InvalidMessage(_) => {
            Some(("the server does not speak TLS on this port", "give the server's TLS port, or use `http://`"))
        }
        error => explain_tls(error),
    }
}

fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // What an I/O error holds is not its source: that is already the cause of what it holds.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    if let Some(held) = held {
        return find(held);
    }
    find(error.source()?)
}

fn explain_tls(error: &rustls::Error) -> Option<(&'static str, &'static str)> {
    use rustls::{AlertDescription as Alert, CertificateError, Error};
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some((
            "the server's certificate is for another name",
            "set `tls.server_name` to a name in the certificate, or connect by that name",
        )),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some((
            "the server's certificate comes from an authority we do not trust",
            "set `tls.ca` to the certificate of the authority that signed it",
        )),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Some(("the server's certificate has expired", "have the server's certificate renewed"))
        }
        Error::InvalidCertificate(_) => Some((
            "the server's certificate is not valid",
            "have the server's certificate replaced, or set `tls.ca` to its authority",
        )),
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::HandshakeFailure,
        ) => Some((
            "the server does not accept our certificate",
            "set `tls.cert` and `tls.key` to a certificate the server's authority has signed",
        )),
        Error::InvalidMessage(_) => Some((
            "the server does not speak TLS on this port",
            "give the server's TLS port, or use `transport = \"tcp\"`",
        )),
        _ => None,
    }
}
