"""Where CuPy is not installed, the examples in what talks to it are not collected."""

import importlib.util

collect_ignore_glob = []
if importlib.util.find_spec("cupy") is None:
    collect_ignore_glob.append("funcgrad/compiler/cuda/runtime/*.py")
