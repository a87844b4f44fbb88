"""Functions of SciPy that can be differentiated, batched and compiled."""

from funcgrad.scipy import linalg as linalg, special as special
