//! The Python of a rails directory runs in a worker process, whatever it does. Without `python3` these tests say so and pass.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tower_guardrails::{
    Error, GuardrailsLayer, LlmRails, Message, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

use crate::support::{Reply, chat, exchange};

/// What is said where an action fails.
const FAILED: &str = "I'm sorry, an internal error has occurred.";

/// The interpreter, where there is one that will do.
fn interpreter() -> Option<String> {
    let name = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let check = "import sys; sys.exit(sys.version_info < (3, 9))";
    let found = Command::new(&name).args(["-c", check]).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(name);
    }
    eprintln!("SKIPPED: there is no Python 3.9 or later (`{name}`)");
    None
}

/// A rails directory that is gone when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("guardrails-python-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(path)
    }

    fn config(&self) -> RailsConfig {
        RailsConfig::from_path(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An input rail that says what `call` gives.
fn telling(call: &str) -> String {
    format!(
        "define flow tell it\n  $told = {call}\n  bot tell it\n  stop\n\ndefine bot tell it\n  \"$told\"\n"
    )
}

const YAML: &str = "models: []\nrails: {input: {flows: [tell it]}}\n";

/// Rails that say what `call` gives, where `actions` is the directory's `actions.py`.
fn rails(call: &str, actions: &str, more: &[(&str, &str)]) -> Option<(LlmRails, Directory)> {
    let interpreter = interpreter()?;
    let flows = telling(call);
    let mut files = vec![
        ("config.yml", YAML),
        ("rails.co", &flows),
        ("actions.py", actions),
    ];
    files.extend(more);
    // What comes later under the same name counts.
    let directory = Directory::new(&files);
    let rails = LlmRails::builder(directory.config()).python(interpreter);
    Some((rails.build().unwrap(), directory))
}

async fn said(rails: &LlmRails, text: &str) -> String {
    let reply = rails.generate([Message::user(text)]).await.unwrap();
    reply.content.text().into_owned()
}

/// What the rails of `actions` say to one message.
async fn told(call: &str, actions: &str) -> Option<String> {
    let (rails, _directory) = rails(call, actions, &[])?;
    Some(said(&rails, "hello").await)
}

const HEAD: &str = "from nemoguardrails.actions import action\nfrom nemoguardrails.actions.actions import ActionResult\n";

#[tokio::test]
async fn actions_of_every_kind_run() {
    let actions = format!(
        r#"{HEAD}
import asyncio, time

@action()
async def slow(text, context=None):
    await asyncio.sleep(0.01)
    return f"{{text}} and {{context['user_message']}}"

@action(name="renamed")
def plain_function(text: str, config=None):
    time.sleep(0.01)
    return text.upper() + config.colang_version

@action(name="of_a_class")
class Counter:
    def __init__(self):
        self.count = 0
    def run(self, text):
        self.count += 1
        return f"{{text}} {{self.count}}"

@action(is_system_action=True)
async def SayHelloAction(__context__user_message=None, events=None):
    return f"{{__context__user_message}} {{len(events) > 0}}"

@action()
async def both(context):
    return ActionResult(return_value="value", context_updates={{"more": "updated"}})

def no_action():
    pass
"#
    );
    for (call, expected) in [
        ("execute slow(text=\"a\")", "a and hello"),
        ("execute renamed(text=$user_message)", "HELLO1.0"),
        ("execute of_a_class(text=\"n\")", "n 1"),
        ("execute say_hello", "hello True"),
        ("execute both\n  $told = $more", "updated"),
        ("execute no_action", "Action 'no_action' not found."),
    ] {
        let call = call.replace("say_hello", "SayHelloAction");
        let Some(answer) = told(&call, &actions).await else {
            return;
        };
        assert_eq!(answer, expected, "{call}");
    }
}

#[tokio::test]
async fn values_of_any_kind_are_taken_or_fail_clearly() {
    let actions = format!(
        r#"{HEAD}
import dataclasses, datetime, decimal, enum, collections, pathlib
class Colour(enum.Enum):
    RED = "red"
@dataclasses.dataclass
class Point:
    x: int
    y: list
class Truthy:
    def __bool__(self): return True
class Numpyish:
    def item(self): return True
class Pydanticish:
    def model_dump(self): return {{"a": {{1, 2}}}}
deep = []
for _ in range(200): deep = [deep]
circle = {{}}
circle["self"] = circle
VALUES = {{
    "none": None, "true": True, "int": 3, "float": 2.5, "text": "é\n", "bytes": b"abc", "set": {{3, 1, 2}}, "tuple": (1, "a"),
    "enum": Colour.RED, "dataclass": Point(1, [2]), "truthy": Truthy(), "numpy": Numpyish(), "pydantic": Pydanticish(),
    "keys": {{2: "a", True: "b", None: "c"}}, "decimal": decimal.Decimal("1.5"), "path": pathlib.PurePosixPath("/a"),
    "deque": collections.deque([1]), "date": datetime.date(2024, 1, 2), "surrogate": "a\ud800b", "huge": 10**30,
    "nan": float("nan"), "inf": [float("inf")], "object": object(), "module": dataclasses, "function": print, "class": Point,
    "complex": 1j, "deep": deep, "circle": circle, "badbytes": b"\xff", "hugest": 10**400, "generator": (x for x in [1]),
}}
@action()
def give(name):
    return {{"got": VALUES[name]}}
"#
    );
    let Some((rails, _directory)) = rails(
        "execute give(name=$user_message)\n  $told = $told[\"got\"]",
        &actions,
        &[],
    ) else {
        return;
    };
    for (name, expected) in [
        ("none", "None"),
        ("true", "True"),
        ("int", "3"),
        ("float", "2.5"),
        ("text", "é\n"),
        ("bytes", "abc"),
        ("set", "[1, 2, 3]"),
        ("tuple", "[1, 'a']"),
        ("enum", "red"),
        ("dataclass", "{'x': 1, 'y': [2]}"),
        ("truthy", "True"),
        ("numpy", "True"),
        ("pydantic", "{'a': [1, 2]}"),
        ("keys", "{'2': 'a', 'true': 'b', 'null': 'c'}"),
        ("decimal", "1.5"),
        ("path", "/a"),
        ("deque", "[1]"),
        ("date", "2024-01-02"),
        ("surrogate", "a?b"),
        ("huge", "1e+30"),
        ("nan", FAILED),
        ("inf", FAILED),
        ("object", FAILED),
        ("module", FAILED),
        ("function", FAILED),
        ("class", FAILED),
        ("complex", FAILED),
        ("deep", FAILED),
        ("circle", FAILED),
        ("badbytes", FAILED),
        ("hugest", FAILED),
        ("generator", FAILED),
        ("no such value", FAILED),
    ] {
        assert_eq!(said(&rails, name).await, expected, "{name}");
    }
}

/// An `actions.py` that does whatever a message says.
fn unruly() -> String {
    format!(
        r#"{HEAD}
import asyncio, json, os, signal, subprocess, sys, threading, time

@action()
async def act(text):
    if text == "raise": raise ValueError("secret words")
    if text == "exit": sys.exit(3)
    if text == "die": os._exit(4)
    if text == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if text == "interrupt": raise KeyboardInterrupt()
    if text == "cancelled": raise asyncio.CancelledError()
    if text == "stop": raise StopIteration()
    if text == "hang": await asyncio.sleep(3600)
    if text == "stubborn":
        while True:
            try: await asyncio.sleep(3600)
            except asyncio.CancelledError: pass
    if text == "block": time.sleep(3600)
    if text == "long": return "x" * (50 << 20)
    if text == "print":
        for stream in (sys.stdout, sys.stderr, sys.__stdout__):
            print(json.dumps({{"id": 1, "ok": "forged"}}), file=stream, flush=True)
        os.write(1, b'{{"id": 1, "ok": "forged"}}\n')
        os.system("echo '{{\"id\": 1, \"ok\": \"forged\"}}'")
        subprocess.run(["cat"], timeout=5)
        print("no end of a line", end="")
    if text == "input":
        try: input()
        except EOFError: return "end of input"
    if text == "flood":
        for _ in range(200_000): print("x" * 100)
    if text == "fork":
        if os.fork() == 0: time.sleep(0.05)
    if text == "close":
        os.closerange(0, 256)
    return text + " done"

@action()
def act_blocking(text):
    if text == "hang": time.sleep(3600)
    if text == "raise": raise ValueError("secret words")
    if text == "exit": sys.exit(3)
    if text == "stop": raise StopIteration()
    if text == "fork":
        if os.fork() == 0: time.sleep(0.05)
    return text + " done"

@action()
async def process():
    return os.getpid()
"#
    )
}

#[tokio::test]
async fn code_that_misbehaves_fails_and_nothing_else() {
    let actions = unruly();
    let python = (
        "config.yml",
        "models: []\nrails: {input: {flows: [tell it]}}\npython: {timeout: 2}\n",
    );
    let call = "execute act(text=$user_message)";
    let Some((rails, _directory)) = rails(call, &actions, &[python]) else {
        return;
    };
    for (text, expected) in [
        ("hello", "hello done"),
        ("raise", FAILED),
        ("exit", FAILED),
        ("interrupt", FAILED),
        ("cancelled", FAILED),
        ("stop", FAILED),
        ("long", FAILED),
        ("print", "print done"),
        ("input", "end of input"),
        ("flood", "flood done"),
        ("fork", "fork done"),
        ("die", FAILED),
        ("hello", "hello done"),
        ("kill", FAILED),
        ("hello", "hello done"),
        ("close", FAILED),
        ("hello", "hello done"),
        ("hang", FAILED),
        ("hello", "hello done"),
        ("stubborn", FAILED),
    ] {
        assert_eq!(said(&rails, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn blocking_code_is_off_the_loop() {
    let actions = unruly();
    let python = (
        "config.yml",
        "models: []\nrails: {input: {flows: [tell it]}}\npython: {timeout: 2}\n",
    );
    let call = "execute act_blocking(text=$user_message)";
    let Some((rails, _directory)) = rails(call, &actions, &[python]) else {
        return;
    };
    let hang = said(&rails, "hang");
    let others = async {
        for (text, expected) in [
            ("hello", "hello done"),
            ("raise", FAILED),
            ("exit", FAILED),
            ("stop", FAILED),
            ("fork", "fork done"),
        ] {
            assert_eq!(said(&rails, text).await, expected, "{text}");
        }
        Instant::now()
    };
    let (hang, others) = tokio::join!(async { (hang.await, Instant::now()) }, others);
    assert_eq!(hang.0, FAILED);
    assert!(others < hang.1, "the call that hangs held up the others");
}

#[tokio::test]
async fn a_worker_whose_loop_is_blocked_is_replaced() {
    let actions = unruly();
    let python = (
        "config.yml",
        "models: []\nrails: {input: {flows: [tell it]}}\npython: {timeout: 1}\n",
    );
    let Some((rails, _directory)) = rails("execute act(text=$user_message)", &actions, &[python])
    else {
        return;
    };
    assert_eq!(said(&rails, "block").await, FAILED);
    let begun = Instant::now();
    while said(&rails, "hello").await != "hello done" {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn many_calls_run_at_once_and_dropping_cancels() {
    let actions = format!(
        r#"{HEAD}
import asyncio
cancelled = []
@action()
async def act(text):
    if text == "how many": return len(cancelled)
    try:
        await asyncio.sleep(30 if text == "long" else 0.3)
    except asyncio.CancelledError:
        cancelled.append(text)
        raise
    return text
"#
    );
    let Some((rails, _directory)) = rails("execute act(text=$user_message)", &actions, &[]) else {
        return;
    };
    let begun = Instant::now();
    let texts: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let answers = join_all(texts.iter().map(|text| said(&rails, text))).await;
    assert_eq!(answers, texts);
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "one after the other"
    );
    let calls = join_all((0..10).map(|_| said(&rails, "long")));
    let limited = tokio::time::timeout(Duration::from_millis(500), calls);
    assert!(limited.await.is_err());
    let begun = Instant::now();
    while said(&rails, "how many").await != "10" {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "nothing was cancelled"
        );
    }
}

#[tokio::test]
async fn calls_of_a_killed_worker_fail_and_the_next_is_started() {
    let Some((rails, _directory)) = rails("execute process", &unruly(), &[]) else {
        return;
    };
    let before = said(&rails, "x").await;
    assert!(
        Command::new("kill")
            .args(["-9", &before])
            .status()
            .unwrap()
            .success()
    );
    let begun = Instant::now();
    loop {
        let after = said(&rails, "x").await;
        if after != before && after != FAILED {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{after}");
    }
}

#[tokio::test]
async fn workers_end_with_the_rails() {
    let python = (
        "config.yml",
        "models: []\nrails: {input: {flows: [tell it]}}\npython: {max_workers: 3}\n",
    );
    let Some((rails, _directory)) = rails("execute process", &unruly(), &[python]) else {
        return;
    };
    let mut seen = std::collections::HashSet::new();
    let begun = Instant::now();
    while seen.len() < 3 {
        seen.extend(join_all((0..6).map(|_| said(&rails, "x"))).await);
        assert!(begun.elapsed() < Duration::from_secs(20), "{seen:?}");
    }
    drop(rails);
    let runs = |process: &String| Path::new("/proc").join(process).exists();
    if !Path::new("/proc/self").exists() {
        return;
    }
    let begun = Instant::now();
    while seen.iter().any(runs) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers "ANSWER to" what it was asked last, and notes all of it.
#[derive(Debug, Clone, Default)]
struct Echo(Arc<Mutex<Vec<ModelRequest>>>);

impl Model for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut reply = ModelReply::default();
        let asked = request
            .messages
            .last()
            .map(|message| message.content.text().into_owned());
        reply.content = format!("ANSWER to {}", asked.unwrap_or_default());
        self.0.lock().unwrap().push(request);
        Box::pin(std::future::ready(Ok(reply)))
    }
}

const MODEL_ACTIONS: &str = r#"
from typing import Optional
from nemoguardrails.actions import action
from nemoguardrails.actions.llm.utils import llm_call
from nemoguardrails.llm.taskmanager import LLMTaskManager

@action()
async def asynchronous(llm, text):
    reply = await llm.generate_async([{"role": "system", "content": "s"}, {"role": "user", "content": text}], stop=["x"], temperature=0.5)
    return reply.content

@action()
async def called(llm, text):
    return (await llm_call(llm, text)).content

@action()
async def invoked(llm, text):
    return (await llm.ainvoke(text)).content

@action()
def synchronous(llm, text):
    return llm(text) + " / " + llm.invoke(text).content

@action()
async def on_the_loop(llm, text):
    return llm(text)

@action()
async def by_task(llm, text, llm_task_manager: Optional[LLMTaskManager] = None):
    prompt = llm_task_manager.render_task_prompt(task="my_task", context={"user_input": text})
    stop = llm_task_manager.get_stop_tokens(task="my_task")
    reply = await llm_call(llm, prompt, stop=stop)
    return llm_task_manager.parse_task_output("my_task", output=reply.content) + str(stop)

@action()
async def others(llms, judge_llm, text):
    return (await llms["judge"].generate_async(text)).content + judge_llm.model_name

@action()
async def later(llm):
    return str(bool(globals().setdefault("kept", llm)))
"#;

#[tokio::test]
async fn actions_ask_models_and_prompts_of_the_engine() {
    let yaml = r#"
models: []
rails: {input: {flows: [tell it]}}
prompts:
  - task: my_task
    content: "Judge {{ user_input }}!"
    stop: [END]
"#;
    for (action, expected) in [
        ("asynchronous(text=\"a\")", "ANSWER to a"),
        ("called(text=\"a\")", "ANSWER to a"),
        ("invoked(text=\"a\")", "ANSWER to a"),
        ("synchronous(text=\"a\")", "ANSWER to a / ANSWER to a"),
        ("on_the_loop(text=\"a\")", "ANSWER to a"),
        ("by_task(text=\"a\")", "ANSWER to Judge a!['END']"),
        ("others(text=\"a\")", "ANSWER to aecho"),
        ("later", "True"),
    ] {
        let Some(interpreter) = interpreter() else {
            return;
        };
        let flows = telling(&format!("execute {action}"));
        let files = [
            ("config.yml", yaml),
            ("rails.co", &flows),
            ("actions.py", MODEL_ACTIONS),
        ];
        let directory = Directory::new(&files);
        let (main, judge) = (Echo::default(), Echo::default());
        let rails = LlmRails::builder(directory.config())
            .python(interpreter)
            .model("main", main.clone())
            .model("judge", judge)
            .build()
            .unwrap();
        assert_eq!(said(&rails, "hello").await, expected, "{action}");
        if action.starts_with("asynchronous") {
            let asked = main.0.lock().unwrap();
            assert_eq!(asked[0].messages.len(), 2);
            assert_eq!(asked[0].parameters["temperature"], json!(0.5));
            assert_eq!(asked[0].parameters["stop"], json!(["x"]));
        }
    }
}

/// Fails.
#[derive(Debug)]
struct Broken;

impl Model for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn complete(&self, _: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let error = ModelError::new(
            tower_guardrails::error::ModelErrorKind::Server,
            "broken",
            "it is broken",
        );
        Box::pin(std::future::ready(Err(error)))
    }
}

#[tokio::test]
async fn a_model_that_fails_fails_the_call_unless_the_action_handles_it() {
    let actions = r#"
from nemoguardrails.actions import action
from nemoguardrails.exceptions import LLMCallException
@action()
async def lets_pass(llm): return await llm.ainvoke("x")
@action()
async def handles(llm):
    try: await llm.ainvoke("x")
    except LLMCallException as error: return "handled"
"#;
    for (action, handled) in [("lets_pass", false), ("handles", true)] {
        let Some(interpreter) = interpreter() else {
            return;
        };
        let flows = telling(&format!("execute {action}"));
        let files = [
            ("config.yml", YAML),
            ("rails.co", &flows),
            ("actions.py", actions),
        ];
        let directory = Directory::new(&files);
        let builder = LlmRails::builder(directory.config()).python(interpreter);
        let rails = builder.model("main", Broken).build().unwrap();
        let reply = rails.generate([Message::user("x")]).await;
        if handled {
            assert_eq!(reply.unwrap().content.text(), "handled");
        } else {
            assert!(matches!(reply, Err(Error::Model(_))), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn what_init_registers_is_there() {
    let init = r#"
from nemoguardrails import LLMRails
from helpers import greet

calls = []

async def own_action(text, db=None, app_name=None):
    return greet(text) + db["name"] + app_name

def shout(text, mark="!"):
    return text.upper() + mark

def count():
    calls.append(1)
    return len(calls)

def init(app: LLMRails):
    app.register_action(own_action, name="registered")
    app.register_action_param("db", {"name": "DB"})
    app.runtime.register_action_param("app_name", app.config.custom_data.get("name"))
    app.register_filter(shout, name="shout")
    app.register_filter(lambda text: text[::-1], "turned")
    app.register_prompt_context("year", 1999)
    app.register_prompt_context("count", count)
    app.register_output_parser(lambda output: output.replace("ANSWER", "PARSED"), name="own")
"#;
    let actions = format!("{MODEL_ACTIONS}\n");
    let yaml = r#"
models: []
custom_data: {name: APP}
rails: {input: {flows: [tell it]}}
prompts:
  - task: my_task
    content: "{{ user_input | shout('?') }} {{ user_input | turned }} {{ year }} {{ count }}"
    output_parser: own
"#;
    let helpers = "def greet(text):\n    return 'hi ' + text\n";
    for (call, expected) in [
        ("execute registered(text=\"a\")", "hi aDBAPP"),
        (
            "execute by_task(text=\"ab\")",
            "PARSED to AB? ba 1999 1None",
        ),
    ] {
        let Some(interpreter) = interpreter() else {
            return;
        };
        let flows = telling(call);
        let files = [
            ("config.yml", yaml),
            ("rails.co", &flows),
            ("actions.py", &actions),
            ("config.py", init),
            ("helpers.py", helpers),
        ];
        let directory = Directory::new(&files);
        let builder = LlmRails::builder(directory.config()).python(interpreter);
        let rails = builder.model("main", Echo::default()).build().unwrap();
        assert_eq!(said(&rails, "hello").await, expected, "{call}");
    }
}

#[tokio::test]
async fn a_folder_of_actions_is_a_package() {
    let files = [
        ("actions.py", "raise RuntimeError('this file is broken')\n"),
        ("actions/__init__.py", "NAME = 'package'\n"),
        (
            "actions/one.py",
            "from nemoguardrails.actions import action\nfrom . import NAME\nfrom .sub.two import inner\n@action()\ndef outer():\n    return NAME + inner()\n",
        ),
        ("actions/sub/two.py", "def inner():\n    return ' inner'\n"),
        ("actions/broken.py", "import no_such_package_anywhere\n"),
    ];
    let Some((rails, _directory)) = rails("execute outer", "", &files) else {
        return;
    };
    assert_eq!(said(&rails, "x").await, "package inner");
}

#[test]
fn a_directory_whose_init_fails_does_not_load() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    for (init, words) in [
        (
            "def init(app):\n    raise ValueError('no database')\n",
            "no database",
        ),
        (
            "import no_such_package_anywhere\n",
            "no_such_package_anywhere",
        ),
        ("import sys\nsys.exit(1)\n", "sys.exit"),
        ("def init(app)\n", "SyntaxError"),
        ("import os\nos._exit(9)\n", "did not start"),
    ] {
        let directory = Directory::new(&[
            ("config.yml", YAML),
            ("config.py", init),
            ("r.co", &telling("execute x")),
        ]);
        let rails = LlmRails::builder(directory.config()).python(&interpreter);
        let error = rails.build().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        if !words.contains("start") {
            assert!(error.contains("config.py:"), "{error}");
        }
    }
    let directory = Directory::new(&[("config.yml", YAML), ("r.co", &telling("execute x"))]);
    let rails = LlmRails::builder(directory.config()).python("/no/such/python");
    let error = rails.build().unwrap_err().to_string();
    assert!(error.contains("/no/such/python"), "{error}");
}

const CHECK: &str = r#"
from nemoguardrails.actions import action

@action()
async def look_for_words(context=None):
    return "BLOCKME" in (context or {}).get("user_message", "")
"#;

const CHECK_FLOWS: &str = r#"
define flow check words
  $bad = execute look_for_words
  if $bad
    bot refuse it
    stop

define bot refuse it
  "No."
"#;

#[tokio::test]
async fn a_directory_guards_in_the_layer() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let yaml = format!(
        "models: []\nrails: {{input: {{flows: [check words]}}}}\npython: {{interpreter: {interpreter}}}\n"
    );
    let files = [
        ("config.yml", yaml.as_str()),
        ("rails.co", CHECK_FLOWS),
        ("actions.py", CHECK),
    ];
    let directory = Directory::new(&files);
    let layer = GuardrailsLayer::from_path(&directory.0).unwrap();
    let answer = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#,
    );
    let ask = |text: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        exchange(&layer, chat(body.to_string()), &answer)
    };
    let blocked = ask("please BLOCKME").await;
    assert!(blocked.is_blocked() && blocked.seen.is_empty());
    assert_eq!(blocked.json()["choices"][0]["message"]["content"], "No.");
    assert_eq!(ask("hello").await.seen.len(), 1);
}

/// An actions server that answers with the parameters that it was sent, and notes nothing else.
async fn actions_server() -> String {
    use axum::{Json, Router, routing::post};
    let run = async |Json(call): Json<serde_json::Value>| {
        Json(json!({"status": "success", "result": {"sent": call["action_parameters"]}}))
    };
    let app = Router::new().route("/v1/actions/run", post(run));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn an_actions_server_gets_the_context_where_the_action_asks_for_it() {
    let url = actions_server().await;
    let yaml = format!("{YAML}actions_server_url: {url}\n");
    let actions = "from nemoguardrails.actions import action\n\n@action()\nasync def asks(text, context=None, __context__user_message=None): ...\n\n@action()\ndef asks_not(text): ...\n";
    for (call, expected) in [
        (
            "execute asks(text=\"a\")\n  $told = $told[\"sent\"][\"text\"] + $told[\"sent\"][\"context\"][\"user_message\"] + $told[\"sent\"][\"__context__user_message\"]",
            "ahellohello",
        ),
        (
            "execute asks_not(text=\"a\")\n  $told = $told[\"sent\"]",
            "{'text': 'a'}",
        ),
        (
            "execute unknown(text=\"a\")\n  $told = $told[\"sent\"]",
            "{'text': 'a'}",
        ),
    ] {
        let flows = telling(call);
        let files = [
            ("config.yml", yaml.as_str()),
            ("rails.co", &flows),
            ("actions.py", actions),
        ];
        let directory = Directory::new(&files);
        let rails = LlmRails::new(directory.config()).unwrap();
        assert_eq!(said(&rails, "hello").await, expected, "{call}");
    }
}

#[tokio::test]
async fn an_action_of_the_directory_replaces_a_built_in_one_in_the_layer() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let yaml = format!(
        "models: []\nrails: {{input: {{flows: [jailbreak detection heuristics]}}}}\npython: {{interpreter: {interpreter}}}\n"
    );
    let actions = r#"
from nemoguardrails.actions import action
from nemoguardrails.actions.rail_outcome import RailOutcome

@action(is_system_action=True)
async def jailbreak_detection_heuristics(context=None):
    found = "BLOCKME" in context["user_message"]
    return RailOutcome.block(reason="found") if found else RailOutcome.allow()
"#;
    let directory = Directory::new(&[("config.yml", &yaml), ("actions.py", actions)]);
    let layer = GuardrailsLayer::from_path(&directory.0).unwrap();
    let answer = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#,
    );
    for (text, reached) in [("BLOCKME", 0), ("hello", 1)] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        let done = exchange(&layer, chat(body.to_string()), &answer).await;
        assert_eq!(done.seen.len(), reached, "{}", done.text());
    }
}

/// A directory whose Python has stand-ins of the packages that the worker lends from.
fn lending(yaml: &str, packages: &[(&str, &str)]) -> Directory {
    let yaml = format!("models: []\n{yaml}");
    let mut files = vec![("config.yml", yaml.as_str())];
    files.extend(packages);
    Directory::new(&files)
}

/// Which of the texts are blocked by a layer of the directory.
async fn blocked(directory: &Directory, texts: &[&str]) -> Vec<bool> {
    let layer = GuardrailsLayer::from_path(&directory.0).unwrap();
    let answer = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#,
    );
    let mut blocked = Vec::new();
    for text in texts {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        let done = exchange(&layer, chat(body.to_string()), &answer).await;
        blocked.push(done.seen.is_empty());
    }
    blocked
}

const SPACY: &str =
    "class util:\n    is_package = staticmethod(lambda name: name == 'en_core_web_lg')\n";
const PRESIDIO: &str = r#"
class Found:
    def __init__(self, start, end):
        self.entity_type, self.start, self.end, self.score = "PERSON", start, end, 0.85
class AnalyzerEngine:
    def __init__(self, nlp_engine): pass
    def get_supported_entities(self, language): return ["PERSON"]
    def analyze(self, text, language, entities, score_threshold):
        at = text.find("Ada")
        if "fail" in text: raise RuntimeError("no")
        return [Found(at, at + 3)] if at >= 0 and entities == ["PERSON"] else []
"#;
const PRESIDIO_NLP: &str = "class NlpEngineProvider:\n    def __init__(self, nlp_configuration): pass\n    def create_engine(self): return None\n";

#[tokio::test]
async fn the_worker_lends_presidios_analyzer() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let rails = "rails:\n  config:\n    sensitive_data_detection:\n      input: {entities: [PERSON, EMAIL_ADDRESS]}\n  input: {flows: [detect sensitive data on input]}\n";
    let python = format!("{rails}python: {{interpreter: {interpreter}}}\n");
    let packages = [
        ("spacy.py", SPACY),
        ("presidio_analyzer/__init__.py", PRESIDIO),
        ("presidio_analyzer/nlp_engine.py", PRESIDIO_NLP),
    ];
    let directory = lending(&python, &packages);
    let texts = ["I am Ada.", "I am nobody.", "a@b.com", "fail"];
    assert_eq!(blocked(&directory, &texts).await, [true, false, true, true]);
    for (yaml, packages, words) in [
        (rails, &packages[..], "python: {interpreter: python3}"),
        (&python, &[], "a package is missing"),
    ] {
        let error = GuardrailsLayer::from_path(&lending(yaml, packages).0).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(words) && error.contains("analyzer_url"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_worker_lends_local_classifiers() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let rails = "rails:\n  config:\n    hf_classifier:\n      inj: {engine: local, model: some/classifier, blocked_labels: [BAD], parameters: {top_k: 1}}\n  input: {flows: ['hf classifier check input $classifier=inj']}\n";
    let python = format!("{rails}python: {{interpreter: {interpreter}}}\n");
    let transformers = "def pipeline(task, model, top_k):\n    assert (task, model, top_k) == ('text-classification', 'some/classifier', 1)\n    def classify(text):\n        if text == 'nan': return [{'label': 'BAD', 'score': float('nan')}]\n        return [[{'label': 'BAD' if 'bad' in text else 'GOOD', 'score': 0.9}]]\n    return classify\n";
    let directory = lending(&python, &[("transformers.py", transformers)]);
    assert_eq!(
        blocked(&directory, &["bad", "good", "nan"]).await,
        [true, false, true]
    );
    for (yaml, words) in [(rails, "transformers"), (&python, "a package is missing")] {
        let error = GuardrailsLayer::from_path(&lending(yaml, &[]).0).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(words) && error.contains("engine: local"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_worker_measures_perplexities() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let yaml = format!(
        "rails: {{input: {{flows: [jailbreak detection heuristics]}}}}\npython: {{interpreter: {interpreter}}}\n"
    );
    let torch = "import contextlib\nno_grad = contextlib.nullcontext\nclass tensor(list):\n    def to(self, device): return self\n";
    let transformers = r#"
class Config: n_positions = 1024
class Said:
    def __init__(self, loss): self.loss = loss
class GPT2LMHeadModel:
    config = Config
    @classmethod
    def from_pretrained(cls, name):
        assert name == "gpt2-large"
        return cls()
    def to(self, device): return self
    def __call__(self, tokens, labels):
        new = [token for token in labels[0] if token != -100]
        return Said(sum(new) / len(new))
class GPT2TokenizerFast:
    @classmethod
    def from_pretrained(cls, name): return cls()
    def __call__(self, text): return {"input_ids": [9 if word == "zq" else 1 for word in text.split()]}
"#;
    let packages = [("torch.py", torch), ("transformers.py", transformers)];
    let directory = lending(&yaml, &packages);
    let (plain, long) = ("word ".repeat(30), "word ".repeat(200));
    let odd = format!("{plain}{}", "zq ".repeat(20));
    let texts = ["hi", "a few words", &plain, &odd, &long];
    assert_eq!(
        blocked(&directory, &texts).await,
        [false, false, false, true, true]
    );
}
