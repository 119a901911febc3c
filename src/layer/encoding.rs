//! Content codings: reading gzip, deflate, br and zstd, pushed piece by piece, under a limit.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderValue, header};
use zstd::stream::raw::{DParameter, Operation};

/// The codings that the layer reads, as it asks an upstream for them.
pub(super) const READABLE: [&str; 6] = ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"];

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why an encoded body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodingError {
    /// A coding that the layer does not know, or several on top of each other.
    #[error("the content coding `{0}` is not supported")]
    Unknown(String),
    /// Not what the coding says.
    #[error("the body is not valid {coding:?}")]
    Invalid {
        coding: Coding,
        #[source]
        source: io::Error,
    },
    /// More decoded bytes than the limit.
    #[error("the decoded body is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl Coding {
    /// The one coding that `headers` name.
    ///
    /// # Errors
    ///
    /// Where they name one that is not known, or more than one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, CodingError> {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let text = value
                .to_str()
                .map_err(|_| CodingError::Unknown("(not ASCII)".to_owned()))?;
            for name in text
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
            {
                let found =
                    Self::named(name).ok_or_else(|| CodingError::Unknown(text.to_owned()))?;
                match (coding, found) {
                    (_, Self::Identity) => {}
                    (Self::Identity, found) => coding = found,
                    _ => return Err(CodingError::Unknown(text.to_owned())),
                }
            }
        }
        Ok(coding)
    }

    fn named(name: &str) -> Option<Self> {
        let known = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, coding)| *coding)
    }
}

/// Narrows `accept-encoding` to what the layer reads, so that the upstream answers in a coding that can be checked.
pub(super) fn ask_for_readable(headers: &mut HeaderMap) {
    let mut kept: Vec<String> = Vec::new();
    let mut asked = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        asked = true;
        let Ok(text) = value.to_str() else { continue };
        for item in text.split(',').map(str::trim) {
            let name = item.split(';').next().unwrap_or(item).trim();
            if READABLE
                .iter()
                .any(|readable| name.eq_ignore_ascii_case(readable))
            {
                kept.push(item.to_owned());
            }
        }
    }
    if !asked {
        return;
    }
    let value = if kept.is_empty() {
        "identity".to_owned()
    } else {
        kept.join(", ")
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(header::ACCEPT_ENCODING, value);
    }
}

/// The codings that a client asks for by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Accepted(Vec<Coding>);

impl Accepted {
    /// Reads them from a request's headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let items = values.filter_map(|value| value.to_str().ok());
        let codings = items.flat_map(|text| text.split(',')).filter_map(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start();
            let weight = weight.trim_start_matches('=').trim();
            let is_refused =
                !weight.is_empty() && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'));
            Coding::named(name.trim()).filter(|_| !is_refused)
        });
        Self(codings.collect())
    }

    /// Whether an encoded body may go to the client as it is: it asked for the coding, and nobody can read the bytes as anything
    /// else. Brotli and bare deflate can be made to be text as they stand.
    pub(super) fn allow(&self, coding: Coding, raw: &[u8]) -> bool {
        let has_mark = match coding {
            Coding::Identity => return true,
            Coding::Gzip => raw.starts_with(b"\x1f\x8b"),
            Coding::Zstd => raw.starts_with(b"\x28\xb5\x2f\xfd"),
            Coding::Deflate | Coding::Brotli => false,
        };
        self.0.contains(&coding) && (has_mark || std::str::from_utf8(raw).is_err())
    }
}

/// Decodes a body that comes in pieces.
pub(super) struct Decoder {
    coding: Coding,
    state: State,
    /// Whether the limit is for each piece rather than for the whole body.
    each_piece: bool,
}

enum State {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    /// `deflate` is zlib by its standard and a bare deflate stream by habit; the first two bytes tell.
    DeflateStart(Vec<u8>, Sink),
    Zlib(Box<ZlibDecoder<Sink>>),
    Deflate(Box<DeflateDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<Frames>),
    Broken,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

/// Where decoded bytes land; refuses those over its limit, so that a bomb stops while it is decoded.
#[derive(Debug)]
struct Sink {
    bytes: Vec<u8>,
    total: usize,
    limit: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("over the limit")]
struct OverLimit;

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(piece.len());
        if self.total > self.limit {
            return Err(io::Error::other(OverLimit));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The frames of a zstd body; knows whether the last one is whole.
struct Frames {
    decoder: zstd::stream::raw::Decoder<'static>,
    sink: Sink,
    open: bool,
}

impl Frames {
    fn new(sink: Sink) -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        // A window of 8 MiB is what the HTTP coding allows (RFC 9659).
        decoder.set_parameter(DParameter::WindowLogMax(23))?;
        Ok(Self {
            decoder,
            sink,
            open: false,
        })
    }

    fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        loop {
            let status = self.decoder.run_on_buffers(piece, &mut buffer)?;
            piece = piece.get(status.bytes_read..).unwrap_or_default();
            let decoded = buffer.get(..status.bytes_written).unwrap_or_default();
            self.sink.write_all(decoded)?;
            self.open = status.remaining != 0;
            if piece.is_empty() && decoded.len() < buffer.len() {
                return Ok(());
            }
        }
    }

    fn finish(&self) -> io::Result<()> {
        if self.open {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

impl Decoder {
    /// A decoder of `coding` that decodes at most `limit` bytes in all.
    ///
    /// # Errors
    ///
    /// Where the coding's decoder cannot be made.
    pub(super) fn new(coding: Coding, limit: usize) -> Result<Self, CodingError> {
        let sink = Sink {
            bytes: Vec::new(),
            total: 0,
            limit,
        };
        let state = match coding {
            Coding::Identity => State::Identity(sink),
            Coding::Gzip => State::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Deflate => State::DeflateStart(Vec::new(), sink),
            Coding::Brotli => State::Brotli(Box::new(DecompressorWriter::new(sink, 16 << 10))),
            Coding::Zstd => {
                let decoder =
                    Frames::new(sink).map_err(|source| CodingError::Invalid { coding, source })?;
                State::Zstd(Box::new(decoder))
            }
        };
        Ok(Self {
            coding,
            state,
            each_piece: false,
        })
    }

    /// A decoder of a stream without an end, each piece of which decodes to at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Where the coding's decoder cannot be made.
    pub(super) fn streaming(coding: Coding, limit: usize) -> Result<Self, CodingError> {
        Ok(Self {
            each_piece: true,
            ..Self::new(coding, limit)?
        })
    }

    /// Decodes the next piece and appends what it yields to `out`.
    ///
    /// # Errors
    ///
    /// Where it is not what the coding says, or decodes to more than the limit.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), CodingError> {
        let result = self.write(piece);
        self.drain(out);
        result.map_err(|source| self.error(source))
    }

    /// Notes the end of the body.
    ///
    /// # Errors
    ///
    /// Where the coding's own end has not come.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), CodingError> {
        let result = match &mut self.state {
            State::Identity(_) => Ok(()),
            State::Gzip(decoder) => decoder.try_finish(),
            State::DeflateStart(start, _) if start.is_empty() => Ok(()),
            State::DeflateStart(..) | State::Broken => Err(io::ErrorKind::UnexpectedEof.into()),
            State::Zlib(decoder) => decoder.try_finish(),
            State::Deflate(decoder) => decoder.try_finish(),
            State::Brotli(decoder) => decoder.close(),
            State::Zstd(decoder) => decoder.finish(),
        };
        self.drain(out);
        result.map_err(|source| self.error(source))
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Identity(sink) => sink.write_all(piece),
            State::Gzip(decoder) => decoder.write_all(piece),
            State::Zlib(decoder) => decoder.write_all(piece),
            State::Deflate(decoder) => decoder.write_all(piece),
            State::Brotli(decoder) => decoder.write_all(piece),
            State::Zstd(decoder) => decoder.write(piece),
            State::Broken => Err(io::ErrorKind::InvalidData.into()),
            State::DeflateStart(start, _) => {
                start.extend_from_slice(piece);
                let [first, second, ..] = start[..] else {
                    return Ok(());
                };
                let State::DeflateStart(start, sink) =
                    std::mem::replace(&mut self.state, State::Broken)
                else {
                    return Ok(());
                };
                let is_zlib =
                    first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0;
                self.state = if is_zlib {
                    State::Zlib(Box::new(ZlibDecoder::new(sink)))
                } else {
                    State::Deflate(Box::new(DeflateDecoder::new(sink)))
                };
                self.write(&start)
            }
        }
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        // The zlib decoders hold decoded bytes back until they are flushed.
        let _ = match &mut self.state {
            State::Gzip(decoder) => decoder.flush(),
            State::Zlib(decoder) => decoder.flush(),
            State::Deflate(decoder) => decoder.flush(),
            State::Brotli(decoder) => decoder.flush(),
            State::Identity(_) | State::DeflateStart(..) | State::Zstd(_) | State::Broken => Ok(()),
        };
        let sink = match &mut self.state {
            State::Identity(sink) | State::DeflateStart(_, sink) => sink,
            State::Gzip(decoder) => decoder.get_mut(),
            State::Zlib(decoder) => decoder.get_mut(),
            State::Deflate(decoder) => decoder.get_mut(),
            State::Brotli(decoder) => decoder.get_mut(),
            State::Zstd(decoder) => &mut decoder.sink,
            State::Broken => return,
        };
        out.append(&mut sink.bytes);
        if self.each_piece && sink.total <= sink.limit {
            sink.total = 0;
        }
    }

    fn error(&self, source: io::Error) -> CodingError {
        let limit = match &self.state {
            State::Identity(sink) | State::DeflateStart(_, sink) => (sink.total, sink.limit),
            State::Gzip(decoder) => (decoder.get_ref().total, decoder.get_ref().limit),
            State::Zlib(decoder) => (decoder.get_ref().total, decoder.get_ref().limit),
            State::Deflate(decoder) => (decoder.get_ref().total, decoder.get_ref().limit),
            State::Brotli(decoder) => (decoder.get_ref().total, decoder.get_ref().limit),
            State::Zstd(decoder) => (decoder.sink.total, decoder.sink.limit),
            State::Broken => (0, 0),
        };
        if limit.0 > limit.1 {
            CodingError::TooLarge { limit: limit.1 }
        } else {
            CodingError::Invalid {
                coding: self.coding,
                source,
            }
        }
    }
}

/// Decodes a whole body.
///
/// # Errors
///
/// As [`Decoder::push`] and [`Decoder::finish`].
pub(super) fn decode(coding: Coding, body: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut decoder = Decoder::new(coding, limit)?;
    let mut out = Vec::new();
    decoder.push(body, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn any_cut_of_gzip_decodes_the_same() {
        let text = b"some text that is worth packing, packing, packing".repeat(20);
        let packed = gzip(&text);
        for cut in 0..packed.len() {
            let mut decoder = Decoder::new(Coding::Gzip, 1 << 20).unwrap();
            let mut out = Vec::new();
            decoder.push(&packed[..cut], &mut out).unwrap();
            decoder.push(&packed[cut..], &mut out).unwrap();
            decoder.finish(&mut out).unwrap();
            assert_eq!(out, text);
        }
    }

    #[test]
    fn concatenated_members_are_all_read() {
        let both = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decode(Coding::Gzip, &both, 100).unwrap(), b"one two");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; 10 << 20]);
        assert!(matches!(
            decode(Coding::Gzip, &bomb, 1 << 20),
            Err(CodingError::TooLarge { .. })
        ));
        let bomb = zstd::encode_all(&vec![b' '; 10 << 20][..], 3).unwrap();
        assert!(matches!(
            decode(Coding::Zstd, &bomb, 1 << 20),
            Err(CodingError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_cut_off_body_is_an_error() {
        let packed = gzip(b"some text that is worth packing");
        assert!(decode(Coding::Gzip, &packed[..packed.len() - 9], 100).is_err());
        let packed = zstd::encode_all(&b"some text"[..], 3).unwrap();
        assert!(decode(Coding::Zstd, &packed[..packed.len() - 2], 100).is_err());
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let packed = [gzip(b"one"), b"and more".to_vec()].concat();
        assert!(decode(Coding::Gzip, &packed, 100).is_err());
    }

    #[test]
    fn an_encoded_body_goes_on_where_it_was_asked_for_and_is_nothing_else() {
        let accepted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            Accepted::of(&headers)
        };
        let packed = gzip(b"text");
        assert!(accepted("br, gzip;q=0.5").allow(Coding::Gzip, &packed));
        assert!(accepted("X-GZIP").allow(Coding::Gzip, &packed));
        assert!(!accepted("gzip;q=0").allow(Coding::Gzip, &packed));
        assert!(!accepted("gzip; q = 0.00").allow(Coding::Gzip, &packed));
        assert!(!accepted("br").allow(Coding::Gzip, &packed));
        assert!(!Accepted::default().allow(Coding::Gzip, &packed));
        assert!(accepted("br").allow(Coding::Brotli, b"\x0b\x02\x80text\x03"));
        assert!(!accepted("br").allow(Coding::Brotli, b"{\"a\":1}"));
        assert!(Accepted::default().allow(Coding::Identity, b"{}"));
    }

    #[test]
    fn several_codings_and_unknown_ones_are_refused() {
        for value in ["gzip, br", "lzma", "gzip;q=1"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
            assert!(Coding::of(&headers).is_err(), "{value}");
        }
    }
}
