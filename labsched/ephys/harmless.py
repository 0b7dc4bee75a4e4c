"""As much of Python as people write in a .prb or .prm file, evaluated without running it.

Literals, arithmetic, ``range``, ``list`` and their like, comprehensions, ``for`` loops, ``if``, and filling lists and
dictionaries. No imports, no definitions, no attributes but the few methods below, and a bound on the work: a file
from anywhere can be read.
"""

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any

MAX_STEPS = 200_000
MAX_ITEMS = 100_000


class Unreadable(Exception):
    """The text asks for more than we evaluate; says what and in which line."""


def _range(*bounds: int) -> range:
    result = range(*bounds)
    if len(result) > MAX_ITEMS:
        raise ValueError(f"a range of {len(result)} numbers is too long")
    return result


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "range": _range, "list": list, "tuple": tuple, "dict": dict, "set": set, "len": len, "int": int, "float": float,
    "sorted": sorted, "reversed": reversed, "zip": zip, "enumerate": enumerate, "min": min, "max": max,
    "abs": abs, "round": round,
}  # fmt: skip
METHODS: dict[type, set[str]] = {
    list: {"append", "extend", "index", "copy"},
    dict: {"items", "keys", "values", "update", "get", "copy"},
    set: {"add", "update", "copy"},
    tuple: {"index"},
    range: {"index"},
}
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


def evaluate(text: str) -> dict[str, Any]:
    """The names that ``text`` defines; Unreadable where it is not Python, or more of it than we know."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise Unreadable(f"not valid Python{f' in line {line}' if line else ''}: {_said(error)}") from None
    run = _Run()
    try:
        run.block(tree.body)
    except Unreadable:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, MemoryError) as error:
        raise Unreadable(f"line {run.line}: {_said(error)}") from None
    return run.names


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__} {text}" if isinstance(error, KeyError) else str(text or type(error).__name__)


class _Run:
    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.steps = 0
        self.line = 1

    def count(self, node: ast.AST) -> None:
        self.line = getattr(node, "lineno", self.line)
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Unreadable(f"line {self.line}: the file takes too long to evaluate")

    def refuse(self, node: ast.AST) -> Unreadable:
        source = " ".join(ast.unparse(node).split())
        short = source if len(source) <= 60 else source[:57] + "..."
        return Unreadable(
            f"line {getattr(node, 'lineno', self.line)}: {short!r} is more Python than this file may have; "
            "write the numbers out, or use range(), list(), comprehensions and for loops"
        )

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        self.count(node)
        match node:
            case ast.Assign(targets=targets, value=value):
                result = self.value(value)
                for target in targets:
                    self.assign(target, result)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name() | ast.Subscript() as target, op=op, value=value):
                load = ast.copy_location(ast.parse(ast.unparse(target), mode="eval").body, node)
                self.assign(target, self.binary(node, op, self.value(load), self.value(value)))
            case ast.For(target=target, iter=over, body=body, orelse=[]):
                for item in self.value(over):
                    self.assign(target, item)
                    self.block(body)
            case ast.If(test=test, body=body, orelse=orelse):
                self.block(body if self.value(test) else orelse)
            case ast.Expr(value=value):
                self.value(value)
            case ast.Pass():
                pass
            case _:
                raise self.refuse(node)

    def assign(self, target: ast.expr, value: Any) -> None:
        self.count(target)
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = list(value)
                if len(values) != len(parts):
                    raise ValueError(f"{len(values)} values for {len(parts)} names")
                for part, item in zip(parts, values, strict=True):
                    self.assign(part, item)
            case ast.Subscript(value=container, slice=key):
                holder = self.value(container)
                if not isinstance(holder, dict | list):
                    raise self.refuse(target)
                holder[self.value(key)] = value
            case _:
                raise self.refuse(target)

    def value(self, node: ast.expr) -> Any:
        self.count(node)
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                if name not in self.names:
                    raise Unreadable(f"line {self.line}: {name} is not defined")
                return self.names[name]
            case ast.List(elts=parts):
                return [self.value(part) for part in parts]
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Set(elts=parts):
                return {self.value(part) for part in parts}
            case ast.Dict(keys=keys, values=values) if all(key is not None for key in keys):
                return {self.value(k): self.value(v) for k, v in zip(keys, values, strict=True) if k is not None}
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                return OPERATORS[type(op)](self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(node, op, self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=values):
                stop = isinstance(op, ast.Or)
                result: Any = None
                for part in values:
                    result = self.value(part)
                    if bool(result) is stop:
                        break
                return result
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self.compare(left, ops, others)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.Subscript(value=container, slice=key):
                return self.value(container)[self.value(key)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(self.value(part) if part else None for part in (lower, upper, step)))
            case ast.ListComp(elt=element, generators=generators):
                return [self.value(element) for _ in self.loops(generators)]
            case ast.SetComp(elt=element, generators=generators):
                return {self.value(element) for _ in self.loops(generators)}
            case ast.GeneratorExp(elt=element, generators=generators):
                return [self.value(element) for _ in self.loops(generators)]
            case ast.DictComp(key=key, value=value, generators=generators):
                return {self.value(key): self.value(value) for _ in self.loops(generators)}
            case ast.Call(func=function, args=arguments, keywords=keywords):
                return self.call(node, function, arguments, keywords)
            case _:
                raise self.refuse(node)

    def binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(op, ast.Mult):
            # a list times a huge number, or huge integers, would take the memory
            size = max(len(x) if hasattr(x, "__len__") else 0 for x in (left, right))
            times = max((abs(x) for x in (left, right) if isinstance(x, int)), default=1)
            if size * times > MAX_ITEMS or times.bit_length() > 64:
                raise ValueError("a product is too large")
            return left * right
        if type(op) not in OPERATORS or isinstance(left, str):
            raise self.refuse(node)
        result = OPERATORS[type(op)](left, right)
        if hasattr(result, "__len__") and len(result) > MAX_ITEMS:
            raise ValueError("a list grows too long")
        return result

    def compare(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> bool:
        value = self.value(left)
        for op, other in zip(ops, others, strict=True):
            right = self.value(other)
            if not OPERATORS[type(op)](value, right):
                return False
            value = right
        return True

    def loops(self, generators: list[ast.comprehension]) -> Iterator[None]:
        if not generators:
            yield
            return
        first, *rest = generators
        for item in self.value(first.iter):
            self.assign(first.target, item)
            if all(self.value(test) for test in first.ifs):
                yield from self.loops(rest)

    def call(self, node: ast.Call, function: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        named = {word.arg: self.value(word.value) for word in keywords if word.arg is not None}
        if len(named) != len(keywords) or any(callable(x) for x in named.values()):
            raise self.refuse(node)
        values = [self.value(argument) for argument in arguments]
        match function:
            case ast.Name(id=name) if name in FUNCTIONS:
                result = FUNCTIONS[name](*values, **named)
            case ast.Attribute(value=owner, attr=attr):
                holder = self.value(owner)
                if attr not in METHODS.get(type(holder), ()):
                    raise self.refuse(node)
                result = getattr(holder, attr)(*values, **named)
                if len(holder) > MAX_ITEMS:
                    raise ValueError("a list grows too long")
            case _:
                raise self.refuse(node)
        # iterators are spent once: people mean the list
        if isinstance(result, range | list | tuple | dict | set | int | float | str | None):
            return result
        return list(result)
