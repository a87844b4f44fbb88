"""The command line: `python -m funcgrad cache [info|clear|path]`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from funcgrad.compiler.cache import Cache, CacheWarning, default_cache
from funcgrad.compiler.cache_directory import MEGABYTE
from funcgrad.config import config

CACHE_HELP = """\
Compiled code is kept on disk, so that the next process need not compile it again.

  info   where it is kept, how much there is, and how much there may be (the default)
  clear  remove all of it; it is compiled again when needed
  path   print the directory and nothing else

Environment: FUNCGRAD_CACHE_DIR (the directory), FUNCGRAD_CACHE_MB (the limit, 512 unless set),
FUNCGRAD_CACHE=0 (keep nothing).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Example:
        >>> main(["cache", "path"])  # doctest: +SKIP
        /home/me/.cache/funcgrad
        0
    """
    parser = argparse.ArgumentParser(prog="python -m funcgrad", description="Tools of funcgrad.")
    parser.set_defaults(run=lambda chosen: parser.print_help() or 0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    cache = commands.add_parser(
        "cache",
        help="look at or remove compiled code that is kept on disk",
        description=CACHE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cache.add_argument("action", nargs="?", choices=list(CACHE_ACTIONS), default="info")
    cache.set_defaults(run=lambda chosen: CACHE_ACTIONS[chosen.action](_cache()))
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except ValueError as error:  # a setting that means nothing
        print(error, file=sys.stderr)
        return 2


def _cache() -> Cache:
    cache = default_cache()
    if cache.directory is None:
        raise ValueError("[cache] there is no home directory. Set FUNCGRAD_CACHE_DIR.")
    return cache


def _info(cache: Cache) -> int:
    entries = cache.entries()
    with warnings.catch_warnings(record=True) as problems:
        warnings.simplefilter("always", CacheWarning)
        usable = cache.is_usable()
    state = "on" if usable else "off"
    if not config.cache:
        state += " (FUNCGRAD_CACHE=0)"
    elif not usable and not problems:
        state += " (the directory cannot be made)"
    print(f"directory  {cache.directory}")
    print(f"state      {state}")
    print(f"entries    {len(entries):,}")
    print(f"size       {_bytes(sum(size for _, size, _ in entries))}")
    print(f"limit      {_bytes(cache.limit)}")
    for problem in problems:
        print(problem.message, file=sys.stderr)
    return 1 if problems else 0


def _clear(cache: Cache) -> int:
    size = sum(size for _, size, _ in cache.entries())
    removed, left = cache.clear()
    print(f"removed {_files(removed)}, {_bytes(size)}, from {cache.directory}")
    if left:
        print(
            f"[cache] {_files(left)} in {cache.directory} cannot be removed. "
            "Check who owns the directory and whether it is read-only.",
            file=sys.stderr,
        )
    return 1 if left else 0


def _path(cache: Cache) -> int:
    print(cache.directory)
    return 0


def _files(number: int) -> str:
    return f"{number:,} file{'s' * (number != 1)}"


def _bytes(size: int) -> str:
    return f"{size / MEGABYTE:,.1f} MB" if size >= MEGABYTE else f"{size / 1024:,.1f} kB"


CACHE_ACTIONS = {"info": _info, "clear": _clear, "path": _path}


if __name__ == "__main__":
    sys.exit(main())
