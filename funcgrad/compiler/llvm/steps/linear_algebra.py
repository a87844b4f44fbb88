"""Factorizations and systems of equations as steps: calls of functions that all programs share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from funcgrad.compiler.llvm.calls.failure import (
    NO_EIGENVALUES,
    NO_SINGULAR_VALUES,
    NOT_POSITIVE,
    RECORDED,
    SINGULAR,
    site_number,
    stop_if,
)
from funcgrad.compiler.llvm.linalg.calls import LETTERS
from funcgrad.compiler.llvm.linalg.decompositions import FAILED
from funcgrad.compiler.llvm.linalg.library import LOWER, RIGHT, TRANSPOSED, UNIT
from funcgrad.compiler.llvm.loading import libraries
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.runtime import lapack
from funcgrad.compiler.llvm.steps.tasks import copy
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.plan import nbytes
from funcgrad.ops.lu import PIVOT

libraries.register()

NULL = Value("ptr", "null")


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    return operands[0].dtype.name in LETTERS and bool(operands[0].type.size) and lapack.is_known()


def takes_pivots(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del params
    return operands[0].dtype == PIVOT


def write_lu_permutation(writer: ProgramWriter, step: Step) -> None:
    (pivots,) = step.operands
    out = writer.result(step, 0)
    if out is not None and pivots.type.size:
        count = constant("i64", math.prod(pivots.shape[:-1]))
        n = constant("i64", pivots.shape[-1])
        call(writer, step, [writer.operand(pivots), out, n, count])


def write_lu_factor(writer: ProgramWriter, step: Step) -> None:
    (a,) = step.operands
    with result_of(writer, step, 0) as factors, result_of(writer, step, 1) as pivots:
        n, count = sizes(a)
        call(writer, step, [writer.operand(a), factors, pivots, n, count])
    count_work(writer, a, 2 * a.shape[-1])


def write_lu_solve(writer: ProgramWriter, step: Step) -> None:
    factors, pivots, b = step.operands
    out = writer.result(step, 0)
    if out is None or not b.type.size:
        return
    copy(writer, out, writer.operand(b), nbytes(b))
    n, count = sizes(factors)
    given = [writer.operand(factors), writer.operand(pivots), out, n]
    flag = constant("i64", step.params["transposed"])
    failed = call(writer, step, [*given, constant("i64", b.shape[-1]), count, flag])
    stop_if_failed(writer, failed, SINGULAR)
    count_work(writer, factors, 2 * b.shape[-1])


def write_triangular_solve(writer: ProgramWriter, step: Step) -> None:
    a, b = step.operands
    out = writer.result(step, 0)
    if out is None or not b.type.size:
        return
    copy(writer, out, writer.operand(b), nbytes(b))
    n, count = sizes(a)
    names = ("lower", "unit_diagonal", "transposed", "right")
    flags = sum(
        flag
        for name, flag in zip(names, (LOWER, UNIT, TRANSPOSED, RIGHT), strict=True)
        if step.params[name]
    )
    columns = constant("i64", b.type.size // math.prod(a.shape[:-1]))
    given = [writer.operand(a), out, n, columns, count, constant("i64", flags)]
    call(writer, step, given)
    count_work(writer, a, b.shape[-1])


def write_cholesky(writer: ProgramWriter, step: Step) -> None:
    (a,) = step.operands
    with result_of(writer, step, 0) as out:
        copy(writer, out, writer.operand(a), nbytes(a))
        failed = call(writer, step, [out, *sizes(a)])
    stop_if_failed(writer, failed, NOT_POSITIVE)
    count_work(writer, a, a.shape[-1])


def write_eigh(writer: ProgramWriter, step: Step) -> None:
    (a,) = step.operands
    vectors = writer.result(step, 1) if len(step.types) > 1 else None
    with result_of(writer, step, 0) as values:
        given = [writer.operand(a), values, vectors or NULL, *sizes(a)]
        failed = call(writer, step, given)
    stop_if_failed(writer, failed, NO_EIGENVALUES)
    count_work(writer, a, 8 * a.shape[-1])


def write_svd(writer: ProgramWriter, step: Step) -> None:
    (a,) = step.operands
    *lead, m, n = a.shape
    numbers = [m, n, step.params.get("full_matrices", False), math.prod(lead)]
    given = [constant("i64", number) for number in numbers]
    if len(step.types) == 1 or writer.result(step, 0) is writer.result(step, 2) is None:
        with result_of(writer, step, len(step.types) // 2) as s:
            failed = call(writer, step, [writer.operand(a), NULL, s, NULL, *given])
    else:
        with contextlib.ExitStack() as stack:
            parts = [stack.enter_context(result_of(writer, step, i)) for i in range(3)]
            failed = call(writer, step, [writer.operand(a), *parts, *given])
    stop_if_failed(writer, failed, NO_SINGULAR_VALUES)
    count_work(writer, a, 16 * min(m, n))


def write_qr(writer: ProgramWriter, step: Step) -> None:
    (a,) = step.operands
    *lead, m, n = a.shape
    columns = step.types[0].shape[-1]
    given = [constant("i64", number) for number in (m, n, columns, math.prod(lead))]
    q = writer.result(step, 0) or NULL
    with result_of(writer, step, 1) as r:
        call(writer, step, [writer.operand(a), q, r, *given])
    count_work(writer, a, 4 * min(m, n))


def sizes(a: Node) -> tuple[Value, Value]:
    """The rows of square matrices, and how many there are."""
    return constant("i64", a.shape[-1]), constant("i64", math.prod(a.shape[:-2]))


def call(writer: ProgramWriter, step: Step, arguments: list[Value]) -> Value:
    """Call the function for the dtype of the first operand; its answer."""
    name = f"{libraries.LINALG}{step.how}.{step.operands[0].dtype.name}"
    return writer.f.external(name, "i32", arguments)


def stop_if_failed(writer: ProgramWriter, failed: Value, fault: int) -> None:
    """Leave the program with an error of linear algebra if the answer is not 0."""
    f = writer.f
    bad = f.icmp("ne", failed, constant("i32", 0))
    with f.when(f.icmp("eq", failed, constant("i32", FAILED))):
        numbers = [constant("i64", fault), constant("i64", site_number(f))]
        f.external("fg_linalg_error", "void", numbers)
    stop_if(f, bad, writer.failure, RECORDED, writer.end)


def count_work(writer: ProgramWriter, a: Node, columns: int) -> None:
    """Note the work of a step that does so many operations per element of its matrices."""
    writer.writer.work += a.type.size * columns // 8


@contextlib.contextmanager
def result_of(writer: ProgramWriter, step: Step, number: int) -> Iterator[Value]:
    """Memory for a result, also for one that nobody reads."""
    found = writer.result(step, number)
    if found is not None:
        yield found
        return
    f = writer.f
    size = constant("i64", nbytes(step.results[number]))
    found = f.external("fg_allocate", "ptr", [size])
    writer.leave_if(f.icmp("eq", found, Value("ptr", "null")))
    yield found
    f.external("fg_free", "void", [found])
