"""What a distribution is: parameters in a module, and functions of them and of values."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import FLOAT32, is_inexact
from funcgrad.nn.module import Module, field
from funcgrad.ops.sequences import as_array
from funcgrad.random.keys import as_shape
from funcgrad.transforms.stop_gradient import stop_gradient


class Distribution(Module):
    """A probability distribution, or an array of them: one for each element of the broadcast parameters.

    It is a tree whose leaves are its parameters, so that it goes through `jit`, `vmap` and `grad`. Subclasses
    say `draw`, `log_prob` and what they know of `mean`, `variance`, `entropy`, `cdf` and `icdf`.
    """

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters, which broadcast against each other."""
        raise NotImplementedError

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the array of distributions."""
        return np.broadcast_shapes(*[np.shape(p) for p in self.parameters])

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one value: () for numbers."""
        return ()

    @property
    def dtype(self) -> np.dtype:
        """The dtype of what is drawn."""
        return np.result_type(*[p.dtype for p in self.parameters])

    @beside_arguments
    def sample(self, key: Any, shape: Any = ()) -> Any:
        """Draw values, as constants: no derivative flows through them.

        Args:
            key: key or seed.
            shape: of the draw.

        Returns:
            Array of shape (*shape, *batch_shape, *event_shape).
        """
        return stop_gradient(self.draw(key, self._whole(shape)))

    @beside_arguments
    def rsample(self, key: Any, shape: Any = ()) -> Any:
        """Draw values as functions of the parameters: derivatives flow through them.

        Args:
            key, shape: as for `sample`.

        Raises:
            NotImplementedError: values cannot change smoothly, as for counts and classes.
        """
        if not self.is_smooth:
            raise NotImplementedError(
                f"[rsample] values of {type(self).__name__} are no smooth functions of its parameters. Use "
                "sample, and log_prob for score function gradients."
            )
        return self.draw(key, self._whole(shape))

    is_smooth: ClassVar[Any] = True

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        """Values in a shape that the parameters (with the shape of events) broadcast to."""
        raise NotImplementedError

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, of values.

        Args:
            value: broadcasts against (*batch_shape, *event_shape).

        Returns:
            Array without the axes of events; -inf outside of the support.
        """
        raise NotImplementedError

    def prob(self, value: Any) -> Any:
        """The density, or the probability, of values."""
        return fnp.exp(self.log_prob(value))

    @property
    def mean(self) -> Any:
        """The expected value."""
        raise self._unknown("mean")

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        raise self._unknown("variance")

    @property
    def stddev(self) -> Any:
        """The root of the variance."""
        return fnp.sqrt(self.variance)

    def entropy(self) -> Any:
        """The expected value of `-log_prob`, in nats."""
        raise self._unknown("entropy")

    def cdf(self, value: Any) -> Any:
        """The probability of values that are not larger."""
        del value
        raise self._unknown("cdf")

    def icdf(self, q: Any) -> Any:
        """The value below which lies the probability `q`: the inverse of `cdf`."""
        del q
        raise self._unknown("icdf")

    def _unknown(self, what: str) -> NotImplementedError:
        return NotImplementedError(
            f"[{type(self).__name__}] has no {what} in closed form. Estimate it from sample(key, (n,))."
        )

    def _whole(self, shape: Any) -> tuple[int, ...]:
        return (*as_shape("sample", shape), *self.batch_shape, *self.event_shape)


class Derived(Distribution):
    """A distribution made from another one."""

    base: Distribution

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.base.parameters

    @property
    def is_smooth(self) -> bool:
        return self.base.is_smooth


def parameter(**kwargs: Any) -> Any:
    """A field for a parameter: an array; Python numbers become float32, as everywhere that dtypes are invented."""
    return field(converter=as_parameter, **kwargs)


def as_parameter(value: Any) -> Any:
    """A parameter as a floating array."""
    if value is None:
        return None
    found = as_array(value)
    if hasattr(value, "dtype") and is_inexact(found.dtype):
        return found
    return found.astype(FLOAT32) if not is_inexact(found.dtype) or _is_python(value) else found


def as_parameters(owner: Distribution, **values: Any) -> tuple[Any, ...]:
    """Parameters as floating arrays; Python numbers and integers take the dtype of the others.

    Raises:
        ValueError: their shapes do not broadcast.
    """
    found = [as_parameter(value) for value in values.values()]
    given = [
        one for one, value in zip(found, values.values(), strict=True) if _has_precision(value)
    ]
    dtype = np.result_type(*[one.dtype for one in given or found])
    shapes = {name: one.shape for name, one in zip(values, found, strict=True)}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        raise ValueError(
            f"[{type(owner).__name__}] the shapes of the parameters must broadcast, but got "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}."
        ) from None
    return tuple(
        one if _has_precision(value) else as_array(value).astype(dtype)
        for one, value in zip(found, values.values(), strict=True)
    )


def as_value(value: Any, dtype: Any = FLOAT32) -> Any:
    """A value as an array; Python numbers take the dtype of what they meet."""
    found = as_array(value)
    return found.astype(dtype) if _is_python(value) else found


def _has_precision(value: Any) -> bool:
    """Whether a value says in which floating dtype to compute."""
    return not _is_python(value) and is_inexact(as_array(value).dtype)


def _is_python(value: Any) -> bool:
    """Whether a value is a Python number, or a list of nothing else."""
    if isinstance(value, list | tuple):
        return all(_is_python(one) for one in value)
    return type(value) in (int, float, bool)


def check_positive(owner: Distribution, **values: Any) -> None:
    """Raise for parameters that are not positive; traced ones pass."""
    for name, value in values.items():
        if not isinstance(value, Tracer) and not np.all(np.greater(value, 0)):
            raise ValueError(
                f"[{type(owner).__name__}] {name} must be positive, but got {np.min(value)}. Write, for "
                f"example, {name}=np.exp(log_{name})."
            )


def inside(is_inside: Any, value: Any, safe: Any) -> Any:
    """Values with a safe one outside of the support, so that no NaN comes of them."""
    return fnp.where(is_inside, value, safe)


def or_impossible(is_inside: Any, log_prob: Any) -> Any:
    """-inf outside of the support."""
    return fnp.where(is_inside, log_prob, -np.inf)
