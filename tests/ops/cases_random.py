"""Rows of random bits."""

from __future__ import annotations

import numpy as np

from funcgrad.ops.random_bits import bitcast, threefry2x32, threefry_words
from tests.ops.case import Case, integers, uniform


def words_one_by_one(key, counter):
    key, counter = np.broadcast_arrays(key, counter)
    pairs = zip(key.flat, counter.flat, strict=True)
    words = [threefry_words(int(k), int(c)) for k, c in pairs]
    return np.array(words, np.uint64).reshape(key.shape)


KEY = integers(0, 2**63, (), np.uint64)
KEYS = integers(0, 2**63, (3, 1), np.uint64)

CASES = [
    *(
        Case(
            "threefry",
            threefry2x32,
            (key, integers(0, 2**63, (5,), np.uint64)),
            label=label,
            reference=words_one_by_one,
            dtypes=("uint64",),
            argnums=(),
        )
        for key, label in ((KEY, "one key"), (KEYS, "keys"))
    ),
    Case(
        "threefry",
        threefry2x32,
        (KEY, integers(0, 2**63, (2, 20), np.uint64)),
        label="chunks",
        reference=words_one_by_one,
        dtypes=("uint64",),
        argnums=(),
    ),
    *(
        Case(
            "bitcast",
            lambda x, dtype: bitcast(x, dtype),
            (uniform(-2, 2),),
            params={"dtype": target},
            label=f"{source} to {target}",
            reference=lambda x, dtype: x.view(dtype),
            dtypes=(source,),
            argnums=(),
            elementwise=True,
        )
        for source, target in (("float32", "uint32"), ("int64", "float64"), ("uint16", "float16"))
    ),
]
