#[test]
fn zz_compare() {
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("/tmp/ref_parse.json").unwrap()).unwrap();
    for (file, facts) in json["files"].as_object().unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        let (module, faults) = super::parse(file, &text);
        let ok = facts["ok"].as_bool().unwrap();
        if ok != faults.is_empty() {
            eprintln!("FILE {file} ref {} ", facts);
            for fault in faults.iter().take(2) {
                eprintln!("   {fault}");
            }
        } else if ok {
            let names: Vec<_> = module.flows.iter().map(|flow| flow.name.to_string()).collect();
            let imports: Vec<_> = module.imports.iter().map(|i| i.path.clone()).collect();
            if serde_json::json!(names) != facts["flows"] || serde_json::json!(imports) != facts["imports"] {
                eprintln!("FILE {file} {names:?} {imports:?} ref {facts}");
            }
            if let Err(e) = crate::colang::v2::Program::new([module]) {
                eprintln!("PROGRAM {file} {e}");
            }
        }
    }
    for line in json["lines"].as_array().unwrap() {
        let text = line[0].as_str().unwrap();
        let (_, faults) = super::parse("main.co", text);
        if faults.is_empty() != line[1].as_bool().unwrap() {
            eprintln!("LINE {text:?} ref {} own {}", line[1], faults.first().map_or_else(String::new, |f| f.to_string()));
        }
    }
}
