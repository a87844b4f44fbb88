"""Machine code of units, for later modules that have equal ones: in memory, and in the disk cache."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence

from funcgrad.compiler.cache import Cache, digest
from funcgrad.compiler.llvm.loading import keys
from funcgrad.compiler.llvm.loading.elf import Object, read_object
from funcgrad.compiler.llvm.loading.units import SHARED, Unit

MOST_BYTES = 16 << 20  # of object files in memory
MOST_UNITS = 1 << 10  # that the disk cache knows of
LONG = 1 << 11  # bytes of text of a unit that takes longer to compile than to read


class KnownUnits:
    """Object files by the names of the shared units in them; all are forgotten when they become too many.

    On the disk there are the object files, and one entry that says in which of them each unit is.

    Args:
        cache: what asks for the cache of other processes; None for none.
    """

    def __init__(self, cache: Callable[[], Cache] | None = None) -> None:
        self.cache = cache
        self.files: dict[str, Object] = {}
        self.size = 0

    def has(self, unit: Unit) -> bool:
        return unit.name in self.files

    def get(self, name: str) -> Object | None:
        return self.files.get(name)

    def add(self, data: bytes, units: Sequence[Unit]) -> Object:
        """Remember the object file of some units, and take it apart."""
        names = [unit.name for unit in units if is_long(unit)]
        if names and self.cache is not None:
            self.keep(data, names, self.cache())
        return self.take(data)

    def take(self, data: bytes) -> Object:
        file = read_object(data)
        self.size += len(data)
        if self.size > MOST_BYTES:
            self.files, self.size = {}, len(data)
        for name in file.exported():
            if name.startswith(SHARED):
                self.files.setdefault(name, file)
        return file

    # --- on the disk ---

    def look_for(self, units: Iterable[Unit]) -> None:
        """Bring what earlier processes have kept of some units."""
        wanted = [unit.name for unit in units if is_long(unit) and unit.name not in self.files]
        if not wanted or self.cache is None:
            return
        cache = self.cache()
        places = places_in(cache)
        for key in {places[name] for name in wanted if name in places}:
            found = cache.get(key)
            if found is not None and "object" in found:
                self.take(found["object"])

    def keep(self, data: bytes, names: Sequence[str], cache: Cache) -> None:
        key, places = digest(data), places_in(cache)
        for name in names:
            places.pop(name, None)  # the last ones are at the end
            places[name] = key
        kept = dict([*places.items()][-MOST_UNITS:])
        cache.put(key, {"object": data})
        cache.put(places_key(), {"places": json.dumps(kept).encode()})


def is_long(unit: Unit) -> bool:
    return unit.is_shared and unit.is_function and unit.level > 0 and len(unit.text) >= LONG


def places_in(cache: Cache) -> dict[str, str]:
    """The keys of the object files that units are in, by name."""
    found = cache.get(places_key())
    return {} if found is None or "places" not in found else json.loads(found["places"])


@functools.cache
def places_key() -> str:
    return digest("units", *keys.platform())
