"""`summary`: a model as a table of its layers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from funcgrad.ir.types import ArrayType
from funcgrad.nn.calls import LayerCall, Recording, record_calls, total_flops
from funcgrad.nn.drawing.svg import escaped
from funcgrad.nn.paths import once, places
from funcgrad.nn.show import short_dtype
from funcgrad.nn.walk import named_modules


class Row(NamedTuple):
    """One call of one layer.

    Attributes:
        path, type: which layer.
        output: shapes and dtypes of its results.
        parameters: how many numbers its parameters are, 0 for a layer that an earlier row has counted.
        flops: arithmetic operations, an estimate: 2 for each product of a matrix product or convolution, 1 for an
            addition, about 20 for a function such as exp.
        bytes: of its parameters, buffers and results.
    """

    path: str
    type: str
    output: str
    parameters: int
    flops: int
    bytes: int


class Summary:
    """The table that `summary` returns: prints as text, and as HTML in notebooks.

    Attributes:
        rows: a `Row` for each call of each layer, in order; layers inside others follow them.
        parameters, trainable: number of parameters, and of those that are not frozen.
        flops: of one call.
        parameter_bytes, output_bytes: bytes of all parameters and buffers, and of the results of all layers without
            layers inside, which is about what a backward pass keeps.
    """

    def __init__(self, model: Any, recording: Recording) -> None:
        found = list(once(places(model)))
        self.parameters = sum(p.array.size for p in found if p.is_parameter)
        self.trainable = sum(p.array.size for p in found if p.is_trainable)
        self.parameter_bytes = sum(p.array.nbytes for p in found)
        self.flops = int(total_flops(list(recording.program.equations)))
        self.output_bytes = 0
        self.rows: list[Row] = []
        counted: set[int] = set()
        for number, call in enumerate(recording.calls):
            self.rows.append(_row(call, counted))
            following = recording.calls[number + 1 : number + 2]
            if not following or following[0].depth <= call.depth:
                self.output_bytes += sum(map(_bytes, call.outputs))
        called = {row.path for row in self.rows}
        self.unused = [path for path, _ in named_modules(model) if path and path not in called]

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text."""
        head = ("path", "type", "output", "parameters", "FLOPs", "bytes")
        body = [
            (
                row.path or "(the model)",
                row.type,
                row.output,
                *(f"{n:,}" if n else "" for n in row[3:]),
            )
            for row in self.rows
        ]
        return [head, *body]

    def footer(self) -> list[str]:
        """Lines below the table."""
        frozen = self.parameters - self.trainable
        lines = [
            f"parameters: {self.parameters:,}" + (f", {frozen:,} of them frozen" if frozen else ""),
            f"FLOPs: {self.flops:,}",
            f"bytes: {self.parameter_bytes:,} parameters and buffers, {self.output_bytes:,} results of layers",
        ]
        if self.unused:
            lines.append(f"not called: {', '.join(self.unused)}")
        return lines

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]

        def line(row: tuple[str, ...]) -> str:
            pairs = list(zip(row, widths, strict=True))
            text = [cell.ljust(width) for cell, width in pairs[:3]]
            return "  ".join([*text, *[cell.rjust(width) for cell, width in pairs[3:]]]).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([line(cells[0]), rule, *map(line, cells[1:]), rule, *self.footer()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self.cells()
        rows = ["".join(f"<th>{cell}</th>" for cell in head)]
        rows += ["".join(f"<td>{escaped(cell)}</td>" for cell in row) for row in body]
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table>{table}</table><p>{'<br>'.join(map(escaped, self.footer()))}</p>"


def summary(
    model: Any,
    *inputs: Any,
    train: bool = False,
    key: Any = None,
    method: Any = "__call__",
    **kwargs: Any,
) -> Summary:
    """A table of the layers of a model: path, type, output, parameters, arithmetic operations, bytes.

    Nothing is computed: the call is recorded for the shapes of its inputs.

    Args:
        model: a module.
        *inputs: arrays, or shapes as tuples of ints, which are those of float32 arrays.
        train, key, method, **kwargs: as for `model.apply`.

    Returns:
        A `Summary`, which prints as a table and has its numbers as attributes.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(4, 8, key=0), nn.relu, nn.Linear(8, 2, key=1)])
        >>> print(summary(model, (32, 4)))  # doctest: -NORMALIZE_WHITESPACE
        path         type        output     parameters  FLOPs  bytes
        ------------------------------------------------------------
        (the model)  Sequential  f32[32,2]          58  3,904    488
        layers.0     Linear      f32[32,8]          40  2,304  1,184
        layers.1     relu        f32[32,8]                512  1,024
        layers.2     Linear      f32[32,2]          18  1,088    328
        ------------------------------------------------------------
        parameters: 58
        FLOPs: 3,904
        bytes: 232 parameters and buffers, 2,304 results of layers
    """
    options = {"train": train, "key": key, "method": method, **kwargs}
    return Summary(model, record_calls(model, inputs, options))


def _row(call: LayerCall, counted: set[int]) -> Row:
    found = list(once(places(call.module)))
    is_new = id(call.module) not in counted
    counted.add(id(call.module))
    stored = sum(place.array.nbytes for place in found)
    return Row(
        call.path,
        call.name,
        ", ".join(map(_described, call.outputs)),
        sum(place.array.size for place in found if place.is_parameter) if is_new else 0,
        int(call.flops),
        int(stored + sum(map(_bytes, call.outputs))),
    )


def _described(type: ArrayType) -> str:
    return f"{short_dtype(type.dtype)}[{','.join(map(str, type.shape))}]"


def _bytes(type: ArrayType) -> int:
    return math.prod(n or 0 for n in type.shape) * type.dtype.itemsize
