//! Python's rules for values, as Python itself answered.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::{Arguments, Dict, ErrorKind, Key, Object, Set, Value, ValueError};

fn format(value: impl Into<Value>, spec: &str) -> Result<String, ValueError> {
    value.into().format(spec)
}

#[test]
fn texts_of_values() {
    let cases = [
        (Value::None, "None"),
        (Value::from(true), "True"),
        (Value::from(1e16), "1e+16"),
        (Value::from(1.5e-7), "1.5e-07"),
        (Value::from(123_456_789.125), "123456789.125"),
        (Value::from(f64::NAN), "nan"),
        (Value::from("it's"), "\"it's\""),
        (Value::from("it's \"x\""), "'it\\'s \"x\"'"),
        (
            Value::from("\u{0}\u{7f}\u{ad}\u{2028}\u{301}é😀"),
            "'\\x00\\x7f\\xad\\u2028\u{301}é😀'",
        ),
        (Value::tuple([1]), "(1,)"),
        (Value::tuple([1, 2]), "(1, 2)"),
        (Value::Set(Set::new()), "set()"),
        (Value::dict([("a", Value::list([1, 2]))]), "{'a': [1, 2]}"),
    ];
    for (value, expected) in cases {
        assert_eq!(value.repr(), expected);
    }
    assert_eq!(Value::from("it's").to_string(), "it's");
}

#[test]
fn numbers_compare_exactly_and_hash_alike() {
    assert_eq!(Value::from(1), Value::from(1.0));
    assert_eq!(Value::from(1), Value::from(true));
    assert_ne!(
        Value::from(i64::MAX),
        Value::from(9_223_372_036_854_775_807_f64)
    );
    assert_ne!(Value::from(f64::NAN), Value::from(f64::NAN));
    let mut dict = Dict::new();
    for key in [Value::from(1), Value::from(1.0), Value::from(true)] {
        dict.insert(Key::new(key).unwrap(), "one");
    }
    assert_eq!(Value::Dict(dict).repr(), "{1: 'one'}");
}

#[test]
fn lists_are_no_keys() {
    let error = Key::new(Value::tuple([Value::list([1])])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Type);
}

#[test]
fn a_clone_does_not_see_later_changes() {
    let mut list = Value::list([1]);
    let before = list.clone();
    list.call_method("append", &Arguments::positional([Value::from(2)]))
        .unwrap();
    assert_eq!(
        (list.repr().as_str(), before.repr().as_str()),
        ("[1, 2]", "[1]")
    );
}

#[test]
fn format_specifications() {
    let cases = [
        (Value::from(1_234_567.891), ",.2f", "1,234,567.89"),
        (Value::from(3.0), ".3", "3.0"),
        (Value::from(1234.0), ".4", "1.234e+03"),
        (Value::from(123_456_789.0), "g", "1.23457e+08"),
        (Value::from(0.25), ".0%", "25%"),
        (Value::from(-3), "+d", "-3"),
        (Value::from(3), "+08.2f", "+0003.00"),
        (Value::from(255), "#x", "0xff"),
        (Value::from(255), "08b", "11111111"),
        (Value::from(-5), "05", "-0005"),
        (Value::from(1_234_567), "_", "1_234_567"),
        (Value::from(1234), "09,", "0,001,234"),
        (Value::from("ab"), "*^7.1", "***a***"),
        (Value::from(true), "", "True"),
        (Value::from(true), "5", "    1"),
    ];
    for (value, spec, expected) in cases {
        assert_eq!(
            value.format(spec).as_deref(),
            Ok(expected),
            "{} with {spec}",
            value.repr()
        );
    }
    assert!(format("ab", "d").is_err());
    assert!(format(1, ".2d").is_err());
    assert!(format(Value::None, "5").is_err());
    assert_eq!(
        format(1, "999999999999999999999999d").unwrap_err().kind,
        ErrorKind::Limit
    );
}

#[test]
fn json_both_ways() {
    let json = json!({"a": [1, 2.5, null, true, "x"], "b": {"c": {}}});
    assert_eq!(Value::from_json(&json).to_json(), json);
    assert_eq!(Value::tuple([1, 2]).to_json(), json!([1, 2]));
    assert_eq!(Value::from(f64::INFINITY).to_json(), json!(null));
    let keys: Dict = [
        (Key::new(Value::from(true)).unwrap(), 1),
        (Key::new(Value::None).unwrap(), 2),
    ]
    .into_iter()
    .collect();
    assert_eq!(
        Value::Dict(keys.clone()).to_json(),
        json!({"true": 1, "null": 2})
    );
    assert_eq!(
        serde_json::to_value(Value::Dict(keys)).unwrap(),
        json!({"true": 1, "null": 2})
    );
    assert_eq!(
        serde_json::from_value::<Value>(json.clone()).unwrap(),
        Value::from_json(&json)
    );
}

#[derive(Debug)]
struct Order {
    id: i64,
}

impl Object for Order {
    fn type_name(&self) -> &str {
        "Order"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        (name == "id").then(|| Value::from(self.id))
    }

    fn attribute_names(&self) -> Vec<String> {
        vec!["id".into()]
    }
}

#[test]
fn objects_of_the_host() {
    let order = Arc::new(Order { id: 7 });
    let value = Value::from(Arc::clone(&order));
    assert_eq!(value.get("id"), Some(Value::from(7)));
    assert_eq!(value.as_object::<Order>().map(|order| order.id), Some(7));
    assert_eq!(value, Value::from(order));
    assert_ne!(value, Value::object(Order { id: 7 }));
    assert_eq!(
        (value.to_string().as_str(), value.to_json()),
        ("<Order>", json!({"id": 7}))
    );
}

proptest! {
    #[test]
    fn division_by_pythons_law(left in any::<i64>(), right in any::<i64>()) {
        use super::Binary::{FloorDivide, Modulo};
        let (left_value, right_value) = (Value::from(left), Value::from(right));
        if let (Ok(quotient), Ok(rest)) =
            (left_value.binary(FloorDivide, &right_value), left_value.binary(Modulo, &right_value))
        {
            let (quotient, rest) = (quotient.as_int().unwrap(), rest.as_int().unwrap());
            prop_assert_eq!(i128::from(quotient) * i128::from(right) + i128::from(rest), i128::from(left));
            prop_assert!(rest == 0 || (rest < 0) == (right < 0));
        } else {
            prop_assert!(right == 0 || (left == i64::MIN && right == -1));
        }
    }
}
