# The files of a rails directory: what they define, what their `init` registers, and how each is run.

import contextlib
import functools
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import uuid

class App:
    """What `init` is given: it takes what the file registers."""

    def __init__(self, registry, worker):
        self._registry = registry
        self.config = registry.config
        self.llm = Model(worker, "main")
        self.verbose = False
        # As much of the reference's inner objects as files reach into.
        self.runtime = self
        self.action_dispatcher = self
        self.llm_task_manager = TaskManager(worker, registry.config)
        self.llm_task_manager.register_filter = self.register_filter
        self.llm_task_manager.register_output_parser = self.register_output_parser
        self.llm_task_manager.register_prompt_context = self.register_prompt_context

    def register_action(self, action, name=None, override=True, **_):
        name = name or name_of(action)
        if override or name not in self._registry.actions:
            self._registry.actions[name] = action
        return self

    def register_actions(self, actions, override=True):
        for attribute in dir(actions):
            value = getattr(actions, attribute)
            if hasattr(value, "action_meta"):
                self.register_action(value, override=override)
        return self

    @property
    def registered_actions(self):
        return self._registry.actions

    @property
    def registered_action_params(self):
        return self._registry.params

    def load_actions_from_path(self, path):
        self._registry.load_actions(str(path))
        return self

    def register_action_param(self, name, value):
        self._registry.params[name] = value
        return self

    def register_filter(self, filter_fn, name=None):
        self._registry.filters[name or name_of(filter_fn)] = filter_fn
        return self

    def register_output_parser(self, output_parser, name):
        self._registry.parsers[name] = output_parser
        return self

    def register_prompt_context(self, name, value_or_fn):
        self._registry.variables[name] = value_or_fn
        return self

    def _not_run(self, what, name):
        self._registry.not_run.append(f"{what} `{name}`")
        return self

    def register_embedding_search_provider(self, name, cls):
        return self._not_run("the embedding search provider", name)

    def register_embedding_provider(self, cls, name=None):
        return self._not_run("the embedding provider", name or getattr(cls, "engine_name", name_of(cls)))


def name_of(action):
    meta = getattr(action, "action_meta", None)
    name = meta["name"] if meta else getattr(action, "__name__", None)
    if not isinstance(name, str) or not name:
        raise ValueError("something without a `__name__` is registered without a name")
    return name


class Registry:
    """What the files of the directory define and register."""

    def __init__(self, settings):
        self.roots = settings["roots"]
        self.config = Config(settings["config"])
        self.actions = {}
        self.instances = {}
        self.params = {}
        self.filters = {}
        self.parsers = {}
        self.variables = {}
        self.problems = []
        self.not_run = []
        self.worker = None

    def load(self, worker):
        self.worker = worker
        for root in self.roots:
            sys.path.append(root)
        configs = []
        # As the reference does it: the modules of the configuration, then the actions, then what the modules register.
        for root in [*self.roots[1:], *self.roots[:1]]:
            path = os.path.join(root, "config.py")
            if os.path.isfile(path):
                with placed(path):
                    configs.append((path, self.module(path, "rails_config_py", None)))
        for root in self.roots:
            self.load_actions(root)
        app = App(self, worker)
        for path, module in configs:
            init = getattr(module, "init", None)
            if callable(init):
                with placed(path):
                    begun = init(app)
                    if inspect.iscoroutine(begun):
                        worker.loop.run_until_complete(begun)
        self.not_run += NOT_RUN

    def load_actions(self, root):
        folder = os.path.join(root, "actions")
        for at, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py") and name != "__init__.py":
                    self.load_file(os.path.join(at, name), folder)
        path = os.path.join(root, "actions.py")
        if os.path.isfile(path):
            self.load_file(path, None)

    def load_file(self, path, folder):
        try:
            if folder is None:
                has_folder = os.path.isdir(path[:-3])
                module = self.module(path, "actions_py" if has_folder else "actions", None)
            else:
                inner = os.path.splitext(os.path.relpath(path, folder))[0].replace(os.sep, ".")
                module = self.module(path, f"actions.{inner}", folder)
        except BaseException as error:
            print(trace_of(error), file=sys.stderr)
            self.problems.append({"file": path, "line": line_in(error, path), "message": failure_of(error)})
            return
        for _, value in inspect.getmembers(module):
            meta = getattr(value, "action_meta", None)
            if (inspect.isfunction(value) or inspect.isclass(value)) and isinstance(meta, dict) and meta.get("name"):
                self.actions[meta["name"]] = value

    def module(self, path, name, folder):
        """Runs the file as the module `name`. Its folder is a package, so that its files may import each other."""
        known = sys.modules.get(name)
        if known is not None:
            if same_file(getattr(known, "__file__", None), path):
                return known
            name = f"{name}__{uuid.uuid4().hex[:8]}"
        elif folder is not None:
            self.package(folder, name)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def package(self, folder, name):
        package, inner = "actions", name.split(".")[1:-1]
        if not same_file(next(iter(getattr(sys.modules.get(package), "__path__", [])), None), folder):
            self.begin_package(package, folder)
        for part in inner:
            folder = os.path.join(folder, part)
            package = f"{package}.{part}"
            if package not in sys.modules:
                self.begin_package(package, folder)

    def begin_package(self, package, folder):
        file = os.path.join(folder, "__init__.py")
        if os.path.isfile(file):
            spec = importlib.util.spec_from_file_location(package, file, submodule_search_locations=[folder])
        else:
            spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
            spec.submodule_search_locations = [folder]
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        if spec.loader is not None:
            spec.loader.exec_module(module)

    def facts(self):
        return {
            "python": ".".join(map(str, sys.version_info[:3])),
            "actions": [self.fact(name, action) for name, action in sorted(self.actions.items())],
            "filters": sorted(self.filters),
            "parsers": sorted(self.parsers),
            "variables": [variable(name, value) for name, value in sorted(self.variables.items())],
            "params": sorted(map(str, self.params)),
            "problems": self.problems,
            "not_run": self.not_run,
        }

    def fact(self, name, action):
        meta = getattr(action, "action_meta", None) or {}
        parameters = list(parameters_of(action))
        return {
            "name": str(name),
            "is_system": bool(meta.get("is_system_action")),
            "is_async": bool(meta.get("execute_async")),
            "parameters": parameters,
        }

    async def act(self, call):
        message = call.message
        name = message["name"]
        action = self.instances.get(name) or self.actions[name]
        if inspect.isclass(action):
            action = await self.worker.blocking(action)
            self.instances[name] = action
        arguments = dict(message.get("arguments") or {})
        parameters = parameters_of(action)
        context = message.get("context")
        for parameter in parameters:
            if parameter.startswith("__context__"):
                arguments[parameter] = (context or {}).get(parameter[len("__context__"):])
        if "context" in parameters:
            arguments["context"] = context or {}
        if "events" in parameters:
            arguments["events"] = message.get("events") or []
        if "config" in parameters:
            arguments["config"] = self.config
        if "llm_task_manager" in parameters:
            arguments["llm_task_manager"] = TaskManager(self.worker, self.config, call)
        own = {"llm", "llms", "kb"} & set(parameters)
        if "kb" in own and message.get("kb"):
            arguments["kb"] = KnowledgeBase(self.worker, call)
        models = message.get("models") or {}
        if "llms" in own:
            arguments["llms"] = {
                kind: Model(self.worker, kind, call, facts=facts) for kind, facts in models.items() if kind
            }
        for parameter in parameters:
            kind = parameter[:-4] if parameter.endswith("_llm") else None
            if kind and kind in models:
                arguments[parameter] = Model(self.worker, kind, call, facts=models[kind])
        if "llm" in own and "" in models:
            arguments["llm"] = Model(self.worker, "", call, facts=models[""])
        for parameter, value in self.params.items():
            if parameter in parameters:
                arguments[parameter] = value
        return await self.invoke(name, action, arguments)

    async def invoke(self, name, action, arguments):
        if inspect.isfunction(action) or inspect.ismethod(action):
            function = action
        elif callable(getattr(action, "ainvoke", None)):
            return await action.ainvoke(input=arguments)
        elif callable(getattr(action, "run", None)):
            function = action.run
        elif callable(action):
            function = action
        else:
            raise TypeError(f"the action `{name}` is neither a function nor something with a method `run`")
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        result = await self.worker.blocking(functools.partial(function, **arguments))
        if inspect.isawaitable(result):
            result = await result
        return result

    def help(self, message):
        """A filter, a parser or a variable of prompts."""
        name = message["name"]
        if message["do"] == "filter":
            return now(self.filters[name](message["value"], *message.get("arguments", [])))
        if message["do"] == "parser":
            parsed = now(self.parsers[name](message["value"]))
            return list(parsed) if isinstance(parsed, tuple) else parsed
        value = self.variables[name]
        return now(value()) if callable(value) else value


def now(value):
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("filters, parsers and variables of prompts cannot be async")
    return value


def variable(name, value):
    if callable(value):
        return {"name": name, "is_called": True}
    return {"name": name, "is_called": False, "value": plain(value)}


def parameters_of(action):
    """The names that an action takes, in order."""
    if inspect.isclass(action):
        action = getattr(action, "run", None)
    elif not (inspect.isfunction(action) or inspect.ismethod(action)):
        action = getattr(action, "run", None) or action
    try:
        parameters = inspect.signature(action).parameters.values()
    except (TypeError, ValueError):
        return []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [name for name in named if name != "self"]


@contextlib.contextmanager
def placed(path):
    """Notes where in the file an error came from."""
    try:
        yield
    except BaseException as error:
        error.guardrails_place = {"file": path, "line": line_in(error, path)}
        raise
