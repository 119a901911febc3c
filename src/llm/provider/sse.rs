//! The `data` of server-sent events, at any cut of the bytes.

/// The most bytes of one event.
const EVENT_LIMIT: usize = 1 << 20;

/// An event is longer than the limit.
#[derive(Debug, thiserror::Error)]
#[error("an event of the stream is longer than {EVENT_LIMIT} bytes")]
pub(super) struct TooLong;

/// Cuts bytes into lines and lines into events.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    line: Vec<u8>,
    data: Option<String>,
    after_carriage_return: bool,
}

impl SseReader {
    /// The `data` of each event that `bytes` complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_of_pair = std::mem::take(&mut self.after_carriage_return) && byte == b'\n';
            match byte {
                b'\n' if second_of_pair => {}
                b'\r' | b'\n' => {
                    self.after_carriage_return = byte == b'\r';
                    events.extend(self.end_line()?);
                }
                _ if self.line.len() >= EVENT_LIMIT => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The event that the end of the bytes completes.
    pub(super) fn finish(&mut self) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            events.extend(self.end_line()?);
        }
        events.extend(self.data.take());
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        if self.line.is_empty() {
            return Ok(self.data.take());
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if name == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() >= EVENT_LIMIT => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}
