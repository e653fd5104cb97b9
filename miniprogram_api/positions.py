"""Which region a position lies in, where an installation uses positions at all (contract 13.3: off).

The file `positions.csv` in SAOMA_DATA has the columns adcode, latitude, longitude and radius_km, one line per
place; a position belongs to the nearest place whose radius reaches it. Kilometres are enough: the question is
which city somebody is in, and WeChat blurs positions anyway.
"""

import csv
from pathlib import Path
from typing import Protocol

import numpy as np

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


class CsvPositionRegions:
    """Places from a CSV file; see the module's docstring. Raises ValueError for one it cannot use."""

    def __init__(self, path: Path) -> None:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise ValueError(f"{path}: the first line must name {', '.join(sorted(_COLUMNS))}")
            rows = list(reader)
        self._adcodes = [row["adcode"] for row in rows]
        if not all(is_adcode(adcode) for adcode in self._adcodes):
            raise ValueError(f"{path}: an adcode has six digits and a province")
        numbers = [[float(row[name]) for name in ("latitude", "longitude", "radius_km")] for row in rows]
        places = np.array(numbers, dtype=float).reshape(-1, 3)
        self._latitudes, self._longitudes = np.radians(places[:, 0]), np.radians(places[:, 1])
        self._radii = places[:, 2]

    def region(self, latitude: float, longitude: float) -> str | None:
        """Return the adcode of the nearest place that reaches the position, or None."""
        if not self._adcodes:
            return None
        here, east = np.radians(latitude), np.radians(longitude)
        # The haversine form keeps its precision for places that are close.
        half = (
            np.sin((self._latitudes - here) / 2) ** 2
            + np.cos(here) * np.cos(self._latitudes) * np.sin((self._longitudes - east) / 2) ** 2
        )
        distances = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half))
        reached = np.where(distances <= self._radii, distances, np.inf)
        nearest = int(np.argmin(reached))
        return self._adcodes[nearest] if np.isfinite(reached[nearest]) else None


def build(settings: Settings) -> PositionRegions:
    """Return what the settings ask for; raise BadSettings when the switch is on and the file is not there."""
    if not settings.location:
        return NullPositionRegions()
    path = settings.data / FILE_NAME
    try:
        return CsvPositionRegions(path)
    except (OSError, ValueError) as error:
        raise BadSettings([f"SAOMA_LOCATION is 1, but {path} cannot be used: {error}"]) from None
