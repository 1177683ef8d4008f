//! What S3's answers mean: what may pass, and what a person has to change.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use chrono::Utc;

use super::transport;
use super::upload::Failed;
use crate::http_client::retry_after;
use crate::secret::Hidden;
use crate::{BoxError, DeliveryError};

/// What a server has against a request that is to create an object and never to replace one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// There is an object of that name.
    Exists,
    /// Perhaps the condition itself, which not every server knows.
    Condition,
    /// Whatever it might have against any request.
    Other,
}

impl Objection {
    pub(super) fn of(failed: &Failed) -> Self {
        let Failed::Answer { status, code, .. } = failed else { return Self::Other };
        match (status, code.as_deref()) {
            (Some(412), _) | (_, Some("PreconditionFailed")) => Self::Exists,
            (Some(501), _) => Self::Condition,
            (_, Some("NotImplemented" | "InvalidArgument" | "InvalidRequest" | "MethodNotAllowed")) => Self::Condition,
            _ => Self::Other,
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Objects of the bucket, to see whether it is there.
    List,
    /// An upload.
    Put,
}

/// The error as the engine takes it. `Ok` if it says that all is well: a key that may write and not list.
pub(super) fn explain<E>(error: SdkError<E, HttpResponse>, asked: Asked, bucket: &str) -> Result<(), DeliveryError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().map(str::to_owned);
    if let (Some(status), true) = (status, matches!(error, SdkError::ServiceError(_) | SdkError::ResponseError(_))) {
        if asked == Asked::List && code.as_deref() == Some("AccessDenied") {
            tracing::info!(bucket, "may not list the bucket, which tells nothing about writing to it");
            return Ok(());
        }
        let retry_after = error.raw_response().and_then(retry_after);
        // An upload that is to be completed may be refused under 200, for the server answers before it begins.
        if (200..300).contains(&status) && code.is_none() {
            let message = "what answers is no S3 server: is `endpoint` right, or is a proxy between?";
            return Err(DeliveryError::retryable(message, error));
        }
        let name = code.clone().unwrap_or_else(|| format!("HTTP {status}"));
        let message = format!("S3 answered `{name}` for bucket `{bucket}`");
        return Err(match hint(code.as_deref(), status) {
            Some(hint) => DeliveryError::refused(message, hint, error),
            None => DeliveryError::Retryable { message, retry_after, source: Some(error.into()) },
        });
    }
    Err(unanswered(error))
}

/// The error in the same words, but for the secrets.
pub(super) fn without_secrets(error: DeliveryError, secrets: &Hidden) -> DeliveryError {
    let hidden = |text: &str| secrets.hide(text);
    let said = |source: Option<BoxError>| source.map(|source| Said::of(&*source, &hidden).into());
    match error {
        DeliveryError::Retryable { message, retry_after, source } => {
            DeliveryError::Retryable { message: hidden(&message), retry_after, source: said(source) }
        }
        DeliveryError::Refused { message, hint, source } => {
            DeliveryError::Refused { message: hidden(&message), hint, source: said(source) }
        }
    }
}

/// A cause as it is told, without the answer that the SDK's own has inside.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Said {
    text: String,
    source: Option<Box<Said>>,
}

impl Said {
    fn of(error: &dyn Error, hidden: &impl Fn(&str) -> String) -> Self {
        let source = error.source().map(|cause| Box::new(Self::of(cause, hidden)));
        Self { text: hidden(&error.to_string()), source }
    }
}

pub(super) fn no_region(source: impl Into<BoxError>) -> DeliveryError {
    DeliveryError::refused("the bucket's region is not known", "set `region`", source)
}

/// S3 did not answer, or was not asked at all.
fn unanswered<E>(error: SdkError<E, HttpResponse>) -> DeliveryError
where
    E: Error + Send + Sync + 'static,
{
    let error = match transport::said(error) {
        Ok(said) => return said,
        Err(error) => *error,
    };
    let causes = causes(&error);
    if causes.contains("no providers in chain") || causes.contains("CredentialsNotLoaded") {
        return DeliveryError::refused(
            "no AWS credentials were found",
            "set `access_key_id` and `secret_access_key`, or give the process an AWS role",
            error,
        );
    }
    if causes.contains("Invalid Configuration: Missing Region") {
        return no_region(error);
    }
    if causes.contains("invalid peer certificate") {
        return DeliveryError::refused(
            "the endpoint's certificate is not valid for us",
            "set `tls.ca` to the certificate authority that signed it, and connect by a name in the certificate",
            error,
        );
    }
    match error {
        SdkError::ConstructionFailure(_) if causes.contains("uri") || causes.contains("endpoint") => {
            DeliveryError::refused(
                "no request can be made of this configuration",
                "check `bucket`, `region` and `endpoint`",
                error,
            )
        }
        SdkError::TimeoutError(_) => {
            DeliveryError::retryable("S3 did not answer in time: check the network, and `timeout`", error)
        }
        _ => DeliveryError::retryable("S3 cannot be reached: check the network, `bucket` and `region`", error),
    }
}

/// A sealed batch keeps its bounds, or a retry would make another object of it.
const TOO_LARGE: &str = "raise the limit of the server, or of the proxy before it, for one object; a lower \
                         `batch.max_bytes` counts only for later batches, as this one keeps its bounds";

/// What passes, whatever status it comes with: a checksum or a length that did not match is the network's doing, and an upload
/// that is gone is begun anew.
const PASSING: [&str; 18] = [
    "BadDigest",
    "InvalidDigest",
    "XAmzContentChecksumMismatch",
    "IncompleteBody",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchUpload",
    "InvalidPart",
    "InvalidPartOrder",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "KMS.ThrottlingException",
    "KMS.KMSInternalException",
    "KMS.DependencyTimeoutException",
    "KMS.KeyUnavailableException",
];

/// What a person has to do, where waiting does not help.
fn hint(code: Option<&str>, status: u16) -> Option<&'static str> {
    let code = code.unwrap_or_default();
    if PASSING.contains(&code) {
        return None;
    }
    Some(match code {
        "NoSuchBucket" => "create the bucket, or correct `bucket`",
        "InvalidBucketName" => "correct `bucket`",
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => {
            "grant `s3:PutObject` on the bucket (and `kms:GenerateDataKey` on its key) to these credentials"
        }
        "InvalidAccessKeyId" => "correct `access_key_id`: the server does not know it",
        "SignatureDoesNotMatch" => "correct `secret_access_key`: it does not belong to `access_key_id`",
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => "give fresh keys with their `session_token`",
        "RequestTimeTooSkewed" => "set this machine's clock",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            "set `region` to the bucket's own"
        }
        "InvalidStorageClass" => "correct `storage_class`",
        "EntityTooLarge" => TOO_LARGE,
        "KeyTooLongError" => "shorten `prefix`: an object's name has 1024 bytes at the most",
        "QuotaExceeded" | "XMinioAdminBucketQuotaExceeded" => "make room in the bucket, or raise its quota",
        _ if code.starts_with("KMS.") => {
            "correct `sse_kms_key_id`, or let these credentials use that key: it is there, in use, and in the bucket's region"
        }
        "MethodNotAllowed" | "NotImplemented" => {
            "this server lacks what we ask of it: leave out `storage_class` and `sse`"
        }
        _ => match status {
            301 | 307 => "set `region` to the bucket's own",
            401 | 403 => "check the credentials, and their rights on the bucket",
            404 => "create the bucket, or correct `bucket` and `endpoint`",
            413 => TOO_LARGE,
            400 | 405 | 411 | 412 | 414..=416 => "check `bucket`, `region`, `endpoint` and `path_style`",
            _ => return None,
        },
    })
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let headers = response.headers().iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    retry_after::retry_after(&headers.collect(), Utc::now())
}

fn causes(error: &dyn Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
