"""Which region a position lies in."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.config import BadSettings, load_settings
from miniprogram_api.positions import (
    CsvPositionRegions,
    NullPositionRegions,
    PositionRegions,
    build,
)

PLACES = """adcode,latitude,longitude,radius_km
310000,31.2304,121.4737,60
320500,31.2989,120.5853,40
650100,43.8256,87.6168,50
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "positions.csv"
    path.write_text(PLACES)
    return path


@pytest.mark.parametrize(
    ("latitude", "longitude", "region"),
    [
        (31.2304, 121.4737, "310000"),
        (31.0, 121.2, "310000"),
        # Between Shanghai and Suzhou, nearer to Suzhou.
        (31.28, 120.9, "320500"),
        (43.9, 87.5, "650100"),
        (39.9, 116.4, None),
        (0.0, 0.0, None),
        (90.0, 0.0, None),
        (-90.0, -180.0, None),
    ],
)
def test_a_position_belongs_to_the_nearest_place_that_reaches_it(
    file: Path, latitude: float, longitude: float, region: str | None
) -> None:
    assert CsvPositionRegions(file).region(latitude, longitude) == region


def test_the_date_line_is_no_border(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text("adcode,latitude,longitude,radius_km\n110000,0,179.9,50\n")

    assert CsvPositionRegions(path).region(0.0, -179.9) == "110000"


@pytest.mark.parametrize(
    "content",
    ["", "adcode,latitude\n", PLACES + "31,1,1,1\n", PLACES + "310000,north,1,1\n", PLACES + "310000,1,1,\n"],
)
def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "positions.csv"
    path.write_text(content)

    with pytest.raises(ValueError):
        CsvPositionRegions(path)


def test_a_file_without_places_knows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "positions.csv"
    path.write_text("adcode,latitude,longitude,radius_km\n")

    assert CsvPositionRegions(path).region(31.2, 121.4) is None


@pytest.mark.parametrize("kind", ["null", "csv"])
def test_both_answer_any_position(file: Path, kind: str) -> None:
    regions: PositionRegions = NullPositionRegions() if kind == "null" else CsvPositionRegions(file)

    for latitude, longitude in ((0.0, 0.0), (90.0, 180.0), (-90.0, -180.0), (31.2304, 121.4737)):
        assert regions.region(latitude, longitude) in {None, "310000"}


def test_the_switch_decides_and_a_missing_file_is_said(tmp_path: Path) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    settings = load_settings(
        {
            "SAOMA_DATA": str(tmp_path),
            "SAOMA_MASTER_KEYS": f"1:{key}",
            "SAOMA_CODE_KEY": key,
            "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
            "SAOMA_PUBLIC_URL": "https://m.example.com",
        }
    )
    assert isinstance(build(settings), NullPositionRegions)
    on = replace(settings, location=True)
    with pytest.raises(BadSettings, match=r"positions\.csv"):
        build(on)
    (tmp_path / "positions.csv").write_text(PLACES)
    assert build(on).region(31.2304, 121.4737) == "310000"
