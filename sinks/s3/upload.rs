//! How an object gets there: in one request, or in parts when it is large; whole, once, and as it was meant.

use std::error::Error;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption, StorageClass,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::S3;
use super::explain::Objection;
use super::pack::{Chunk, Piece, Rows};
use super::sign::{Answers, Sign};
use crate::DeliveryError;

/// Metadata of an object: the digest of its records, by which one that is there already is known for the same.
const DIGEST: &str = "auditline-sha256";

/// One object on its way.
pub(super) struct Upload<'a> {
    pub sink: &'a S3,
    pub client: &'a Client,
    pub key: String,
}

/// What the object under our name is.
enum There {
    Same,
    Other,
    /// We may not look.
    Unknown,
}

impl Upload<'_> {
    /// Packs and sends; returns how many bytes the object has.
    pub(super) async fn send(self, rows: Rows) -> Result<u64, DeliveryError> {
        let (tell, digest) = oneshot::channel();
        let (to, mut pieces) = mpsc::channel(1);
        // Columns take much more than lines do: one table at a time, whoever delivers.
        let turn = match rows {
            Rows::Table(..) => self.sink.tables.clone().acquire_owned().await.ok(),
            Rows::Lines(..) => None,
        };
        let packing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // Nobody listens any more where the upload was given up.
            if tell.send(rows.digest()).is_err() {
                return Ok(());
            }
            rows.pack(to)
        });
        let sent = match (digest.await, pieces.recv().await) {
            (Ok(digest), Some(Piece::Last(body))) => Some(self.put(body, &digest).await?),
            (Ok(digest), Some(Piece::Part(first))) => self.put_parts(first, &mut pieces, &digest).await?,
            _ => None,
        };
        if let Some(bytes) = sent {
            return Ok(bytes);
        }
        // It ended before its end, so it has a reason.
        let reason = match packing.await {
            Ok(Ok(())) => std::io::Error::other("the packing ended early"),
            Ok(Err(error)) => error,
            Err(error) => std::io::Error::other(error),
        };
        Err(DeliveryError::retryable("cannot pack the batch", reason))
    }

    async fn put(&self, body: Chunk, digest: &str) -> Result<u64, DeliveryError> {
        let bytes = body.bytes.len() as u64;
        if self.sink.asks_for_absence(&self.key) {
            match self.put_once(&body, digest, true).await {
                Ok(()) => return Ok(bytes),
                Err(error) => match Objection::of(&error) {
                    Objection::Exists if self.is_settled(digest).await? => return Ok(bytes),
                    Objection::Exists => {}
                    Objection::Condition => {
                        self.put_once(&body, digest, false).await.map_err(|error| self.explained(error))?;
                        self.sink.do_not_ask_for_absence();
                        return Ok(bytes);
                    }
                    Objection::Other => return Err(self.explained(error)),
                },
            }
        }
        self.put_once(&body, digest, false).await.map_err(|error| self.explained(error))?;
        Ok(bytes)
    }

    async fn put_once(&self, body: &Chunk, digest: &str, if_absent: bool) -> Result<(), Failed> {
        let config = &self.sink.config;
        let request = self
            .client
            .put_object()
            .bucket(&config.bucket)
            .key(&self.key)
            // No Content-Encoding: readers would unpack what is named `.gz`, and then unpack it again.
            .content_type(config.content_type())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_crc32(&body.crc32)
            .metadata(DIGEST, digest)
            .set_if_none_match(if_absent.then(|| "*".to_owned()))
            .set_storage_class(config.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(config.sse.map(ServerSideEncryption::from))
            .set_ssekms_key_id(config.sse_kms_key_id.clone())
            .body(ByteStream::from(body.bytes.clone()));
        let answers = Answers::default();
        let sent = request.customize().interceptor(answers.clone()).send().await;
        let answer = sent.map_err(|error| self.failed(error))?;
        match answer.checksum_crc32() {
            Some(stored) if stored != body.crc32 => {
                self.sink.progress.spoil(&self.key);
                return Err(Failed::Told(self.other_bytes(stored, &body.crc32)));
            }
            _ => {}
        }
        match answers.sign(answer.e_tag()) {
            Sign::S3 => Ok(()),
            Sign::None => self.confirm(body.bytes.len() as u64, digest).await.map_err(Failed::Told),
            Sign::Other => Err(Failed::Told(self.no_s3())),
        }
    }

    /// A first part and those that follow. `None` if their end does not come.
    async fn put_parts(
        &self,
        first: Chunk,
        pieces: &mut mpsc::Receiver<Piece>,
        digest: &str,
    ) -> Result<Option<u64>, DeliveryError> {
        let ended_older = self.abort_older().await;
        let mut upload = self.begin(digest).await?;
        let mut parts = Vec::new();
        let mut bytes = 0;
        let mut next = Some(Piece::Part(first));
        let is_whole = loop {
            let (body, is_last) = match next {
                Some(Piece::Part(body)) => (body, false),
                Some(Piece::Last(body)) => (body, true),
                None => break false,
            };
            bytes += body.bytes.len() as u64;
            parts.push(self.put_part(&upload, parts.len() as i32 + 1, body).await?);
            if is_last {
                break true;
            }
            next = pieces.recv().await;
        };
        if !is_whole {
            upload.abort().await;
            return Ok(None);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        // From here on the server may be making the object of it, whatever becomes of our request. Ended meanwhile, it would
        // leave an object without its parts on a server that does one and the other at the same time.
        let id = upload.id.take();
        let outcome = self.complete(id.clone(), parts, digest, ended_older).await;
        // It is known that nothing became of it.
        if matches!(outcome, Ok(false) | Err(DeliveryError::Refused { .. })) {
            upload.id = id;
            upload.abort().await;
        }
        outcome.map(|_| Some(bytes))
    }

    async fn begin(&self, digest: &str) -> Result<Pending, DeliveryError> {
        let config = &self.sink.config;
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&config.bucket)
            .key(&self.key)
            .content_type(config.content_type())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .metadata(DIGEST, digest)
            .set_storage_class(config.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(config.sse.map(ServerSideEncryption::from))
            .set_ssekms_key_id(config.sse_kms_key_id.clone());
        let answer = request.send().await.map_err(|error| self.explained(self.failed(error)))?;
        let Some(id) = answer.upload_id() else { return Err(self.no_s3()) };
        Ok(Pending {
            client: self.client.clone(),
            bucket: config.bucket.clone(),
            key: self.key.clone(),
            id: Some(id.to_owned()),
        })
    }

    async fn put_part(&self, upload: &Pending, number: i32, body: Chunk) -> Result<CompletedPart, DeliveryError> {
        let request = self
            .client
            .upload_part()
            .bucket(&self.sink.config.bucket)
            .key(&self.key)
            .set_upload_id(upload.id.clone())
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_crc32(&body.crc32)
            .body(ByteStream::from(body.bytes.clone()));
        let answers = Answers::default();
        let sent = request.customize().interceptor(answers.clone()).send().await;
        let answer = sent.map_err(|error| self.explained(self.failed(error)))?;
        match answer.checksum_crc32() {
            Some(stored) if stored != body.crc32 => Err(self.other_bytes(stored, &body.crc32)),
            // Whether it has the part, it says in the end.
            _ if answers.sign(answer.e_tag()) == Sign::Other => Err(self.no_s3()),
            // A server that keeps no checksum of a part must not be asked to compare it in the end.
            stored => {
                let Some(tag) = answer.e_tag() else { return Err(self.no_s3()) };
                let part = CompletedPart::builder().part_number(number).e_tag(tag);
                Ok(part.set_checksum_crc32(stored.map(str::to_owned)).build())
            }
        }
    }

    /// Whether the upload became the object. Otherwise the same object was there before.
    ///
    /// Where an older upload of it has just been ended, that object may be what is left of it, and is replaced.
    async fn complete(
        &self,
        upload: Option<String>,
        parts: CompletedMultipartUpload,
        digest: &str,
        ended_older: bool,
    ) -> Result<bool, DeliveryError> {
        let once = async |if_absent: bool| {
            let request = self.client.complete_multipart_upload().bucket(&self.sink.config.bucket).key(&self.key);
            let request = request.set_upload_id(upload.clone()).multipart_upload(parts.clone());
            let request = request.set_if_none_match(if_absent.then(|| "*".to_owned()));
            let answers = Answers::default();
            let sent = request.customize().interceptor(answers.clone()).send().await;
            let answer = sent.map_err(|error| self.failed(error))?;
            if answers.is_whole() && answer.e_tag().is_some() { Ok(()) } else { Err(Failed::Told(self.no_s3())) }
        };
        if self.sink.asks_for_absence(&self.key) {
            match once(true).await {
                Ok(()) => return Ok(true),
                Err(error) => match Objection::of(&error) {
                    Objection::Exists if self.is_settled(digest).await? && !ended_older => return Ok(false),
                    Objection::Exists => {}
                    Objection::Condition => {
                        once(false).await.map_err(|error| self.explained(error))?;
                        self.sink.do_not_ask_for_absence();
                        return Ok(true);
                    }
                    Objection::Other => return Err(self.explained(error)),
                },
            }
        }
        once(false).await.map_err(|error| self.explained(error))?;
        Ok(true)
    }

    /// Uploads of this very object that a process before us began and did not live to end. They are paid for, and no list
    /// of objects shows them. Says whether there were any.
    async fn abort_older(&self) -> bool {
        let bucket = &self.sink.config.bucket;
        let listed = self.client.list_multipart_uploads().bucket(bucket).prefix(&self.key).send().await;
        let uploads = match listed {
            Ok(listed) => listed.uploads.unwrap_or_default(),
            Err(error) => {
                tracing::debug!(bucket, key = self.key, error = %self.sink.explained(error), "cannot look for unfinished uploads");
                return false;
            }
        };
        let mut ended = false;
        for upload in uploads.into_iter().filter(|upload| upload.key() == Some(&self.key)) {
            let Some(id) = upload.upload_id() else { continue };
            tracing::debug!(bucket, key = self.key, id, "ends an upload that was never finished");
            let request = self.client.abort_multipart_upload().bucket(bucket).key(&self.key).upload_id(id);
            let _ = request.send().await;
            ended = true;
        }
        ended
    }

    /// Whether the object under our name is the same, so that nothing is left to do; `false` if it may be overwritten.
    async fn is_settled(&self, digest: &str) -> Result<bool, DeliveryError> {
        match self.look(digest).await? {
            There::Same => Ok(true),
            // Its name is that of the batch: what is there was written by one like us.
            There::Unknown => Ok(false),
            There::Other => Err(DeliveryError::Refused {
                message: format!("`{}` is there already, and holds other records", self.key),
                hint: "something else writes below this `prefix`: choose another one; or, if the object may be \
                       replaced, set `if_absent = false`"
                    .to_owned(),
                source: None,
            }),
        }
    }

    async fn look(&self, digest: &str) -> Result<There, DeliveryError> {
        let bucket = &self.sink.config.bucket;
        match self.client.head_object().bucket(bucket).key(&self.key).send().await {
            Ok(head) => {
                let found = head.metadata().and_then(|metadata| metadata.get(DIGEST));
                Ok(if found.is_some_and(|found| found == digest) { There::Same } else { There::Other })
            }
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 403) => {
                tracing::debug!(
                    bucket,
                    key = self.key,
                    "may not look at the object that is there: it is written again"
                );
                Ok(There::Unknown)
            }
            Err(error) => match self.sink.explained(error) {
                // Gone since.
                DeliveryError::Refused { message, source, .. } => {
                    Err(DeliveryError::Retryable { message, retry_after: None, source })
                }
                error => Err(error),
            },
        }
    }

    /// The answer to the upload could be anybody's: the object itself tells whether it is there as it was sent.
    async fn confirm(&self, bytes: u64, digest: &str) -> Result<(), DeliveryError> {
        let bucket = &self.sink.config.bucket;
        match self.client.head_object().bucket(bucket).key(&self.key).send().await {
            Ok(head) => {
                let size = head.content_length().and_then(|size| u64::try_from(size).ok());
                let found = head.metadata().and_then(|metadata| metadata.get(DIGEST));
                let is_ours = size == Some(bytes) && found.is_some_and(|found| found == digest);
                if is_ours { Ok(()) } else { Err(self.no_s3()) }
            }
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 403) => {
                Err(DeliveryError::Refused {
                    message: format!(
                        "the server's answer does not tell that `{}` is stored, and these credentials may not look",
                        self.key
                    ),
                    hint: "grant `s3:GetObject` below `prefix` to these credentials, and see that `endpoint` is an S3 server"
                        .to_owned(),
                    source: None,
                })
            }
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => {
                Err(self.no_s3())
            }
            Err(error) => Err(self.sink.explained(error)),
        }
    }

    fn no_s3(&self) -> DeliveryError {
        DeliveryError::Retryable {
            message: format!(
                "`{}` was answered as if all were well, but not as S3 does: is `endpoint` an S3 server?",
                self.key
            ),
            retry_after: None,
            source: None,
        }
    }

    fn other_bytes(&self, stored: &str, sent: &str) -> DeliveryError {
        DeliveryError::Retryable {
            message: format!("`{}` was stored with CRC32 {stored} where {sent} was sent", self.key),
            retry_after: None,
            source: None,
        }
    }

    fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> Failed
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        Failed::Answer {
            status: error.raw_response().map(|answer| answer.status().as_u16()),
            code: error.code().map(str::to_owned),
            error: self.sink.explained(error),
        }
    }

    fn explained(&self, failed: Failed) -> DeliveryError {
        match failed {
            Failed::Told(error) => error,
            Failed::Answer { error, .. } => error,
        }
    }
}

/// Why a request did not do what it was to.
pub(super) enum Failed {
    /// We know already.
    Told(DeliveryError),
    /// The server said so, with a status and a code.
    Answer { status: Option<u16>, code: Option<String>, error: DeliveryError },
}

/// A multipart upload that is neither an object nor gone. Dropped, it is aborted.
struct Pending {
    client: Client,
    bucket: String,
    key: String,
    id: Option<String>,
}

impl Pending {
    async fn abort(mut self) {
        if let Some(abort) = self.aborting() {
            abort.await;
        }
    }

    fn aborting(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request = request.upload_id(self.id.take()?);
        Some(async move {
            // What stays is found when the batch comes again.
            if let Err(error) = request.send().await {
                tracing::debug!(code = error.code(), "an unfinished upload could not be ended");
            }
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(abort) = self.aborting()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(abort);
        }
    }
}
