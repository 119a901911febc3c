//! The folder that the environment variable `PROMPTS_DIR` names: prompts for every configuration.

use std::path::Path;

use super::{
    files,
    prompts::TaskPrompt,
    read::{Fields, Report},
};
use crate::error::Fault;

/// The prompts of all YAML files in `directory`, a folder's own before those of its folders, each sorted by name; and
/// what is wrong with them. A folder that is not there has none.
pub(crate) fn read_prompts_directory(directory: &Path) -> (Vec<TaskPrompt>, Vec<Fault>) {
    let mut report = Report::default();
    let mut prompts = Vec::new();
    if !directory.is_dir() {
        let shown = directory.display();
        tracing::warn!(directory = %shown, "`PROMPTS_DIR` names no folder: it is passed over");
        return (prompts, report.faults);
    }
    let mut found = Vec::new();
    files::list(
        directory,
        Path::new(""),
        &mut Vec::new(),
        &mut found,
        &mut report,
    );
    for relative in found {
        let path = directory.join(&relative);
        if !files::is_yaml(&path) {
            continue;
        }
        let Some(root) = files::read_yaml(&path, &path, &mut report) else {
            continue;
        };
        if let Some(mut fields) = Fields::open(&root, "", &mut report) {
            prompts.extend(fields.required::<Vec<_>>("prompts").unwrap_or_default());
        }
    }
    (prompts, report.faults)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn all_files_are_read_in_order() {
        let folder = std::env::temp_dir().join(format!("prompts-{}", std::process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("a/z.yml", "prompts: [{task: third, content: x}]\n");
        write(
            "b.yaml",
            "prompts: [{task: first, content: x}, {task: second, content: x}]\n",
        );
        write("c.yml", "prompts: [{content: x}]\n");
        write("d.txt", "prompts: 3\n");
        let (prompts, faults) = read_prompts_directory(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let tasks: Vec<&str> = prompts.iter().map(|prompt| prompt.task.as_str()).collect();
        assert_eq!(tasks, ["first", "second", "third"]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].message.contains("`prompts[0].task` is missing"));
        assert_eq!((faults[0].line, faults[0].file.is_some()), (Some(1), true));
        let (prompts, faults) = read_prompts_directory(&folder);
        assert!(prompts.is_empty() && faults.is_empty());
    }
}
