"""Which axes of a convolution's operands are the examples, the channels and the axes slid over."""

from __future__ import annotations

from typing import Any, NamedTuple


class ConvDimensionNumbers(NamedTuple):
    """Positions of axes, for the two operands and the result of a convolution.

    Attributes:
        lhs_spec: (examples, channels, *axes slid over) of the first operand.
        rhs_spec: (output channels, input channels, *axes of the window).
        out_spec: (examples, channels, *places).
    """

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


PAIRS = (("N", "C"), ("O", "I"), ("N", "C"))


def conv_dimension_numbers(
    lhs_shape: Any, rhs_shape: Any, dimension_numbers: Any = None
) -> ConvDimensionNumbers:
    """The positions of axes that `dimension_numbers` describes.

    Args:
        lhs_shape, rhs_shape: shapes of the operands; only their lengths matter.
        dimension_numbers: three strings such as `("NHWC", "HWIO", "NHWC")`; None for `("NCHW", "OIHW", "NCHW")`
            and its like; or positions already.

    Raises:
        ValueError: if the strings do not name the axes of the operands.

    Example:
        >>> conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC")).rhs_spec
        (3, 2, 0, 1)
    """
    rank = len(lhs_shape)
    if rank != len(rhs_shape) or rank < 2:
        raise ValueError(
            f"[conv] the operands have shapes {tuple(lhs_shape)} and {tuple(rhs_shape)}, but both need the same "
            "number of axes: examples and channels, output and input channels, and those slid over. "
            "Use x[None] for one example."
        )
    if dimension_numbers is None:
        axes = tuple(range(rank))
        return ConvDimensionNumbers(axes, axes, axes)
    if hasattr(dimension_numbers, "lhs_spec"):
        given = dimension_numbers
        return ConvDimensionNumbers(given.lhs_spec, given.rhs_spec, given.out_spec)
    return from_strings(tuple(dimension_numbers), rank)


def from_strings(specs: tuple[str, ...], rank: int) -> ConvDimensionNumbers:
    """Positions of the axes that strings name; the axes slid over in the order of the second string."""
    if len(specs) != 3:
        raise ValueError(
            f"[conv] dimension_numbers = {specs}, but there are three operands and results to describe. "
            f"{EXAMPLE}"
        )
    slid = [a for a in specs[1] if a not in PAIRS[1]]
    for spec, pair in zip(specs, PAIRS, strict=True):
        if sorted(spec) != sorted([*pair, *slid]) or len(set(spec)) != rank:
            raise ValueError(
                f"[conv] dimension_numbers = {specs}, but {spec!r} does not name {rank} axes: "
                f"{' and '.join(pair)}, and the axes slid over, which are {slid} in {specs[1]!r}. {EXAMPLE}"
            )
    found = [
        tuple(spec.index(a) for a in (*pair, *slid))
        for spec, pair in zip(specs, PAIRS, strict=True)
    ]
    return ConvDimensionNumbers(*found)


EXAMPLE = 'Write ("NHWC", "HWIO", "NHWC"), for example, or None for ("NCHW", "OIHW", "NCHW").'
