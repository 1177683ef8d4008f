//! What it means that a request brought no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::proxy::HINT;
use crate::DeliveryError;
use crate::tls::explain_cause;
use crate::units::HumanDuration;

/// The error of a request that went to `origin` and brought no answer. `error` holds no URL any more: it may be secret.
/// `anonymous` says that we have shown no certificate over TLS.
pub(super) fn explain(error: reqwest::Error, origin: &str, timeout: Duration, anonymous: bool) -> DeliveryError {
    if let Some((what, hint)) = explain_cause(&error) {
        return DeliveryError::refused(format!("no TLS with `{origin}`: {what}"), hint, error);
    }
    let said = all_said(&error);
    // The second of the two is what `hyper` says where the server speaks first, as those of SMTP and SSH do, and has been
    // heard before our request was written.
    if said.contains("Parse(") || said.contains("UnexpectedMessage") {
        return DeliveryError::refused(
            format!("what answers at `{origin}` does not speak HTTP"),
            "check the port, and whether it wants `http://` or `https://`",
            error,
        );
    }
    // `hyper-util` says so of a CONNECT that got a 407.
    if said.contains("proxy authorization required") {
        return DeliveryError::refused(
            format!("the HTTP proxy of the environment does not let us through to `{origin}` (407)"),
            HINT,
            error,
        );
    }
    if error.is_timeout() {
        let what = match error.is_connect() {
            true => format!("cannot connect to `{origin}` in time: check its name, and what stands between"),
            false => {
                format!("`{origin}` did not answer within {}: see its log, or raise `timeout`", HumanDuration(timeout))
            }
        };
        return DeliveryError::retryable(what, error);
    }
    let message = match kind(&error) {
        _ if said.contains("tunnel error") => {
            format!("the HTTP proxy of the environment does not take us to `{origin}`: check the proxy, and `NO_PROXY`")
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("nobody listens at `{origin}`: check that it runs, and its port")
        }
        _ if said.contains("dns error") => format!("the name in `{origin}` cannot be resolved: check its spelling"),
        _ if error.is_connect() => format!("cannot connect to `{origin}`: check its name, and what stands between"),
        // A server that wants a certificate need not say so: TLS 1.3 has let us in before it looks.
        _ if anonymous && (said.contains("UnexpectedEof") || said.contains("ConnectionReset")) => format!(
            "`{origin}` closed the connection without an answer: if it asks for a client's certificate, set `tls.cert` \
             and `tls.key`"
        ),
        _ => format!("the connection to `{origin}` broke before an answer was complete: if it keeps on, see its log"),
    };
    DeliveryError::retryable(message, error)
}

/// The error of a request that is none.
pub(super) fn unmakeable(error: reqwest::Error) -> DeliveryError {
    DeliveryError::refused("no request can be made of this configuration", "check `url` and the headers", error)
}

fn kind(error: &dyn Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// The words of all causes. `hyper` has no public type for some of them.
fn all_said(error: &dyn Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
