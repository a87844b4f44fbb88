"""What a `cupy.ElementwiseKernel` computes, read from its C text: for the derivatives of kernels that have no rule.

Understood are kernels that assign expressions of arithmetic, comparisons, `?:`, casts and the usual math functions;
loops, `if`, raw arrays and functions of a preamble are not. The values of a kernel always come from the kernel itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ops import (
    arithmetic,
    compare,
    exponential,
    extrema,
    floats,
    gamma,
    hyperbolic,
    power,
    rounding,
    special,
    trigonometry,
)
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import as_operand
from funcgrad.ops.select import select

Node = tuple[Any, ...]  # ("number", value), ("name", text), ("call", function, *arguments)


class NotUnderstood(Exception):
    """The text of a kernel goes beyond what is understood here."""


TYPES = {
    "bool", "char", "short", "int", "long", "float", "double", "float16", "auto",
    "T", "U", "V", "W", "S", "R", "A", "B",
}  # fmt: skip
QUALIFIERS = {"const", "unsigned", "signed"}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": exponential.exp, "exp2": exponential.exp2, "expm1": exponential.expm1,
    "log": exponential.log, "log2": exponential.log2, "log10": exponential.log10,
    "log1p": exponential.log1p, "sin": trigonometry.sin, "cos": trigonometry.cos,
    "tan": trigonometry.tan, "asin": trigonometry.arcsin, "acos": trigonometry.arccos,
    "atan": trigonometry.arctan, "atan2": trigonometry.arctan2, "sinh": hyperbolic.sinh,
    "cosh": hyperbolic.cosh, "tanh": hyperbolic.tanh, "asinh": hyperbolic.arcsinh,
    "acosh": hyperbolic.arccosh, "atanh": hyperbolic.arctanh, "sqrt": power.sqrt,
    "cbrt": power.cbrt, "pow": power.power, "rsqrt": power.rsqrt,
    "fabs": floats.absolute, "abs": floats.absolute, "fmax": extrema.fmax, "fmin": extrema.fmin,
    "max": extrema.maximum, "min": extrema.minimum, "floor": rounding.floor, "ceil": rounding.ceil,
    "erf": special.erf, "erfc": special.erfc, "lgamma": gamma.gammaln,
    "+": arithmetic.add, "-": arithmetic.subtract, "*": arithmetic.multiply,
    "/": arithmetic.divide, "negative": arithmetic.negative, "<": compare.less,
    "<=": compare.less_equal, ">": compare.greater, ">=": compare.greater_equal,
    "==": compare.equal, "!=": compare.not_equal, "&&": compare.logical_and,
    "||": compare.logical_or, "!": compare.logical_not, "?": select,
}  # fmt: skip
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
TOKEN = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?[fF]?|\.\d+(?:[eE][+-]?\d+)?[fF]?)|([A-Za-z_]\w*)"
    r"|(\+=|-=|\*=|/=|<=|>=|==|!=|&&|\|\||[-+*/()?:,<>!=]))"
)


def tokens_of(text: str) -> list[str]:
    """Numbers, names and signs."""
    found, place = [], 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if match is None:
            raise NotUnderstood(text[place : place + 20])
        found.append(match[1] or match[2] or match[3])
        place = match.end()
    return found


class Parser:
    """An expression of C by recursive descent."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]
        self.place = 0

    @property
    def next(self) -> str:
        return self.tokens[self.place]

    def take(self, expected: str = "") -> str:
        token = self.next
        if not token or (expected and token != expected):
            raise NotUnderstood(f"{token!r} instead of {expected!r}")
        self.place += 1
        return token

    def whole(self) -> Node:
        node = self.choice()
        if self.next:
            raise NotUnderstood(self.next)
        return node

    def choice(self) -> Node:
        condition = self.level(0)
        if self.next != "?":
            return condition
        self.take()
        first = self.choice()
        self.take(":")
        return ("call", "?", condition, first, self.choice())

    def level(self, number: int) -> Node:
        if number == len(LEVELS):
            return self.signed()
        node = self.level(number + 1)
        while self.next in LEVELS[number]:
            sign = self.take()
            node = ("call", sign, node, self.level(number + 1))
        return node

    def signed(self) -> Node:
        if self.next in ("-", "+", "!"):
            sign = self.take()
            node = self.signed()
            return node if sign == "+" else ("call", "negative" if sign == "-" else "!", node)
        return self.atom()

    def atom(self) -> Node:
        token = self.take()
        if token == "(":
            if self.next in TYPES and self.tokens[self.place + 1] == ")":
                kind = self.take()
                self.take(")")
                return ("cast", kind, self.signed())
            node = self.choice()
            self.take(")")
            return node
        if token[0].isdigit() or token[0] == ".":
            text = token.rstrip("fF")
            return ("number", int(text) if text.isdigit() and text == token else float(text))
        if not (token[0].isalpha() or token[0] == "_"):
            raise NotUnderstood(token)
        return self.call(token) if self.next == "(" else ("name", token)

    def call(self, name: str) -> Node:
        self.take("(")
        arguments = [self.choice()]
        while self.next == ",":
            self.take()
            arguments.append(self.choice())
        self.take(")")
        if name in TYPES and len(arguments) == 1:
            return ("cast", name, arguments[0])
        known = name.removeprefix("__")
        known = known if known in FUNCTIONS else known.removesuffix("f")
        if known not in FUNCTIONS:
            raise NotUnderstood(name)
        return ("call", known, *arguments)


def statement(text: str) -> tuple[str, Node]:
    """The name that a statement assigns to, and the expression."""
    tokens = tokens_of(text)
    while tokens and tokens[0] in QUALIFIERS:
        tokens.pop(0)
    if len(tokens) > 1 and tokens[0] in TYPES and tokens[1] not in "=()":
        tokens.pop(0)
    if len(tokens) < 3 or tokens[1] not in ("=", "+=", "-=", "*=", "/="):
        raise NotUnderstood(text)
    name, sign = tokens[0], tokens[1]
    node = Parser(tokens[2:]).whole()
    return name, node if sign == "=" else ("call", sign[0], ("name", name), node)


def evaluate(node: Node, names: dict[str, Any]) -> Any:
    """The value of an expression, by operations that can be differentiated."""
    kind, *rest = node
    if kind == "number":
        return rest[0]
    if kind == "name":
        if rest[0] not in names:
            raise NotUnderstood(rest[0])
        return names[rest[0]]
    if kind == "cast":
        value = evaluate(rest[1], names)
        if rest[0] in ("int", "long", "short", "char", "bool"):
            raise NotUnderstood(f"a cast to {rest[0]}")
        return value
    function, *arguments = rest
    values = [evaluate(argument, names) for argument in arguments]
    if function == "/" and all(is_whole(value) for value in values):
        raise NotUnderstood("a division of integers")
    return FUNCTIONS[function](*values)


def is_whole(value: Any) -> bool:
    return getattr(as_operand(value), "dtype", type(value)) in (int, bool) or (
        hasattr(value, "dtype") and value.dtype.kind in "iub"
    )


def expression_of(kernel: Any) -> Callable[..., Any] | None:
    """What an ElementwiseKernel computes as a function of its inputs; None where its text is not understood."""
    inputs, outputs = kernel.in_params, kernel.out_params
    if any(param.raw for param in (*inputs, *outputs)) or kernel.preamble.strip():
        return None
    try:
        steps = [statement(text) for text in kernel.operation.split(";") if text.strip()]
    except NotUnderstood:
        return None
    names = [param.name for param in inputs]
    if not all(param.name in {name for name, _ in steps} for param in outputs):
        return None

    def compute(*args: Any) -> Any:
        known = dict(zip(names, args, strict=True))
        for name, node in steps:
            known[name] = evaluate(node, known)
        outs = results(outputs, known, args)
        return outs[0] if len(outs) == 1 else tuple(outs)

    return compute


def results(outputs: Sequence[Any], known: dict[str, Any], args: Sequence[Any]) -> list[Any]:
    """The outputs in their dtypes; a letter such as T stands for the dtype of the first floating input."""
    floating = next((x.dtype for x in args if hasattr(x, "dtype") and x.dtype.kind in "fc"), float)
    return [convert(known[param.name], param.dtype or floating) for param in outputs]
