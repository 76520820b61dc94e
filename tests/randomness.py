"""Finds in source code what makes results depend on more than seeds: global generators, hashes, sets' order, clocks."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_NUMPY = {"default_rng", "SeedSequence", "Generator", "BitGenerator", "PCG64"}  # of numpy.random: explicit streams
_TORCH = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("normal", "bernoulli", "multinomial", "poisson"),
}
_TORCH_STATE = {
    f"torch.{name}"
    for name in ("manual_seed", "seed", "initial_seed", "random", "get_rng_state", "set_rng_state", "default_generator")
}
_IN_PLACE = {"uniform_", "normal_", "random_", "exponential_", "bernoulli_", "geometric_", "log_normal_", "cauchy_"}
_DRAWING = {"init", "dropout", "Dropout", "Linear", "Embedding", "LSTM", "LSTMCell", "GRU", "GRUCell", "Bilinear"} | {
    f"Conv{n}d" for n in (1, 2, 3)
}  # of torch.nn, whose constructors draw from the global generator
_SEEDERS = {"default_rng", "SeedSequence", "seed", "manual_seed", "stream", "RandomState"}
_NOT_SEEDS = {"time", "time_ns", "perf_counter", "monotonic", "getpid", "urandom", "uuid4", "hash", "id", "gethostname"}
_ORDERED = {"list", "tuple", "enumerate", "iter", "next", "zip", "map", "array", "asarray", "join", "fromkeys"}
_UNORDERED = {"set", "frozenset"}
_ORDERLESS = {"sorted", "set", "frozenset", "len", "min", "max", "any", "all"}  # whatever order they are given


@dataclass(frozen=True)
class Finding:
    line: int
    what: str


def findings(source: str) -> list[Finding]:
    """What is suspicious, by line."""
    tree = ast.parse(source)
    names = _imports(tree)
    orderless = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ORDERLESS
        for argument in node.args
        for inner in ast.walk(argument)
    }
    found = {finding for node in ast.walk(tree) for finding in _of(node, names)}
    found |= {
        Finding(iterated.lineno, "the order of a set")
        for node in ast.walk(tree)
        for iterated in _iterated(node)
        if _is_set(iterated, names) and id(iterated) not in orderless
    }
    return sorted(found, key=lambda finding: (finding.line, finding.what))


def _imports(tree: ast.AST) -> dict[str, str]:
    """What the imported names stand for, such as np: numpy."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _of(node: ast.AST, names: dict[str, str]) -> Iterator[Finding]:
    if isinstance(node, ast.Attribute | ast.Name) and (path := _path(node, names)):
        parts = path.split(".")
        module, last = ".".join(parts[:-1]), parts[-1]
        if module == "numpy.random" and last not in _NUMPY:
            yield Finding(node.lineno, f"numpy.random.{last}")
        if module == "random" or path in ("os.urandom", "uuid.uuid4") or parts[0] == "secrets":
            yield Finding(node.lineno, path)
        if path in _TORCH_STATE:
            yield Finding(node.lineno, path)
    if isinstance(node, ast.Call):
        yield from _of_call(node, names)


def _of_call(call: ast.Call, names: dict[str, str]) -> Iterator[Finding]:
    path = _path(call.func, names) or ""
    last = path.rpartition(".")[2] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    explicit = any(keyword.arg == "generator" for keyword in call.keywords)
    if last == "default_rng" and not call.args and not call.keywords:
        yield Finding(call.lineno, "default_rng() of the system's entropy")
    if last == "SeedSequence" and not call.args and not call.keywords:
        yield Finding(call.lineno, "SeedSequence() of the system's entropy")
    if path.startswith("torch.") and path.count(".") == 1 and last in _TORCH and not explicit:
        yield Finding(call.lineno, f"{path} without a generator")
    if isinstance(call.func, ast.Attribute) and last in _IN_PLACE and not explicit:
        yield Finding(call.lineno, f".{last} without a generator")
    if path.startswith("torch.nn.") and set(path.split(".")) & _DRAWING and not explicit:
        yield Finding(call.lineno, f"{path} without a generator")
    if path == "hash":
        yield Finding(call.lineno, "hash()")
    seeds = [*call.args, *(keyword.value for keyword in call.keywords)] if last in _SEEDERS else []
    seeds += [keyword.value for keyword in call.keywords if keyword.arg in ("seed", "random_state", "random_seed")]
    for seed in seeds:
        for inner in ast.walk(seed):
            if isinstance(inner, ast.Call):
                name = (_path(inner.func, names) or "").rpartition(".")[2]
                if name in _NOT_SEEDS:
                    yield Finding(inner.lineno, f"{name}() in a seed")


def _iterated(node: ast.AST) -> Iterator[ast.expr]:
    """What a node goes over in its order."""
    if isinstance(node, ast.For | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _ORDERED:
            yield from node.args
        elif name == "pop" and isinstance(node.func, ast.Attribute) and not node.args:
            yield node.func.value


def _is_set(node: ast.expr, names: dict[str, str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.Sub | ast.BitXor):
        return _is_set(node.left, names) or _is_set(node.right, names)
    return isinstance(node, ast.Call) and _path(node.func, names) in _UNORDERED


def _path(node: ast.AST, names: dict[str, str]) -> str | None:
    """A dotted name with its imports resolved, such as numpy.random.seed of np.random.seed; None for another thing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    if parts and node.id not in names:  # of a local object, such as rng.random
        return None
    return ".".join([names.get(node.id, node.id), *reversed(parts)])
