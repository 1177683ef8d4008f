//! The SDK's requests through the client that all sinks share: one form of `tls`, and one way to say what went wrong.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use reqwest::Body;

use crate::DeliveryError;
use crate::http_client::Client;

/// Hands requests to the shared client.
#[derive(Clone)]
pub(super) struct Transport(Arc<Client>);

/// Why a request brought no answer, on its way through the SDK.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unanswered(DeliveryError);

impl Transport {
    pub fn new(client: Client) -> Self {
        Self(Arc::new(client))
    }

    /// As the SDK wants it.
    pub fn shared(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    async fn send(client: Arc<Client>, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error: Box<dyn Error + Send + Sync>| ConnectorError::user(error);
        let request = request.try_into_http1x().map_err(|error| user(error.into()))?.map(Body::wrap);
        let request = reqwest::Request::try_from(request).map_err(|error| user(error.into()))?;
        match client.execute(request).await {
            Ok(answer) => {
                let answer = http::Response::<Body>::from(answer).map(SdkBody::from_body_1_x);
                HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
            }
            Err(error) => Err(ConnectorError::other(Unanswered(error).into(), None)),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(Self::send(Arc::clone(&self.0), request))
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// What the shared client said of a request, where that is why the SDK failed.
pub(super) fn said<E>(error: SdkError<E, HttpResponse>) -> Result<DeliveryError, Box<SdkError<E, HttpResponse>>>
where
    E: Error + Send + Sync + 'static,
{
    let is_ours = |error: &ConnectorError| error.source().is_some_and(|source| source.is::<Unanswered>());
    match error {
        SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(is_ours) => {
            let failure = SdkError::<E, HttpResponse>::DispatchFailure(failure).into_source()?;
            let connector = failure.downcast::<ConnectorError>().map(|error| error.into_source());
            match connector.and_then(|source| source.downcast::<Unanswered>()) {
                Ok(unanswered) => Ok(unanswered.0),
                Err(error) => Err(Box::new(SdkError::construction_failure(error))),
            }
        }
        error => Err(Box::new(error)),
    }
}
