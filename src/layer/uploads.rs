//! Uploads of files with requests for a model in them: the input of batches.

use std::sync::Arc;

use crate::wire::{Endpoint, JsonLimits, Shape, WireFormat, shape_of};

/// Whether a body of this content type is a form with files.
pub(super) fn is_multipart(content_type: &str) -> bool {
    content_type.to_ascii_lowercase().contains("multipart/")
}

/// Whether an upload says that it is the input of a batch, or is one.
///
/// The form is not parsed: readers differ on odd ones. Every value that some reader takes for the purpose counts, and every line that
/// begins as a request to a model does.
pub(super) fn holds_batch(body: &[u8], formats: &[Arc<dyn WireFormat>]) -> bool {
    says_batch(body)
        || body
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .any(|line| is_request(line, formats))
}

/// Whether a part whose head names a `purpose` has the value `batch`.
fn says_batch(body: &[u8]) -> bool {
    /// A part's value that is longer is none.
    const VALUE: usize = 256;
    let lower = body.to_ascii_lowercase();
    memchr::memmem::find_iter(&lower, b"purpose").any(|at| {
        let rest = lower.get(at..).unwrap_or_default();
        // The value stands behind the head's empty line.
        let head = rest.get(..rest.len().min(4096)).unwrap_or_default();
        let crlf = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
        let lf = memchr::memmem::find(head, b"\n\n").map(|at| at + 2);
        let ends = [crlf, lf];
        ends.into_iter().flatten().any(|end| {
            let value = rest.get(end..).unwrap_or_default();
            let value = value.get(..value.len().min(VALUE)).unwrap_or_default();
            let value = value
                .split(|byte| matches!(byte, b'\r' | b'\n'))
                .next()
                .unwrap_or_default();
            let value = value.trim_ascii();
            value == b"batch" || value.starts_with(b"batch_") || value == b"\"batch\""
        })
    })
}

/// Whether a line is a request of a batch: `{"custom_id": …, "method": "POST", "url": …, "body": {…}}`.
fn is_request(line: &[u8], formats: &[Arc<dyn WireFormat>]) -> bool {
    let line = line.trim_ascii();
    if !line.starts_with(b"{")
        || memchr::memmem::find(line, b"\"body\"").is_none()
            && memchr::memmem::find(line, b"\"request\"").is_none()
    {
        return false;
    }
    let limits = JsonLimits::default();
    let Ok(document) = crate::wire::json::Document::read(line, &limits) else {
        return false;
    };
    let root = document.root();
    let bodies = ["body", "request", "params"]
        .into_iter()
        .filter_map(|key| root.get(key));
    let mut bodies = bodies.filter(|body| body.is_object());
    bodies.any(|body| {
        let body = line.get(body.span()).unwrap_or_default();
        !matches!(
            shape_of(body, &Endpoint::Unknown, formats, &limits),
            Shape::Other
        )
    })
}

#[cfg(test)]
mod tests {

    fn holds_batch(body: &[u8]) -> bool {
        super::holds_batch(body, &crate::wire::formats())
    }

    fn form(purpose: &str, file: &str) -> Vec<u8> {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--x\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{file}\r\n--x--\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn the_input_of_a_batch_is_told_by_its_purpose_or_by_its_lines() {
        let line = r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"a"}]}}"#;
        assert!(holds_batch(&form("batch", "")));
        assert!(holds_batch(&form(" Batch ", "")));
        assert!(holds_batch(&form("fine-tune", line)));
        assert!(holds_batch(
            &form("fine-tune", "")
                .iter()
                .chain(&form("batch", ""))
                .copied()
                .collect::<Vec<_>>()
        ));
        let lf = String::from_utf8(form("batch", ""))
            .unwrap()
            .replace("\r\n", "\n");
        assert!(holds_batch(lf.as_bytes()));
        let tuning = r#"{"messages":[{"role":"user","content":"a"}]}"#;
        assert!(!holds_batch(&form("fine-tune", tuning)));
        assert!(!holds_batch(&form(
            "assistants",
            "the purpose of\n\nbatches"
        )));
        assert!(!holds_batch(&form("user_data", "a batch")));
    }
}
