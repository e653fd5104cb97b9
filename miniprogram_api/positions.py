"""Which region a position lies in, where an installation uses positions at all (contract 13.3: off).

The file `positions.csv` in SAOMA_DATA has the columns adcode, latitude, longitude and radius_km, one line per
place; a position belongs to the nearest place whose radius reaches it. Kilometres are enough: the question is
which city somebody is in, and WeChat blurs positions anyway.
"""

import csv
from bisect import bisect_left, bisect_right
from math import asin, cos, degrees, radians, sin, sqrt
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from app.config import BadSettings, Settings
from app.organisation.regions import is_adcode

EARTH_RADIUS_KM = 6371.0
FILE_NAME = "positions.csv"
_COLUMNS = {"adcode", "latitude", "longitude", "radius_km"}


class PositionRegions(Protocol):
    """Knows the region of a position."""

    def region(self, latitude: float, longitude: float) -> str | None:
        """Return the six-digit adcode of a position in degrees, or None when it is not known."""


class NullPositionRegions:
    """Uses no position: the switch is off."""

    def region(self, latitude: float, longitude: float) -> str | None:
        """Return None."""
        return None


class _Place(NamedTuple):
    """A place of the file, in degrees and kilometres."""

    latitude: float
    longitude: float
    radius_km: float
    adcode: str

    def distance_km(self, latitude: float, longitude: float) -> float:
        here, there = radians(latitude), radians(self.latitude)
        east = radians(self.longitude - longitude)
        # The haversine form keeps its precision for places that are close.
        half = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(east / 2) ** 2
        return 2 * EARTH_RADIUS_KM * asin(sqrt(min(half, 1.0)))


class CsvPositionRegions:
    """Places from a CSV file; see the module's docstring. Raises ValueError for one it cannot use."""

    def __init__(self, path: Path) -> None:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise ValueError(f"{path}: the first line must name {', '.join(sorted(_COLUMNS))}")
            places = [
                _Place(
                    float(row["latitude"]), float(row["longitude"]), float(row["radius_km"]), row["adcode"]
                )
                for row in reader
            ]
        if not all(is_adcode(place.adcode) for place in places):
            raise ValueError(f"{path}: an adcode has six digits and a province")
        self._places = sorted(places)
        self._reach = degrees(max((place.radius_km for place in places), default=0.0) / EARTH_RADIUS_KM)

    def region(self, latitude: float, longitude: float) -> str | None:
        """Return the adcode of the nearest place that reaches the position, or None."""
        # Only places between these two parallels can reach it.
        by = attrgetter("latitude")
        first = bisect_left(self._places, latitude - self._reach, key=by)
        last = bisect_right(self._places, latitude + self._reach, key=by)
        reached = [
            (distance, place.adcode)
            for place in self._places[first:last]
            if (distance := place.distance_km(latitude, longitude)) <= place.radius_km
        ]
        return min(reached)[1] if reached else None


def build(settings: Settings) -> PositionRegions:
    """Return what the settings ask for; raise BadSettings when the switch is on and the file is not there."""
    if not settings.location:
        return NullPositionRegions()
    path = settings.data / FILE_NAME
    try:
        return CsvPositionRegions(path)
    except (OSError, ValueError) as error:
        raise BadSettings([f"SAOMA_LOCATION is 1, but {path} cannot be used: {error}"]) from None
