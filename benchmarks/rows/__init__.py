"""The rows of the table, by name."""

from benchmarks.row import Row
from benchmarks.rows.scaling import SERIES
from benchmarks.rows.w01_sgd import Sgd
from benchmarks.rows.w02_adam import Adam
from benchmarks.rows.w03_elementwise import Elementwise
from benchmarks.rows.w04_rows import RowWise
from benchmarks.rows.w05_dispatch import ManyArrays, OneArray
from benchmarks.rows.w06_lorenz import Differentiate, Solve, SolveFast
from benchmarks.rows.w07_lstm import Lstm
from benchmarks.rows.w08_cnn import Cnn
from benchmarks.rows.w09_transformer import Transformer
from benchmarks.rows.w10_tiny import WithJit, WithoutJit
from benchmarks.rows.w11_hessian import Hessian
from benchmarks.rows.w12_per_example import PerExample

ROWS: dict[str, Row] = {
    "W1": Sgd(),
    "W2": Adam(),
    "W3": Elementwise(),
    "W4": RowWise(),
    "W5a": OneArray(),
    "W5b": ManyArrays(),
    "W6a": Solve(),
    "W6b": Differentiate(),
    "W6c": SolveFast(),
    "W7": Lstm(),
    "W8": Cnn(),
    "W9": Transformer(),
    "W10a": WithoutJit(),
    "W10b": WithJit(),
    "W11": Hessian(),
    "W12": PerExample(),
}


def whole(name: str) -> str:
    """The row that a part (a, b, c) belongs to.

    Example:
        >>> whole("W6a"), whole("W12")
        ('W6', 'W12')
    """
    return name.rstrip("abc")


def row_named(name: str) -> Row:
    """A row of the table by its name, or one size of a series: S1@10000."""
    series, _, units = name.partition("@")
    return SERIES[series].rows[int(units)] if units else ROWS[name]
