# What only Python has, lent to the crate's own rails where the packages are installed: Presidio's analyzer, classifiers of
# transformers, the perplexities of the jailbreak heuristics. Each is made once, when the crate first asks for it.

import json as _json
import math as _math
import os as _os
import threading as _threading

_MADE = {}
_MAKING = _threading.Lock()


def _presidio(settings):
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    model = settings["model"]
    if not spacy.util.is_package(model):
        raise RuntimeError(f"the spaCy model {model} is not installed: python -m spacy download {model}")
    models = [{"lang_code": "en", "model_name": model}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine)
    unknown = sorted(set(settings["entities"]) - set(analyzer.get_supported_entities(language="en")))
    if unknown:
        raise RuntimeError(f"Presidio's analyzer does not know {', '.join(unknown)}")

    def find(text, asked):
        found = analyzer.analyze(
            text=text, language="en", entities=asked["entities"], score_threshold=asked["score_threshold"]
        )
        return [
            {"entity_type": one.entity_type, "start": one.start, "end": one.end, "score": float(one.score)}
            for one in found
        ]

    return find


def _classifier(settings):
    from transformers import pipeline

    task = settings["task"]
    classify = pipeline(task=task, model=settings["model"], **settings["parameters"])

    def labels(text, _):
        found = classify(text)
        if found and isinstance(found[0], list):
            found = found[0]
        label = "label" if task == "text-classification" else None
        return [
            {"label": str(one[label] if label else one.get("entity_group") or one["entity"]), "score": float(one["score"])}
            for one in found
        ]

    return labels


def _perplexity(settings):
    import torch
    from transformers import GPT2LMHeadModel, GPT2TokenizerFast

    device = _os.environ.get("JAILBREAK_CHECK_DEVICE", "cpu")
    model = GPT2LMHeadModel.from_pretrained(settings["model"]).to(device)
    tokenizer = GPT2TokenizerFast.from_pretrained(settings["model"])
    window, stride = model.config.n_positions, 512

    def perplexity(text):
        """How unexpected the text is: by windows that overlap, the mean of their losses on what is new in each. A single token
        has none."""
        tokens = list(tokenizer(text)["input_ids"])
        if len(tokens) < 2:
            return None
        done, losses = 0, []
        for begin in range(0, len(tokens), stride):
            end = min(begin + window, len(tokens))
            part = tokens[begin:end]
            known = len(part) - (end - done)
            wanted = [-100] * known + part[known:]
            with torch.no_grad():
                said = model(torch.tensor([part]).to(device), labels=torch.tensor([wanted]).to(device))
            losses.append(float(said.loss))
            done = end
            if end == len(tokens):
                break
        loss = sum(losses) / len(losses)
        if loss != loss:
            raise ValueError("the model gives no loss for the text")
        return _math.exp(min(loss, 700.0))

    def measure(text, asked):
        words = text.split()
        ends = []
        # Short texts have no ends to speak of.
        if len(words) >= 20:
            ends = [perplexity(" ".join(words[:19])), perplexity(" ".join(words[-20:-1]))]
        return {"text": perplexity(text), "ends": ends}

    return measure


_KINDS = {"presidio": _presidio, "classifier": _classifier, "perplexity": _perplexity}


def _made(what, settings):
    key = _json.dumps([what, settings], sort_keys=True)
    with _MAKING:
        made = _MADE.get(key)
        if made is None:
            made = _MADE[key] = _KINDS[what](settings)
        return made


def lend(message):
    """Makes what is asked for; gives why it cannot be made, or nothing."""
    try:
        _made(message["what"], message["settings"])
    except ImportError as error:
        return f"a package is missing in the worker's interpreter: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:2000]
    return None


def use(message):
    return _made(message["what"], message["settings"])(message["text"], message["asked"])


LENT = {"lend": lend, "use": use}
