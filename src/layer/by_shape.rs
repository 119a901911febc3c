//! What a body is on a path that does not say it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::Body;

use super::{
    encoding::{Coding, Decoder},
    layer::Settings,
    policy::UnreadEndpoints,
    reply::extends_ascii,
    request::{ReadBody, Reader, Refusal, begins_json, charsets, first_letter, unreadable_coding},
    route::not_guarded,
    uploads::{holds_batch, is_multipart},
};
use crate::{
    error::BoxError,
    wire::{Endpoint, JsonLimits, Shape, WireFormat, shape_of},
};

/// What a body is.
#[derive(Debug)]
pub(super) enum Found {
    /// Chat.
    Chat(Arc<dyn WireFormat>, ReadBody),
    /// None of the layer's concern.
    Other,
}

impl Settings {
    /// Finds out what the body of a request to `endpoint` is, and reads no more of it than that takes.
    ///
    /// # Errors
    ///
    /// Where it makes a model run on text that is not read, or may do so and cannot be read.
    pub(super) async fn find<B>(
        &self,
        endpoint: Endpoint,
        headers: &HeaderMap,
        reader: &mut Reader<B>,
    ) -> Result<Found, Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let content_type = content_type(headers);
        if let Some(charset) = charsets(&content_type).find(|charset| !keeps_ascii(charset)) {
            // A service that heeds it reads other letters than these.
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_type",
                format!("the charset {charset} is not read"),
            ));
        }
        let coding = Coding::of(headers);
        if matches!(endpoint, Endpoint::Uploads)
            && self.unread_endpoints == UnreadEndpoints::Refuse
            && is_multipart(&content_type)
        {
            let body = self.read_upload(headers, reader).await?;
            return match holds_batch(&body, &self.formats) {
                true => Err(not_guarded("batches")),
                false => Ok(Found::Other),
            };
        }
        let raw_is_json = reader.may_be_json().await?;
        match coding {
            Ok(Coding::Identity) if !raw_is_json => Ok(Found::Other),
            Ok(Coding::Identity) => {
                let raw = reader.read_all().await?;
                let body = ReadBody {
                    decoded: raw.clone(),
                    raw,
                };
                self.judge_shape(endpoint, body)
            }
            Ok(coding) => match self.decode(coding, raw_is_json, reader).await? {
                Decoded::Other => Ok(Found::Other),
                Decoded::Body(body) => {
                    if raw_is_json && self.is_models(&endpoint, &body.raw) {
                        return Err(Refusal::new(
                            StatusCode::BAD_REQUEST,
                            "invalid_encoding",
                            "the body is a request to a model as it stands, and something else decoded",
                        ));
                    }
                    self.judge_shape(endpoint, body)
                }
                Decoded::Unreadable(refusal) => {
                    self.undecoded(endpoint, &content_type, raw_is_json, refusal, reader)
                        .await
                }
            },
            Err(error) => {
                let refusal = unreadable_coding(&error);
                self.undecoded(endpoint, &content_type, raw_is_json, refusal, reader)
                    .await
            }
        }
    }

    fn judge_shape(&self, endpoint: Endpoint, body: ReadBody) -> Result<Found, Refusal> {
        match shape_of(&body.decoded, &endpoint, &self.formats, &self.json_limits()) {
            Shape::Chat(format) => Ok(Found::Chat(format, body)),
            Shape::Unread { name } if self.unread_endpoints == UnreadEndpoints::Refuse => {
                Err(not_guarded(name))
            }
            _ => Ok(Found::Other),
        }
    }

    fn is_models(&self, endpoint: &Endpoint, body: &[u8]) -> bool {
        match shape_of(body, endpoint, &self.formats, &self.json_limits()) {
            Shape::Chat(_) => true,
            Shape::Unread { .. } => self.unread_endpoints == UnreadEndpoints::Refuse,
            Shape::Other => false,
        }
    }

    /// Decodes a body as it comes, as long as it may be JSON.
    async fn decode<B>(
        &self,
        coding: Coding,
        raw_is_json: bool,
        reader: &mut Reader<B>,
    ) -> Result<Decoded, Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut decoder = match Decoder::new(coding, self.limits.request_body) {
            Ok(decoder) => decoder,
            Err(error) => return Ok(Decoded::Unreadable(unreadable_coding(&error))),
        };
        let mut decoded = Vec::new();
        let (mut taken, mut searched, mut known) = (0, 0, false);
        loop {
            let piece = reader.read().get(taken..).unwrap_or_default();
            taken += piece.len();
            let result = decoder.push(piece, &mut decoded);
            if !known && let Some(letter) = decoded.get(searched..).and_then(first_letter) {
                known = true;
                if !begins_json(letter) && !raw_is_json {
                    return Ok(Decoded::Other);
                }
            }
            searched = decoded.len();
            if let Err(error) = result {
                let refusal = unreadable_coding(&error);
                // What decodes to the beginning of JSON may be chat, whatever follows.
                return if known {
                    Err(refusal)
                } else {
                    Ok(Decoded::Unreadable(refusal))
                };
            }
            if !reader.next().await? {
                break;
            }
        }
        if let Err(error) = decoder.finish(&mut decoded) {
            let refusal = unreadable_coding(&error);
            return if known {
                Err(refusal)
            } else {
                Ok(Decoded::Unreadable(refusal))
            };
        }
        Ok(Decoded::Body(ReadBody {
            raw: reader.read_all().await?,
            decoded: decoded.into(),
        }))
    }

    /// A body in a coding that cannot be read: it passes only if it can be no request to a model, for those who look at the coding and
    /// for those who do not.
    async fn undecoded<B>(
        &self,
        endpoint: Endpoint,
        content_type: &str,
        raw_is_json: bool,
        refusal: Refusal,
        reader: &mut Reader<B>,
    ) -> Result<Found, Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let is_refused = match raw_is_json {
            true => {
                let raw = reader.read_all().await?;
                self.is_models(&endpoint, &raw) || may_be_chat(content_type)
            }
            false => may_be_chat(content_type),
        };
        match is_refused {
            true => Err(refusal),
            false => Ok(Found::Other),
        }
    }

    async fn read_upload<B>(
        &self,
        headers: &HeaderMap,
        reader: &mut Reader<B>,
    ) -> Result<Bytes, Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let raw = reader.read_all().await?;
        Ok(super::request::decode_body(headers, raw, &self.limits)?.decoded)
    }

    fn json_limits(&self) -> JsonLimits {
        JsonLimits {
            max_depth: self.limits.json_depth,
            ..JsonLimits::default()
        }
    }
}

/// What came of decoding.
enum Decoded {
    Body(ReadBody),
    /// It is no JSON.
    Other,
    /// Nothing came of it.
    Unreadable(Refusal),
}

/// Every content type that the headers name, in one.
fn content_type(headers: &HeaderMap) -> String {
    let values = headers.get_all(header::CONTENT_TYPE).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ")
}

/// Whether the letters of JSON's keys are the same bytes in `charset`, but for zeros between them.
fn keeps_ascii(charset: &str) -> bool {
    let charset = charset.to_ascii_lowercase();
    let is_foreign = [
        "utf-7",
        "utf7",
        "unicode-1-1-utf-7",
        "csunicode11utf7",
        "ibm",
        "cp037",
        "cp273",
        "cp280",
        "cp284",
        "cp285",
        "cp290",
        "cp297",
        "cp420",
        "cp424",
        "cp500",
        "cp870",
        "cp871",
        "cp875",
        "cp880",
        "cp905",
        "cp918",
        "cp1026",
        "cp1047",
        "cp1140",
        "cp114",
        "ebcdic",
        "hz",
        "iso-2022",
        "iso2022",
        "csiso2022",
        "punycode",
        "idna",
        "base64",
        "rot",
    ];
    extends_ascii(&charset)
        || !is_foreign
            .iter()
            .any(|foreign| charset.starts_with(foreign))
}

/// Whether a service that goes by the content type may read a body of this type as JSON.
fn may_be_chat(content_type: &str) -> bool {
    let types = content_type.to_ascii_lowercase();
    let media = types.split([';', ',']).next().unwrap_or_default().trim();
    media.is_empty() || types.contains("json") || media.starts_with("text/") || media == "*/*"
}
