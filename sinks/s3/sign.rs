//! By what an answer is known for that of an S3, where status 200 alone may be anybody's: a proxy's page to log in, for one.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};

/// What comes back from an upload, of which the SDK hands on no more than the headers it knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Option<Answer>>>);

/// The last one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    /// Its headers have names that nobody gives but an S3.
    is_signed: bool,
    body: Vec<u8>,
}

/// What an answer to an upload is, where the status says that all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// An S3's.
    S3,
    /// Nothing speaks against it, and nothing for it.
    None,
    /// No S3's.
    Other,
}

impl Answers {
    /// To a request that is answered by headers alone: an object, or a part of one.
    pub fn sign(&self, tag: Option<&str>) -> Sign {
        match (self.last(), tag) {
            (Some(answer), Some(tag)) if answer.body.is_empty() && !tag.starts_with("W/") => match answer.is_signed {
                true => Sign::S3,
                false => Sign::None,
            },
            _ => Sign::Other,
        }
    }

    /// To the request that puts an object together, of which the server tells in XML. What is cut off may have been about to say
    /// something else.
    pub fn is_whole(&self) -> bool {
        self.last().is_some_and(|answer| closes(&answer.body, "CompleteMultipartUploadResult"))
    }

    fn last(&self) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether XML ends with the end of this element, whatever the prefix of its namespace.
fn closes(xml: &[u8], element: &str) -> bool {
    let end = xml.trim_ascii_end().strip_suffix(b">").map(<[u8]>::trim_ascii_end);
    let tag = end.and_then(|text| Some(&text[text.iter().rposition(|byte| *byte == b'<')? + 1..]));
    let Some(name) = tag.and_then(|tag| tag.strip_prefix(b"/")) else { return false };
    name.rsplit(|byte| *byte == b':').next() == Some(element.as_bytes())
}

/// AWS, and those that imitate it, name each request; others tell of a checksum, a version or a key, or who they are.
fn is_of_s3(name: &str) -> bool {
    ["x-amz-", "x-goog-", "x-guploader-", "x-minio-", "x-oss-", "x-cos-", "x-obs-", "x-rgw-"]
        .iter()
        .any(|known| name.starts_with(known))
}

impl Intercept for Answers {
    fn name(&self) -> &'static str {
        "Answers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let said = Answer {
            is_signed: answer.headers().iter().any(|(name, _)| is_of_s3(&name.to_ascii_lowercase())),
            // It was read for the SDK to take in. One that was not is none of these.
            body: answer.body().bytes().unwrap_or(b"?").to_vec(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        Ok(())
    }
}

/// The token of temporary keys, wherever the SDK got them, which a server may repeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Token(Arc<Mutex<Option<Arc<str>>>>);

impl Token {
    /// That of the last request.
    pub fn last(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Intercept for Token {
    fn name(&self) -> &'static str {
        "Token"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(token) = context.request().headers().get("x-amz-security-token") {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(is_signed: bool, body: &str) -> Answers {
        let answer = Answer { is_signed, body: body.as_bytes().to_vec() };
        Answers(Arc::new(Mutex::new(Some(answer))))
    }

    #[test]
    fn an_upload_is_answered_without_a_body_and_with_a_tag_of_its_own() {
        assert_eq!(heard(true, "").sign(Some("\"e\"")), Sign::S3);
        assert_eq!(heard(false, "").sign(Some("\"e\"")), Sign::None);
        assert_eq!(heard(true, "").sign(None), Sign::Other);
        assert_eq!(heard(true, "").sign(Some("W/\"5c-abc\"")), Sign::Other);
        assert_eq!(heard(true, "<html></html>").sign(Some("\"e\"")), Sign::Other);
        assert_eq!(Answers::default().sign(Some("\"e\"")), Sign::Other);
    }

    #[test]
    fn what_is_cut_off_does_not_close() {
        let whole =
            "<?xml version=\"1.0\"?>\n<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult >\n";
        assert!(heard(true, whole).is_whole());
        assert!(heard(true, "<s:CompleteMultipartUploadResult></s:CompleteMultipartUploadResult>").is_whole());
        for end in 0..whole.trim_end().len() {
            assert!(!heard(true, &whole[..end]).is_whole(), "{}", &whole[..end]);
        }
        assert!(!heard(true, "<html><body></body></html>").is_whole());
    }
}
