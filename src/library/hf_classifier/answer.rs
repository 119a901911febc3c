//! The answers of classifiers: whether a blocked label is in them. What cannot be read is no verdict.

use serde_json::Value;

use super::settings::Engine;

/// Why an answer is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the classifier's answer is not understood: {0}")]
pub(super) struct Unclear(&'static str);

/// Whether `answer` has a label that `is_blocked`, with a score of `threshold` or more.
pub(super) fn blocks(
    engine: Engine,
    answer: &Value,
    is_blocked: &dyn Fn(&str) -> bool,
    threshold: f64,
) -> Result<bool, Unclear> {
    match engine {
        Engine::Vllm => vllm(answer, is_blocked, threshold),
        Engine::Kserve => kserve(answer, is_blocked, threshold),
        Engine::Fms => fms(answer, is_blocked, threshold),
        Engine::Local => local(answer, is_blocked, threshold),
    }
}

/// `[{"label": "toxic", "score": 0.9}]`: the best label of a text, or those of its tokens, of which there may be none.
fn local(
    answer: &Value,
    is_blocked: &dyn Fn(&str) -> bool,
    threshold: f64,
) -> Result<bool, Unclear> {
    let found = answer.as_array().ok_or(Unclear("it is no list"))?;
    let mut blocks = false;
    for one in found {
        let label = one.get("label").and_then(Value::as_str);
        let score = one.get("score").and_then(Value::as_f64);
        let (Some(label), Some(score)) = (label, score) else {
            return Err(Unclear("a label has no name or no score"));
        };
        blocks |= is_blocked(label) && score >= threshold;
    }
    Ok(blocks)
}

/// `{"data": [{"label": "toxic", "probs": [0.1, 0.9]}]}`: the highest probability is the label's.
fn vllm(
    answer: &Value,
    is_blocked: &dyn Fn(&str) -> bool,
    threshold: f64,
) -> Result<bool, Unclear> {
    let items = answer.get("data").and_then(Value::as_array);
    let items = items.filter(|items| !items.is_empty());
    let items = items.ok_or(Unclear("it has no `data`"))?;
    let mut blocks = false;
    for item in items {
        let label = item.get("label").and_then(Value::as_str);
        if !is_blocked(label.ok_or(Unclear("an item has no `label`"))?) {
            continue;
        }
        let scores = item.get("probs").and_then(Value::as_array);
        let scores = scores.into_iter().flatten().map(Value::as_f64);
        let highest = scores.collect::<Option<Vec<f64>>>();
        let highest = highest.and_then(|scores| scores.into_iter().reduce(f64::max));
        blocks |= highest.ok_or(Unclear("an item has no `probs`"))? >= threshold;
    }
    Ok(blocks)
}

/// `{"predictions": [..]}` with, of the one text, the probabilities by class, the class, or the classes of its tokens.
fn kserve(
    answer: &Value,
    is_blocked: &dyn Fn(&str) -> bool,
    threshold: f64,
) -> Result<bool, Unclear> {
    let prediction = answer.get("predictions").and_then(|all| all.get(0));
    match prediction.ok_or(Unclear("it has no `predictions`"))? {
        Value::Object(classes) if !classes.is_empty() => {
            let mut blocks = false;
            for (_, score) in classes.iter().filter(|(class, _)| is_blocked(class)) {
                let score = score.as_f64();
                blocks |= score.ok_or(Unclear("a class has no score"))? >= threshold;
            }
            Ok(blocks)
        }
        Value::Number(class) => {
            let class = class_of(class).ok_or(Unclear("the class is no number"))?;
            Ok(is_blocked(&class.to_string()))
        }
        Value::Array(tokens) if !tokens.is_empty() => {
            let mut classes = Vec::new();
            collect(tokens, &mut classes)?;
            // Class 0 is that of tokens that are nothing.
            let found = classes.into_iter().filter(|class| *class != 0);
            let mut found = found.map(|class| class.to_string());
            Ok(found.any(|class| is_blocked(&class)))
        }
        _ => Err(Unclear("the prediction is of an unknown kind")),
    }
}

/// The classes in lists within lists; JSON's own limit bounds the depth.
fn collect(tokens: &[Value], classes: &mut Vec<i64>) -> Result<(), Unclear> {
    for token in tokens {
        match token {
            Value::Array(tokens) => collect(tokens, classes)?,
            Value::Number(class) => {
                classes.push(class_of(class).ok_or(Unclear("a class is no number"))?);
            }
            _ => return Err(Unclear("a class is no number")),
        }
    }
    Ok(())
}

/// A class, which some servers write as `1.0`.
fn class_of(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let number = number.as_f64().filter(|number| number.abs() < 1e9)?;
        #[allow(clippy::cast_possible_truncation, reason = "it is less than 1e9")]
        Some(number as i64)
    })
}

/// `[[{"detection_type": "toxic", "score": 0.9}]]`: what was found in the one text, perhaps nothing.
fn fms(answer: &Value, is_blocked: &dyn Fn(&str) -> bool, threshold: f64) -> Result<bool, Unclear> {
    let Some([Value::Array(found)]) = answer.as_array().map(Vec::as_slice) else {
        return Err(Unclear("it is no list for the one text"));
    };
    let mut blocks = false;
    for detection in found {
        let label = detection.get("detection_type").and_then(Value::as_str);
        let label = label.ok_or(Unclear("a detection has no `detection_type`"))?;
        let score = detection.get("score").and_then(Value::as_f64);
        let score = score.ok_or(Unclear("a detection has no `score`"))?;
        blocks |= is_blocked(label) && score >= threshold;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(engine: Engine, answer: &Value) -> Option<bool> {
        let is_blocked = |label: &str| matches!(label, "toxic" | "1");
        blocks(engine, answer, &is_blocked, 0.6).ok()
    }

    #[test]
    fn answers_are_read_strictly() {
        let vllm = [
            (
                json!({"data": [{"label": "toxic", "probs": [0.4, 0.6]}]}),
                Some(true),
            ),
            (
                json!({"data": [{"label": "toxic", "probs": [0.5, 0.5]}]}),
                Some(false),
            ),
            (json!({"data": [{"label": "fine"}]}), Some(false)),
            (json!({"data": [{"label": "toxic", "probs": []}]}), None),
            (json!({"data": [{"probs": [1.0]}]}), None),
            (json!({"data": []}), None),
            (json!({"error": "x"}), None),
        ];
        for (answer, expected) in vllm {
            assert_eq!(verdict(Engine::Vllm, &answer), expected, "{answer}");
        }
        let kserve = [
            (json!({"predictions": [{"0": 0.3, "1": 0.7}]}), Some(true)),
            (json!({"predictions": [{"0": 0.7, "1": 0.3}]}), Some(false)),
            (json!({"predictions": [1]}), Some(true)),
            (json!({"predictions": [1.0]}), Some(true)),
            (json!({"predictions": [0]}), Some(false)),
            (json!({"predictions": [[[0, 0], [0, 1]]]}), Some(true)),
            (json!({"predictions": [[[0, 0], [0, 2]]]}), Some(false)),
            (json!({"predictions": [[["x"]]]}), None),
            (json!({"predictions": [{"1": "x"}]}), None),
            (json!({"predictions": ["1"]}), None),
            (json!({"predictions": []}), None),
            (json!({}), None),
        ];
        for (answer, expected) in kserve {
            assert_eq!(verdict(Engine::Kserve, &answer), expected, "{answer}");
        }
        let fms = [
            (
                json!([[{"detection_type": "toxic", "score": 0.9}]]),
                Some(true),
            ),
            (
                json!([[{"detection_type": "toxic", "score": 0.2}]]),
                Some(false),
            ),
            (json!([[]]), Some(false)),
            (json!([[{"detection_type": "toxic"}]]), None),
            (json!([]), None),
            (json!([[], []]), None),
            (json!({"code": 404}), None),
        ];
        for (answer, expected) in fms {
            assert_eq!(verdict(Engine::Fms, &answer), expected, "{answer}");
        }
    }
}
