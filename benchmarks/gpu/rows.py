"""The rows of the GPU table: those of the CPU, and kernels whose time is that of memory or of products."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows import ROWS as CPU_ROWS
from benchmarks.rows.w09_transformer import Transformer

LAUNCH_BOUND = ("W1", "W2", "W5a", "W5b", "W10a", "W10b", "W12")
LAUNCH_GOAL, GOAL = 1.5, 1.0
SPOT = 8  # rows of a large result that are compared with the reference


@dataclass(frozen=True)
class Kernel(Row):
    """Work that a GPU does in one or a few kernels.

    Attributes:
        precision: of float32 products: a name of `funcgrad.default_matmul_precision`.
        dtype: of the floating arrays.
        checked: sizes for the comparison with the reference, where the full result is too large for one.
    """

    precision: ClassVar[str] = "highest"
    dtype: ClassVar[str] = "float32"
    checked: ClassVar[dict[str, Any]] = {}
    goal = GOAL

    @property
    def bytes_moved(self) -> float:
        """What must be read and written at least; nan where products take the time."""
        return float("nan")

    @property
    def flops(self) -> float:
        """Operations of the matrix products; nan where memory takes the time."""
        return float("nan")

    def smaller(self) -> Kernel:
        """The same work at the sizes of the check."""
        return replace(self, **self.checked)


def chain(np: Any, x: Any) -> Any:
    """Several operations on each element, one array in and one out."""
    a = x * 2 + 1
    a = a / (1 + np.abs(a))
    return np.maximum(a, 0) + 0.1


@dataclass(frozen=True)
class Chain(Kernel):
    """chain of elementwise operations on 1e8 numbers."""

    count: int = 100_000_000

    tiny = {"count": 11}
    checked = {"count": 1003}

    @property
    def bytes_moved(self) -> float:
        return 8.0 * self.count

    def data(self, rng: np.random.Generator) -> tuple:
        return (rng.random(self.count, np.float32) - np.float32(0.5),)

    def reference(self, x: Any) -> Any:
        return chain(np, x)

    def funcgrad(self, x: Any) -> Any:
        import funcgrad as fg

        step = fg.jit(lambda x: chain(np, x))
        return lambda: step(x)

    def jax(self, x: Any) -> Any:
        import jax

        step = jax.jit(lambda x: chain(jax.numpy, x))
        return lambda: step(x)

    def torch(self, compile: Any, x: Any) -> Any:
        import torch

        @compile
        def step(x: Any) -> Any:
            a = x * 2 + 1
            a = a / (1 + torch.abs(a))
            return torch.relu(a) + 0.1

        return lambda: step(x)


@dataclass(frozen=True)
class LayerNorm(Kernel):
    """layer norm of 8192x4096."""

    rows: int = 8192
    columns: int = 4096

    tiny = {"rows": 3, "columns": 7}
    checked = {"rows": 33}

    @property
    def bytes_moved(self) -> float:
        return 8.0 * self.rows * self.columns

    def data(self, rng: np.random.Generator) -> tuple:
        x = rng.standard_normal((self.rows, self.columns), np.float32)
        return x, float32(rng.normal(size=self.columns)), float32(rng.normal(size=self.columns))

    def reference(self, x: Any, scale: Any, shift: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + shift

    def funcgrad(self, x: Any, scale: Any, shift: Any) -> Any:
        import funcgrad as fg

        step = fg.jit(lambda x, scale, shift: fg.nn.standardize(x) * scale + shift)
        return lambda: step(x, scale, shift)

    def jax(self, x: Any, scale: Any, shift: Any) -> Any:
        import jax

        step = jax.jit(lambda x, scale, shift: jax.nn.standardize(x) * scale + shift)
        return lambda: step(x, scale, shift)

    def torch(self, compile: Any, x: Any, scale: Any, shift: Any) -> Any:
        import torch

        @compile
        def step(x: Any, scale: Any, shift: Any) -> Any:
            return torch.nn.functional.layer_norm(x, x.shape[1:], scale, shift)

        return lambda: step(x, scale, shift)


@dataclass(frozen=True)
class CrossEntropy(Kernel):
    """softmax cross entropy of 8192x32000 logits, loss and gradient."""

    rows: int = 8192
    columns: int = 32000

    tiny = {"rows": 3, "columns": 7}
    checked = {"rows": 33}

    @property
    def bytes_moved(self) -> float:
        return 8.0 * self.rows * self.columns

    def data(self, rng: np.random.Generator) -> tuple:
        logits = rng.standard_normal((self.rows, self.columns), np.float32)
        return logits, rng.integers(0, self.columns, self.rows)

    def reference(self, logits: Any, labels: Any) -> Any:
        places = np.arange(len(labels)), labels
        shifted = logits - logits.max(-1, keepdims=True)
        total = np.exp(shifted).sum(-1, keepdims=True)
        gradient = np.exp(shifted) / total
        gradient[places] -= 1
        return np.mean(np.log(total[:, 0]) - shifted[places]), gradient / len(labels)

    def funcgrad(self, logits: Any, labels: Any) -> Any:
        import funcgrad as fg

        def loss(logits: Any, labels: Any) -> Any:
            return np.mean(fg.nn.softmax_cross_entropy_with_integer_labels(logits, labels))

        step = fg.jit(fg.value_and_grad(loss))
        return lambda: step(logits, labels)

    def jax(self, logits: Any, labels: Any) -> Any:
        import jax
        import optax

        def loss(logits: Any, labels: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        step = jax.jit(jax.value_and_grad(loss))
        return lambda: step(logits, labels)

    def torch(self, compile: Any, logits: Any, labels: Any) -> Any:
        import torch

        logits.requires_grad_()
        loss = compile(torch.nn.functional.cross_entropy)

        def step() -> Any:
            value = loss(logits, labels)
            return value, *torch.autograd.grad(value, logits)

        return step

    def torch_compile(self, compile: Any, logits: Any, labels: Any) -> Any:
        """Both directions in one graph."""
        import torch

        gradient = compile(torch.func.grad_and_value(torch.nn.functional.cross_entropy))

        def step() -> Any:
            slope, value = gradient(logits, labels)
            return value, slope

        return step


@dataclass(frozen=True)
class Block(Transformer, Kernel):
    """GPT-2-small block, 8x1024 tokens, value and gradient, exact float32."""

    blocks: int = 1
    batch: int = 8
    time: int = 1024
    width: int = 768
    heads: int = 12

    checked = {"batch": 1, "time": 64}
    goal = GOAL
    tolerance = 2e-5

    @property
    def flops(self) -> float:
        """Three times those of the forward pass: products with weights, and attention."""
        tokens = self.batch * self.time
        forward = 2 * tokens * 12 * self.width**2 + 4 * tokens * self.time * self.width
        return 3.0 * self.blocks * forward


@dataclass(frozen=True)
class BlockTf32(Block):
    """GPT-2-small block, 8x1024 tokens, value and gradient, TF32."""

    precision = "tensorfloat32"
    tolerance = 1e-2


@dataclass(frozen=True)
class BlockBfloat16(Block):
    """GPT-2-small block, 8x1024 tokens, value and gradient, bfloat16."""

    dtype = "bfloat16"
    tolerance = 0.2  # of gradients of biases, which are sums of many rounded numbers


KERNELS: dict[str, Kernel] = {
    "K1": Chain(),
    "K2": LayerNorm(),
    "K3": CrossEntropy(),
    "K4a": Block(),
    "K4b": BlockTf32(),
    "K4c": BlockBfloat16(),
}
ROWS: dict[str, Row] = {**CPU_ROWS, **KERNELS}


def row_named(name: str) -> Row:
    """A row by its name; K1@tiny is K1 at tiny sizes."""
    base, _, size = name.partition("@")
    return ROWS[base].shrunk() if size else ROWS[base]


def goal_of(name: str) -> float:
    """How many times faster than the best peer funcgrad should be."""
    return LAUNCH_GOAL if name.partition("@")[0] in LAUNCH_BOUND else GOAL


def limit_of(row: Row, limits: dict[str, float]) -> float:
    """Seconds that the work takes at the speed of this machine's memory or products; nan where neither is known."""
    if not isinstance(row, Kernel):
        return float("nan")
    speed = limits.get("bfloat16" if row.dtype == "bfloat16" else row.precision, float("nan"))
    bandwidth = limits.get("copy", float("nan"))
    return row.bytes_moved / bandwidth if row.bytes_moved == row.bytes_moved else row.flops / speed
