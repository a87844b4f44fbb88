"""CuPy as far as eager operations need it, over NumPy: as strict as CuPy, and stricter.

Arrays are of a class of its own that NumPy cannot read, operations on them refuse NumPy arrays, reductions give arrays
and not numbers, and functions take the arguments that CuPy's take. Where CuPy is installed, names, signatures and the
loops of ufuncs are looked up in it; no GPU is needed. `leaks` notes calls that come back from NumPy by its protocols.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

try:
    import cupy as real_cupy
except ImportError:
    real_cupy = None

SCALARS = (bool, int, float, complex, np.generic)
HOST_READERS = {"array", "asarray", "ascontiguousarray"}
METHODS = """
    all any argmax argmin argsort astype clip conj copy cumprod cumsum diagonal dot flatten max mean min prod ptp
    ravel repeat reshape round sort squeeze std sum swapaxes take trace transpose var view
"""
OPERATORS = """
    add sub mul truediv floordiv mod pow matmul and or xor lshift rshift eq ne lt le gt ge radd rsub rmul rtruediv
    rfloordiv rmod rpow rmatmul rand ror rxor rlshift rrshift neg pos abs invert divmod rdivmod
"""
IN_PLACE = """
    iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift
"""
leaks: list[str] = []


def host(value: Any) -> Any:
    """What NumPy computes with; TypeError for what CuPy refuses."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, list | tuple):
        return type(value)(map(host, value)) if type(value) in (list, tuple) else value
    return value


def index_key(key: Any) -> Any:
    """An index; CuPy copies NumPy arrays in it to the GPU by itself."""
    if isinstance(key, tuple):
        return tuple(map(index_key, key))
    return key.host if isinstance(key, ndarray) else key


def device(value: Any) -> Any:
    """NumPy's result as CuPy returns it."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return tuple(map(device, value))
    return value


class Flags:
    """What CuPy tells about memory: nothing about writing."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous = flags.c_contiguous
        self.f_contiguous = flags.f_contiguous
        self.owndata = flags.owndata


class ndarray:  # noqa: N801
    """An array on the pretended GPU."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray) -> None:
        self.host = array
        self.data = SimpleNamespace(device_id=0)

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    strides = property(lambda self: self.host.strides)
    flags = property(lambda self: Flags(self.host.flags))
    base = property(lambda self: None if self.host.base is None else ndarray(self.host.base))
    T = property(lambda self: ndarray(self.host.T))

    @property
    def real(self) -> ndarray:
        return ndarray(self.host.real)

    @real.setter
    def real(self, value: Any) -> None:
        self.host.real = host(value)

    @property
    def imag(self) -> ndarray:
        return ndarray(self.host.imag)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.host.imag = host(value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        leaks.append(f"numpy.{function.__name__}")
        if any(hasattr(x, "__cupy_override_elementwise_kernel__") for x in inputs):
            return NotImplemented
        return getattr(getattr(module, function.__name__), method)(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        leaks.append(f"numpy.{function.__name__}")
        if not all(issubclass(kind, ndarray | np.ndarray) for kind in types):
            return NotImplemented
        return getattr(module, function.__name__)(*args, **options)

    def get(self) -> np.ndarray:
        return self.host.copy()

    def item(self, *args: Any) -> Any:
        return self.host.item(*args)

    def tolist(self) -> Any:
        return self.host.tolist()

    def __getitem__(self, key: Any) -> ndarray:
        return ndarray(np.asarray(self.host[index_key(key)]))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[index_key(key)] = host(value)

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __complex__(self) -> complex:
        return complex(self.host)

    def __index__(self) -> int:
        return self.host.__index__()

    def __repr__(self) -> str:
        return f"strict_{self.host!r}"


OPERANDS = (ndarray, *SCALARS)


def operator(name: str) -> Any:
    def apply(self: ndarray, *others: Any) -> Any:
        for other in others:
            if hasattr(other, "__array_ufunc__") and not isinstance(other, ndarray | np.generic):
                if isinstance(other, np.ndarray):
                    raise TypeError(f"Unsupported type {type(other)}")
                return NotImplemented  # CuPy asks NumPy's ufunc, which asks the other operand
            if not isinstance(other, OPERANDS):
                return NotImplemented
        with np.errstate(all="ignore"):
            return device(getattr(self.host, name)(*map(host, others)))

    return apply


def in_place(name: str) -> Any:
    def apply(self: ndarray, other: Any) -> ndarray:
        getattr(self.host, name)(host(other))
        return self

    return apply


def method(name: str) -> Any:
    def apply(self: ndarray, *args: Any, **options: Any) -> Any:
        if name in ("sum", "prod", "max", "min", "all", "any"):
            check_signature(name, (self, *args), options)
        with np.errstate(all="ignore"):
            return device(getattr(self.host, name)(*host(args), **options))

    return apply


for _name in METHODS.split():
    setattr(ndarray, _name, method(_name))
for _name in OPERATORS.split():
    setattr(ndarray, f"__{_name}__", operator(f"__{_name}__"))
for _name in IN_PLACE.split():
    setattr(ndarray, f"__{_name}__", in_place(f"__{_name}__"))


def check_signature(name: str, args: tuple, options: dict) -> None:
    """TypeError for arguments that the function of CuPy does not take."""
    try:
        function = functools.reduce(getattr, name.split("."), real_cupy) if real_cupy else None
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (AttributeError, ImportError, TypeError, ValueError):
        return  # not in `cupy`, in a library that is not here, or written in C
    signature.bind(*args, **options)


class Ufunc:
    """A ufunc: takes what CuPy's takes, and has a loop for what CuPy's has one for."""

    def __init__(self, name: str, ufunc: np.ufunc) -> None:
        self.name = name
        self.ufunc = ufunc
        self.types = getattr(getattr(real_cupy, name, None), "types", None)

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: Any = None) -> Any:
        for arg in args:
            if hasattr(arg, "__cupy_override_elementwise_kernel__"):
                options = {} if out is None else {"out": out}
                kernel = SimpleNamespace(name=f"cupy_{self.name}")
                return arg.__cupy_override_elementwise_kernel__(kernel, *args, **options)
            if not isinstance(arg, OPERANDS):
                raise TypeError(f"Unsupported type {type(arg)}")
        options = {} if out is None else {"out": host(out)}
        with np.errstate(all="ignore"):
            found = self.ufunc(*map(host, args), dtype=dtype, **options)
        self.check_loop(args, found)
        return device(found) if out is None else out

    def check_loop(self, args: tuple, found: Any) -> None:
        """CuPy takes the first loop to which all operands can be cast; its result must be of NumPy's dtype."""
        numbers = [getattr(arg, "dtype", arg) for arg in args]
        if not self.types or not any(isinstance(x, np.dtype) for x in numbers):
            return
        dtype = np.result_type(*numbers)
        for loop in self.types:
            operands, _, results = loop.partition("->")
            if "E" in loop or len(set(operands)) > 1:  # bfloat16; ldexp
                continue
            if np.can_cast(dtype, operands[0], "safe"):
                first = found[0] if isinstance(found, tuple) else found
                assert first.dtype == np.dtype(results[0]), (self.name, loop, first.dtype)
                return
        if all(len(set(loop.partition("->")[0])) == 1 for loop in self.types):
            raise TypeError(f"cupy.{self.name} has no loop for {dtype}, only {self.types}")

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        raise NotImplementedError(f"`{self.name}.at` adds in random order")

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        return device(self.ufunc.accumulate(host(array), axis, dtype))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        return device(self.ufunc.reduce(host(array), axis, dtype))

    def outer(self, a: Any, b: Any, **options: Any) -> Any:
        return device(self.ufunc.outer(host(a), host(b), **options))


def function_named(path: str, function: Any) -> Any:
    """A function of CuPy that is no ufunc."""

    def call(*args: Any, **options: Any) -> Any:
        check_signature(path, args, options)
        if path in HOST_READERS and isinstance(args[0], np.ndarray):
            return ndarray(np.array(args[0], *args[1:], **options))
        with np.errstate(all="ignore"):
            return device(function(*host(args), **{k: host(v) for k, v in options.items()}))

    return call


class StrictModule(ModuleType):
    """One module of the pretended CuPy; `source` is NumPy's or SciPy's module with the same functions."""

    def __init__(self, name: str, source: Any, path: str = "") -> None:
        super().__init__(name)
        self.source = source
        self.path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.path}.{name}" if self.path else name
        if real_cupy is not None and self.__name__ == "cupy":
            try:
                functools.reduce(getattr, path.split("."), real_cupy)
            except AttributeError:
                raise AttributeError(f"CuPy has no {path}") from None
            except ImportError:
                pass  # a library of CUDA that this machine does not have
        value = getattr(self.source, name)
        if inspect.ismodule(value):
            return StrictModule(self.__name__, value, path)
        if isinstance(value, np.ufunc):
            return Ufunc(name, value)
        if inspect.isclass(value) or not callable(value):
            return value
        return function_named(path, value)


def asnumpy(array: Any) -> np.ndarray:
    return array.get() if isinstance(array, ndarray) else np.asarray(array)


module: Any = StrictModule("cupy", np)
module.ndarray = ndarray
module.asnumpy = asnumpy
module.cuda = SimpleNamespace(
    Device=lambda number: contextlib.nullcontext(),
    runtime=SimpleNamespace(getDeviceCount=lambda: 1),
)


def put(value: Any) -> Any:
    """NumPy's arrays on the pretended GPU, other values as they are."""
    return ndarray(np.array(value)) if isinstance(value, np.ndarray) else value


def install(monkeypatch: Any) -> None:
    """Let `import cupy` give this module for one test."""
    special = StrictModule("cupyx.scipy.special", importlib.import_module("scipy.special"))
    linalg = StrictModule("cupyx.scipy.linalg", importlib.import_module("scipy.linalg"))
    scipy = SimpleNamespace(special=special, linalg=linalg)
    for name, value in {
        "cupy": module,
        "cupyx": SimpleNamespace(scipy=scipy),
        "cupyx.scipy": scipy,
        "cupyx.scipy.special": special,
        "cupyx.scipy.linalg": linalg,
    }.items():
        monkeypatch.setitem(sys.modules, name, value)
    leaks.clear()
