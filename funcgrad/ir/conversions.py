"""What a traced value answers when Python or NumPy wants a bool, a number, an index or memory from it.

Each refusal says which line asked, why there is no such thing, and what to write instead. Where the line shows
what was meant, only the fix for that is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from funcgrad import errors
from funcgrad.ir import source

BUFFER = "buf = np.zeros(n, like=x)               # instead of np.zeros(n); then buf[i] = x works"
TABLE = "funcgrad.numpy.asarray(table)[i]        # instead of table[i] with a traced i"
CALLBACK = (
    "funcgrad.pure_callback(function, funcgrad.ShapeDtypeStruct(shape, dtype), x)  # no derivative"
)
BOOLEAN_FIXES = {
    r"\bif\b|\bmax\(|\bmin\(|\band\b|\bor\b|\bnot\b": (
        "np.where(condition, a, b)                   # both are computed\n"
        "funcgrad.lax.cond(condition, f, g, *args)   # one of them runs"
    ),
    r"\bwhile\b": "funcgrad.lax.while_loop(condition, step, x)",
    r"\bassert\b": 'funcgrad.debug.print("x = {}", x)           # look at it at run time',
    r"\bsorted\(": "np.sort(np.stack([x, y]))                   # instead of sorted([x, y])",
    r"\bin\b": "np.any(np.stack(values) == x)               # instead of `x in values`",
}
NUMBER_FIXES = {
    r"\bmath\.": "np.sin(x)                               # instead of math.sin(x), and so on",
    r"\]\s*=[^=]": BUFFER,
    r"\b(float|int|complex|bool)\(": "x.astype(float)                         # instead of float(x)",
    r"\bround\(": "np.round(x)                             # instead of round(x)",
    r"%|\.format\(|f[\"']": (
        'funcgrad.debug.print("x = {}", x)       # prints at run time\n'
        'f"{x}"                                  # prints shape and dtype while tracing'
    ),
    r"\.item\(|\.tolist\(": "x[0], x.reshape(())                     # stay with arrays",
    r"\bar(ray|range)\(": "np.stack([x, y])                        # instead of np.array([x, y])",
}
INDEX_FIXES = {
    r"\b(reshape|broadcast_to|zeros|ones|empty|full|eye|arange|tile|repeat)\(": (
        "x.reshape(x.shape[0], -1)                   # shapes of traced values are concrete"
    ),
    r"\brange\(": "funcgrad.lax.fori_loop(0, n, body, init)    # instead of `for i in range(n)`",
    r"\w\[": TABLE,
    r"\[\s*:|:\s*\w+\s*\]": (
        "funcgrad.lax.dynamic_slice_in_dim(x, i, 3)  # a window of fixed length at a traced place\n"
        "np.where(np.arange(len(x)) < n, x, 0.0)     # or a mask instead of x[:n]"
    ),
}
ARRAY_FIXES = {
    r"\b(as)?array\(": "np.stack([x, y])                        # instead of np.array([x, y])",
    r"\bfull\(": "np.full(shape, x, like=x)               # instead of np.full(shape, x)",
    r"\barange\(": "np.arange(10) * step + start            # a fixed length instead of np.arange(x)",
    r"\b(sum|mean|max|min|prod|any|all|sort|cumsum)\(\s*[\[(]": (
        "np.sum(np.stack([x, y]))                # instead of np.sum([x, y]), and so on"
    ),
    r"\.dot\(": "np.dot(a, x) or a @ x                   # instead of a.dot(x)",
    r"\bnp\.(float|int|uint|complex|bool)\d*_?\(": (
        "x.astype(np.float32)                    # instead of np.float32(x)"
    ),
    r"\br_\[": "np.concatenate([x, y])                  # instead of np.r_[x, y]",
    r"\bc_\[": (
        "np.stack([x, y], axis=1)                # instead of np.c_[x, y]\n"
        "np.concatenate([a, b], axis=1)          # for matrices"
    ),
    r"\bvectorize\(": "funcgrad.vmap(fun)(x)                   # instead of np.vectorize(fun)(x)",
    r"\b(logsumexp|log_softmax|softmax)\(": (
        "funcgrad.nn.softmax(x)                  # also log_softmax and logsumexp"
    ),
    r"linalg\.(solve|inv|det|norm|pinv|lstsq|eigh|svd|qr|cholesky)\(": (
        "np.linalg.solve(a, x)                   # NumPy's instead of SciPy's; also inv, det, eigh, ..."
    ),
    r"\]\s*=[^=]": BUFFER,
    r"(?<!\b[rc]_)(?<=\w)\[(?!\])": TABLE,
}


def matching(fixes: Mapping[str, str], line: str) -> str:
    """The fixes whose pattern occurs in the user's line; all of them if none does."""
    found = [fix for pattern, fix in fixes.items() if re.search(pattern, line)]
    return "\n".join(found or fixes.values())


def user_line() -> str:
    location = source.user_location()
    return "" if location is None else location.text


def refuse_bool(tracer: Any) -> NoReturn:
    fix = matching(BOOLEAN_FIXES, user_line())
    raise errors.TracerBoolConversionError(
        errors.compose(
            f"`if`, `while`, `and`, `not` and `assert` need a concrete bool, but got {tracer!r}.",
            where=source.where_traced(),
            why="The traced code must serve every value of this array, so Python cannot choose here."
            f"{depends_on(tracer)}",
            fix=fix + static_fix(tracer),
            page="tracer-bool",
        )
    )


def refuse_number(tracer: Any, function: str) -> NoReturn:
    fixes = matching(NUMBER_FIXES, user_line())
    if tracer.concrete() is None:
        why = f"The value is known only when the traced code runs.{depends_on(tracer)}"
        fixes += static_fix(tracer)
    else:
        why = (
            "A Python number carries no derivative, so the gradient would silently miss this path."
        )
        fixes += "\nfloat(funcgrad.lax.stop_gradient(x))    # give up the derivative on purpose"
    raise errors.ConcretizationTypeError(
        errors.compose(
            f"{function}() needs a concrete number, but got {tracer!r}.",
            where=source.where_traced(),
            why=why,
            fix=fixes,
            page="concretization",
        )
    )


def refuse_index(tracer: Any) -> NoReturn:
    raise errors.TracerIntegerConversionError(
        errors.compose(
            f"Python needs a concrete integer here, but got {tracer!r}.",
            where=source.where_traced(),
            why="`range(n)`, a list index, a shape and an index of a real ndarray are fixed when the "
            f"function is traced.{depends_on(tracer)}",
            fix=matching(INDEX_FIXES, user_line()) + static_fix(tracer),
            page="tracer-integer",
        )
    )


def refuse_memory(tracer: Any) -> NoReturn:
    line = user_line()
    cupy_function = source.cupy_call()
    fixes = cupy_fix(cupy_function) or matching(ARRAY_FIXES, line)
    caller = f"cupy.{cupy_function}" if cupy_function else source.library_call()
    if caller.startswith("scipy."):
        fixes = (fixes if any(re.search(p, line) for p in ARRAY_FIXES) else "") + f"\n{CALLBACK}"
    raise errors.TracerArrayConversionError(
        errors.compose(
            f"{caller or 'NumPy'} asked for the memory of {tracer!r}, which has none yet.",
            where=source.where_traced(),
            why="Functions that build arrays from Python objects, writes into a real ndarray, and SciPy "
            "functions written in Python need memory; np.stack, np.where, np.sin, ... do not.",
            fix=fixes.strip("\n"),
            page="tracer-array",
        )
    )


OURS = (
    errors.ConcretizationTypeError,
    errors.TracerArrayConversionError,
    errors.TracerIntegerConversionError,
)


def cupy_fix(name: str) -> str:
    """What to write instead of a function of CuPy that hands nothing over to traced values."""
    if not name:
        return ""
    return f"np.{name}(...)    # or funcgrad.numpy.{name}(...), instead of cupy.{name}(...)"


# How CuPy refuses a traced value: "got BuilderTracer", "not <class '...BuilderTracer'>", "Unsupported type ...".
CUPY_REFUSAL = re.compile(r"(?:got |<class 'funcgrad[\w.]*\.)\w*Tracer\b")


def explain_cupy(error: BaseException) -> BaseException:
    """A clear error for one that CuPy raised because it was given a traced value."""
    name = source.cupy_call_in(error)
    return errors.TracerArrayConversionError(
        errors.compose(
            f"{f'cupy.{name}' if name else 'CuPy'} needs the memory of arrays, but got a traced value.",
            where=source.where_raised(error),
            why=f"CuPy asks traced values for some of its functions only; it said: {str(error).splitlines()[0]}",
            fix=cupy_fix(name)
            or "funcgrad.primitive(kernel, out_shape=..., vjp=...)(x)    # for a RawKernel or ReductionKernel\n"
            "np.function(x) or funcgrad.numpy.function(x)             # instead of cupy.function(x)",
            page="tracer-array",
        )
    )


def unmasked(error: BaseException) -> BaseException:
    """Our error, where NumPy or CuPy put one of its own in its place."""
    cause = error.__cause__
    if isinstance(error, TypeError | ValueError) and isinstance(cause, OURS):
        error.__cause__ = None
        return cause
    text = str(error)
    if type(error) is TypeError and CUPY_REFUSAL.search(text):
        return explain_cupy(error)
    if type(error) is TypeError and "integer" in text and " traced by " in text:
        return errors.TracerIntegerConversionError(
            errors.compose(
                f"A shape must be concrete: {text}.",
                where=source.where_raised(error),
                why="The shape of every array is fixed when the function is traced.",
                fix="np.zeros(x.shape)                           # shapes of traced values are concrete"
                + (
                    '\nfuncgrad.jit(fun, static_argnames=("n",))   # compile once per n'
                    * (" jit(" in text)
                ),
                page="tracer-integer",
            )
        )
    return error


def depends_on(tracer: Any) -> str:
    """' It depends on argument 'x' of loss.', as far as the trace knows."""
    names = tracer.owner.arguments_behind(tracer)
    return f" It depends on {' and '.join(names)}." if names else ""


def static_fix(tracer: Any) -> str:
    """The way out for a value that comes straight from an argument of a jitted function."""
    whole = [label for label in tracer.owner.arguments_behind(tracer) if " at " not in label]
    names = re.findall(r"^argument '(\w+)'", "\n".join(whole), re.MULTILINE)
    if not names:
        return ""
    name = names[0]
    return f'\nfuncgrad.jit(fun, static_argnames=("{name}",))   # compile once per value of {name}'
