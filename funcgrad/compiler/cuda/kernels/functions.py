"""The C functions behind elementwise primitives, by name, for integers, floats and complex numbers."""

from __future__ import annotations


def of_same_name(*names: str) -> dict[str, str]:
    """Primitives whose function of the prelude has their name."""
    return {name: f"fg_{name}" for name in names}


# name of the primitive: function of the prelude. Each takes and gives the register type.
FLOATS: dict[str, str] = {
    **of_same_name(
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "xlogy", "xlog1py"),
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "sinc", "deg2rad", "rad2deg"),
        *("sqrt", "rsqrt", "cbrt", "square", "hypot", "reciprocal", "erf", "erfc", "ndtr", "gamma"),
        *("floor", "ceil", "trunc", "rint", "floor_divide", "remainder", "fmod", "ldexp"),
        *("copysign", "nextafter", "sign", "fmax", "fmin", "heaviside", "logit"),
    ),
    "absolute": "fg_fabs",
    "arcsin": "fg_asin",
    "arccos": "fg_acos",
    "arctan": "fg_atan",
    "arctan2": "fg_atan2",
    "arcsinh": "fg_asinh",
    "arccosh": "fg_acosh",
    "arctanh": "fg_atanh",
    "power": "fg_pow",
    "gammaln": "fg_lgamma",
    "logaddexp": "fg_logaddexp_of",
    "logaddexp2": "fg_logaddexp2_of",
    "maximum": "fg_maximum::of",
    "minimum": "fg_minimum::of",
    "erfinv": "fg_erfinv",
    "ndtri": "fg_ndtri",
    "digamma": "fg_digamma",
}
FLOAT_TESTS = of_same_name("isnan", "isinf", "isfinite", "signbit")
# What needs more of the prelude than "floats".
FLOAT_SECTIONS = {
    "maximum": "combine",
    "minimum": "combine",
    "erfinv": "special",
    "ndtri": "special",
    "digamma": "special",
}

INTEGERS: dict[str, str] = {
    "absolute": "fg_absolute_integer",
    "sign": "fg_sign_integer",
    "left_shift": "fg_left_shift",
    "right_shift": "fg_right_shift",
    "floor_divide": "fg_floor_divide_integer",
    "remainder": "fg_remainder_integer",
    "fmod": "fg_fmod_integer",
    "reciprocal": "fg_reciprocal_integer",
    "gcd": "fg_gcd",
    "lcm": "fg_lcm",
    "power": "fg_power_integer",
}
EXTREMES = {"maximum": ">", "fmax": ">", "minimum": "<", "fmin": "<"}
# For integers and booleans these say nothing new.
UNCHANGED = frozenset({"conjugate", "real", "floor", "ceil", "trunc"})
CONSTANT_TESTS = {"isnan": "false", "isinf": "false", "isfinite": "true"}

COMPLEX: dict[str, str] = {
    "add": "fg_plus",
    "subtract": "fg_minus",
    "multiply": "fg_times",
    "divide": "fg_over",
    "maximum": "fg_larger",
    "minimum": "fg_smaller",
    **of_same_name(
        *("negative", "conjugate", "reciprocal", "square", "sign", "rint", "fmax", "fmin")
    ),
}
COMPLEX_MATH = of_same_name(
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "power"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
)
COMPLEX_TESTS = of_same_name(
    *("isnan", "isinf", "isfinite", "equal", "not_equal"),
    *("less", "less_equal", "greater", "greater_equal"),
)
