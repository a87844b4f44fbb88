"""The C functions behind elementwise primitives, by name, for integers, floats and complex numbers."""

from __future__ import annotations

# name of the primitive: function of the prelude. Each takes and gives the register type.
FLOATS: dict[str, str] = {
    **{
        name: f"fg_{name}"
        for name in """
        exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh erf erfc cbrt hypot sqrt floor ceil trunc rint
        fmod copysign nextafter sign fmax fmin heaviside rsqrt reciprocal square deg2rad rad2deg ldexp remainder
        floor_divide xlogy xlog1py sinc logit ndtr gamma
        """.split()  # noqa: SIM905
    },
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
FLOAT_TESTS = {name: f"fg_{name}" for name in ("isnan", "isinf", "isfinite", "signbit")}
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
    **{
        name: f"fg_{name}"
        for name in "negative conjugate reciprocal square sign rint fmax fmin".split()  # noqa: SIM905
    },
}
COMPLEX_MATH = {
    name: f"fg_{name}"
    for name in "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh power".split()  # noqa: SIM905
}
COMPLEX_TESTS = {
    name: f"fg_{name}"
    for name in """
    isnan isinf isfinite equal not_equal less less_equal greater greater_equal
    """.split()  # noqa: SIM905
}
