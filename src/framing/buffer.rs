//! Bytes that wait to be cut.

use bytes::{Bytes, BytesMut};

/// What has come and is not cut yet. What lies in one piece is cut as a slice of it; only what lies across pieces is joined,
/// in time and memory that grow with the bytes.
#[derive(Debug)]
pub(super) enum Buffer {
    Piece(Bytes),
    Joined(BytesMut),
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Piece(Bytes::new())
    }
}

impl Buffer {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            *self = Self::Piece(bytes);
            return;
        }
        if let Self::Piece(first) = self {
            let mut joined = BytesMut::with_capacity(first.len() + bytes.len());
            joined.extend_from_slice(first);
            *self = Self::Joined(joined);
        }
        if let Self::Joined(joined) = self {
            joined.extend_from_slice(&bytes);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Piece(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    /// All of it, where it is in one piece.
    pub(super) fn piece(&self) -> Option<&Bytes> {
        match self {
            Self::Piece(bytes) => Some(bytes),
            Self::Joined(_) => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Cuts off the first `length` bytes, or all there are.
    pub(super) fn split_to(&mut self, length: usize) -> Bytes {
        let length = length.min(self.len());
        match self {
            Self::Piece(bytes) => bytes.split_to(length),
            Self::Joined(bytes) => bytes.split_to(length).freeze(),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
