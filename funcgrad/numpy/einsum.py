"""Einstein summation: diagonals, sums and pairwise products, in the order that `np.einsum_path` finds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.numpy.diagonals import diagonal
from funcgrad.numpy.options import Casting
from funcgrad.numpy.register import copy_of, numpy_function
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.matmul import Axes, dot_general
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape, transpose

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Term(NamedTuple):
    """An operand and the letter of each of its axes."""

    array: Any
    letters: str


@numpy_function(np.einsum)
def einsum(
    *operands: Any,
    out: Any = None,
    optimize: Any = False,
    dtype: Any = None,
    order: str = "K",
    casting: Casting = "safe",
) -> Any:
    """Sums of products, described by one letter per axis.

    Args:
        operands: subscripts such as "ij,jk->ik" followed by the arrays, or arrays each followed by a list
            of axis numbers.
        out: array to write into, traced itself.
        optimize: any order of contraction gives the same result; a greedy one is always chosen, unless a
            path from `np.einsum_path` or "optimal" is given.
        dtype: dtype of the products and the result.
        order, casting: as in NumPy; `order` has no effect.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.einsum("ij,j->i", fnp.ones((2, 3)), fnp.arange(3.0))
        array([3., 3.], dtype=float32)
    """
    del order
    subscripts, arrays = split_operands(operands)
    arrays = promoted_arrays(*arrays)
    if dtype is not None:
        if not all(np.can_cast(array.dtype, dtype, casting) for array in arrays):
            raise TypeError(
                f"[einsum] cannot cast {arrays[0].dtype} to {np.dtype(dtype)}, {casting=}."
            )
        arrays = [convert(array, dtype) for array in arrays]
    inputs, output = parse(subscripts, arrays)
    check_lengths(subscripts, inputs, arrays)
    terms = [Term(x, letters) for x, letters in zip(arrays, inputs, strict=True)]
    result = contract(terms, output, optimize)
    if out is not None:
        return write_output("einsum", result, out, casting=casting)
    return copy_of(result) if any(result is operand for operand in operands) else result


def split_operands(operands: tuple) -> tuple[str, list[Any]]:
    """Subscripts as text, and the arrays."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), [as_array(x) for x in operands[1:]]
    pairs, last = len(operands) // 2, len(operands) % 2
    arrays = [as_array(x) for x in operands[: 2 * pairs : 2]]
    text = ",".join(as_letters(axes) for axes in operands[1 : 2 * pairs : 2])
    return (text + "->" + as_letters(operands[-1]) if last else text), arrays


def as_letters(axes: Any) -> str:
    return "".join("..." if axis is Ellipsis else LETTERS[axis] for axis in axes)


def parse(subscripts: str, arrays: list[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; an ellipsis becomes unused letters."""
    left, arrow, output = subscripts.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ValueError(
            f'[einsum] "{subscripts}" describes {len(inputs)} operands, but got {len(arrays)}.'
        )
    free = [letter for letter in LETTERS if letter not in subscripts]
    hidden = [
        ndim_of(array) - len(letters.replace("...", "")) if "..." in letters else 0
        for letters, array in zip(inputs, arrays, strict=True)
    ]
    broad = "".join(free[: max(hidden)])
    inputs = [
        letters.replace("...", broad[len(broad) - count :])
        for letters, count in zip(inputs, hidden, strict=True)
    ]
    if arrow:
        return inputs, output.replace("...", broad)
    joined = "".join(inputs)
    once = sorted(x for x in set(joined) if joined.count(x) == 1 and x not in broad)
    return inputs, broad + "".join(once)


def check_lengths(subscripts: str, inputs: list[str], arrays: list[Any]) -> None:
    lengths: dict[str, int] = {}
    for letters, array in zip(inputs, arrays, strict=True):
        shape = shape_of(array)
        if len(letters) != len(shape):
            raise ValueError(
                f'[einsum] "{letters}" of "{subscripts}" names {len(letters)} axes, but that operand has '
                f"shape {shape}."
            )
        for letter, length in zip(letters, shape, strict=True):
            known = lengths.setdefault(letter, length)
            if known == 1:
                lengths[letter] = length
            elif length not in (1, known):
                raise ValueError(
                    f'[einsum] axis "{letter}" of "{subscripts}" has length {known} in one operand and '
                    f"{length} in another."
                )


def contract(terms: list[Term], output: str, optimize: Any) -> Any:
    """Combine operands pair by pair, then bring the axes into the order of the output."""
    missing = set(output) - {letter for term in terms for letter in term.letters}
    if missing or len(set(output)) != len(output):
        raise ValueError(
            f'[einsum] output "{output}" repeats a letter or has one that no operand has.'
        )
    terms = [take_diagonals(term) for term in terms]
    for pair in contraction_path(terms, output, optimize):
        chosen = [terms[i] for i in pair]
        terms = [term for i, term in enumerate(terms) if i not in pair]
        needed = set(output).union(*(term.letters for term in terms))
        combined = chosen[0]
        for index, term in enumerate(chosen[1:], 2):
            later = {letter for other in chosen[index:] for letter in other.letters}
            combined = multiply_pair(combined, term, needed | later)
        terms.append(combined)
    term = sum_out(terms[0], set(output))
    return transpose(term.array, [term.letters.index(letter) for letter in output])


def contraction_path(terms: list[Term], output: str, optimize: Any) -> list[tuple[int, ...]]:
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    stand_ins = [np.broadcast_to(np.empty(()), shape_of(term.array)) for term in terms]
    text = ",".join(term.letters for term in terms) + "->" + output
    how = "greedy" if isinstance(optimize, bool) else optimize
    path: list[Any] = np.einsum_path(text, *stand_ins, optimize=how)[0]
    return path[1:]


def take_diagonals(term: Term) -> Term:
    """Replace axes with the same letter by their diagonal."""
    array, letters = term
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            array = diagonal(array, 0, first, second)
            letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
    return Term(array, letters)


def sum_out(term: Term, needed: set[str]) -> Term:
    """Sum over the axes that nothing needs any more."""
    axes = tuple(i for i, letter in enumerate(term.letters) if letter not in needed)
    if not axes:
        return term
    return Term(reduce_sum(term.array, axes), "".join(x for x in term.letters if x in needed))


def drop_stretched(term: Term, other: Term) -> Term:
    """Drop an axis of length 1 that the other operand has with its full length."""
    lengths = dict(zip(other.letters, shape_of(other.array), strict=True))
    shape = shape_of(term.array)
    kept = [
        i
        for i, letter in enumerate(term.letters)
        if not (shape[i] == 1 and lengths.get(letter, 1) != 1)
    ]
    if len(kept) == len(shape):
        return term
    array = reshape(term.array, tuple(shape[i] for i in kept))
    return Term(array, "".join(term.letters[i] for i in kept))


def axes_of(x: Term, y: Term, letters: list[str]) -> Axes:
    """The axes of two operands that have these letters."""
    places = [tuple([term.letters.index(letter) for letter in letters]) for term in (x, y)]
    return places[0], places[1]


def multiply_pair(x: Term, y: Term, needed: set[str]) -> Term:
    """The product of two operands, summed over what they share and nothing needs."""
    x, y = drop_stretched(x, y), drop_stretched(y, x)
    x = sum_out(x, needed | set(y.letters))
    y = sum_out(y, needed | set(x.letters))
    shared = [letter for letter in x.letters if letter in y.letters]
    batch = [letter for letter in shared if letter in needed]
    summed = [letter for letter in shared if letter not in needed]
    if not summed and set(y.letters) <= set(x.letters):
        return Term(multiply(x.array, aligned(y, x.letters)), x.letters)
    array = dot_general(x.array, y.array, axes_of(x, y, summed), axes_of(x, y, batch))
    rest = [[letter for letter in term.letters if letter not in shared] for term in (x, y)]
    return Term(array, "".join(batch + rest[0] + rest[1]))


def aligned(term: Term, letters: str) -> Any:
    """The operand with its axes in the order of `letters`, with length 1 where it has none."""
    order = [term.letters.index(letter) for letter in letters if letter in term.letters]
    array = transpose(term.array, order)
    lengths = iter(shape_of(array))
    return reshape(array, tuple(next(lengths) if x in term.letters else 1 for x in letters))


def einsum_path(*operands: Any, optimize: Any = "greedy") -> tuple[list[Any], str]:
    """The order of contraction and its cost, from shapes alone; see `np.einsum_path`."""
    subscripts, arrays = split_operands(operands)
    stand_ins = [np.broadcast_to(np.empty((), x.dtype), shape_of(x)) for x in arrays]
    return np.einsum_path(subscripts, *stand_ins, optimize=optimize)


numpy_function(np.einsum_path)(einsum_path)
