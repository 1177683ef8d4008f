//! How a request's body is compressed.

use std::io::{self, Write};

use bytes::Bytes;
use serde::Deserialize;

use crate::DeliveryError;

/// How a request's body is compressed on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As it is.
    None,
    /// gzip
    #[default]
    Gzip,
    /// Zstandard
    Zstd,
}

impl Compression {
    /// The value of `Content-Encoding`, where there is to be one.
    #[must_use]
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The compressed body, made on a thread where nobody else has to wait for it. The same bytes for the same body.
    pub async fn pack(self, body: Bytes) -> Result<Bytes, DeliveryError> {
        if self == Self::None {
            return Ok(body);
        }
        tokio::task::spawn_blocking(move || self.packed(&body))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| DeliveryError::retryable("cannot compress a request", error))
    }

    fn packed(self, body: &[u8]) -> io::Result<Bytes> {
        let packed = match self {
            Self::None => body.to_vec(),
            Self::Gzip => {
                let mut packer = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::default());
                packer.write_all(body)?;
                packer.finish()?
            }
            Self::Zstd => zstd::encode_all(body, 0)?,
        };
        Ok(Bytes::from(packed))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn packs_what_others_unpack() {
        let body = Bytes::from("{\"n\":1}\n".repeat(1000));
        assert_eq!(Compression::None.pack(body.clone()).await.unwrap(), body);
        let packed = Compression::Gzip.pack(body.clone()).await.unwrap();
        assert_eq!(packed, Compression::Gzip.pack(body.clone()).await.unwrap());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, body);
        let packed = Compression::Zstd.pack(body.clone()).await.unwrap();
        assert_eq!(zstd::decode_all(&*packed).unwrap(), body);
    }
}
