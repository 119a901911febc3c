# What only Python has, lent to the crate's own rails where the packages are installed: Presidio's analyzer, classifiers of
# transformers, the perplexities of the jailbreak heuristics.

LENT = {}


def lent(asked):
    return {}
