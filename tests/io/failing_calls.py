"""A stand-in for `os` whose calls fail, for tests of what is left behind."""

import errno
import os


class Failing:
    """Stands for `os` inside a module: the Nth call of one function fails."""

    def __init__(self, name, at):
        self.name, self.left = name, at

    def __getattr__(self, name):
        function = getattr(os, name)
        if name != self.name:
            return function

        def guarded(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args, **kwargs)

        return guarded
