"""Picture packs: every code is there, readable by a decoder, the same bytes after an interruption."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from PIL import Image

from app.codes import sheets
from app.codes.errors import InvalidLayout
from app.codes.format import grouped
from app.codes.links import CodeLink
from app.codes.qr import LinkQr
from app.codes.sheets import PictureKind, SheetLayout, write_pictures

PDF_MATRIX = re.compile(r"q ([\d.]+) 0 0 -([\d.]+) ([\d.]+) ([\d.]+) cm\n(.*?)f Q\n", re.DOTALL)


class Killed(BaseException):
    """What stands for a kill."""


@pytest.fixture(scope="module", autouse=True)
def _drawn_once() -> Iterator[None]:
    """Draw the letters of a prefix once, not for each pack: they are what takes time, and never change."""
    made = dict[str, LinkQr]()

    def link_qr(link: CodeLink) -> LinkQr:
        return made.get(link.prefix) or made.setdefault(link.prefix, LinkQr(link))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "LinkQr", link_qr)
        yield


def read_png(content: bytes) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(content)))]


def pdf_pages(content: bytes) -> list[str]:
    """Follow the table of places to every page's drawing, as a reader does."""
    table = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    assert content[table:].startswith(b"xref\n0 ")
    count = int(content[table:].split()[2])
    lines = content[content.index(b"\n", table + 5) + 1 :]
    objects = {}
    for number in range(1, count):
        place = int(lines[number * 20 : number * 20 + 10])
        assert content[place:].startswith(b"%d 0 obj\n" % number)
        objects[number] = content[place:]
    pages = next(body for body in objects.values() if b"/Type/Pages" in body[:40])
    kids = re.findall(rb"(\d+) 0 R", re.search(rb"Kids\[(.*?)\]", pages).group(1))
    drawings = []
    for kid in kids:
        stream = objects[int(re.search(rb"/Contents (\d+)", objects[int(kid)]).group(1))]
        length = int(re.search(rb"/Length (\d+)", stream).group(1))
        start = stream.index(b"stream\n") + 7
        drawings.append(zlib.decompress(stream[start : start + length]).decode())
    return drawings


def draw_sheet(drawing: str, pixels_per_point: float = 3.0) -> Image.Image:
    """Fill the rectangles of a sheet, as a printer does."""
    width, height = (round(side * pixels_per_point) for side in sheets.A4)
    paper = np.full((height, width), 255, dtype=np.uint8)
    for scale_x, scale_y, left, top, rectangles in PDF_MATRIX.findall(drawing):
        assert scale_x == scale_y
        scale = float(scale_x) * pixels_per_point
        origin_x, origin_y = float(left) * pixels_per_point, height - float(top) * pixels_per_point
        for x, y, length in re.findall(r"(\d+) (\d+) (\d+) 1 re\n", rectangles):
            rows = slice(round(origin_y + int(y) * scale), round(origin_y + (int(y) + 1) * scale))
            columns = slice(
                round(origin_x + int(x) * scale), round(origin_x + (int(x) + int(length)) * scale)
            )
            paper[rows, columns] = 0
    return Image.fromarray(paper)


@pytest.mark.parametrize("kind", [PictureKind.SVG, PictureKind.PNG])
def test_a_zip_holds_a_picture_of_every_code(make_pack, tmp_path: Path, kind: PictureKind) -> None:
    pack = make_pack(25, first_index=40)
    manifest = write_pictures(pack, tmp_path, kind, codes_per_file=10)
    assert [file.rows for file in manifest.files] == [10, 10, 5]
    assert [file.first_index for file in manifest.files] == [40, 50, 60]
    index = 40
    for file in manifest.files:
        assert file.is_intact(tmp_path)
        with zipfile.ZipFile(tmp_path / file.name) as archive:
            assert archive.testzip() is None
            for entry in archive.infolist():
                assert entry.filename == f"{index:09}-{pack.code(index)}.{kind}"
                if kind is PictureKind.PNG:
                    assert read_png(archive.read(entry)) == [pack.link.url(pack.code(index))]
                else:
                    assert archive.read(entry).startswith(b"<svg ")
                index += 1
    assert index == 65


def test_a_decoder_reads_every_code_of_a_pdf_sheet(make_pack, tmp_path: Path) -> None:
    pack = make_pack(60)
    manifest = write_pictures(pack, tmp_path, PictureKind.PDF)
    pages = pdf_pages((tmp_path / manifest.files[0].name).read_bytes())
    assert len(pages) == 2
    expected = [{pack.link.url(pack.code(index)) for index in span} for span in (range(40), range(40, 60))]
    for page, links in zip(pages, expected, strict=True):
        found = {code.text for code in zxingcpp.read_barcodes(draw_sheet(page))}
        assert found == links


def test_the_letters_stand_below_their_code(make_pack, tmp_path: Path) -> None:
    pack = make_pack(7)
    manifest = write_pictures(pack, tmp_path, PictureKind.PDF)
    (page,) = pdf_pages((tmp_path / manifest.files[0].name).read_bytes())
    captions = re.findall(r"Tf ([\d.]+) ([\d.]+) Td \(([^)]*)\) Tj", page)
    *letters, foot = captions
    assert [text for _, _, text in letters] == [grouped(pack.code(index)) for index in range(7)]
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}", letters[0][2])
    places = PDF_MATRIX.findall(page)
    for (scale, _, left, top, _), (x, y, _) in zip(places, letters, strict=True):
        side = float(scale) * 41
        assert float(y) < float(top) - side, "below, not across"
        assert float(left) < float(x) < float(left) + side
    assert foot[2] == "batch-5-000000000-7   000000000 - 000000006"


def test_a_sheet_can_be_laid_out_otherwise(make_pack, tmp_path: Path) -> None:
    pack = make_pack(12)
    manifest = write_pictures(pack, tmp_path, PictureKind.PDF, layout=SheetLayout(columns=3, rows=4))
    (page,) = pdf_pages((tmp_path / manifest.files[0].name).read_bytes())
    assert len(zxingcpp.read_barcodes(draw_sheet(page))) == 12


@pytest.mark.parametrize("layout", [(0, 8), (5, 0), (-1, 3), (30, 40), (1, 100)])
def test_a_layout_that_cannot_be_read_is_refused(make_pack, tmp_path: Path, layout: tuple[int, int]) -> None:
    with pytest.raises(InvalidLayout):
        write_pictures(make_pack(3), tmp_path, PictureKind.PDF, layout=SheetLayout(*layout))
    assert not list(tmp_path.glob("*.pdf"))


def test_the_manifest_lists_the_files(make_pack, tmp_path: Path) -> None:
    manifest = write_pictures(make_pack(25), tmp_path, PictureKind.PNG, codes_per_file=10)
    content = json.loads(manifest.path(tmp_path).read_text())
    assert content["kind"] == "png"
    assert content["rows"] == 25
    assert [file["name"] for file in content["files"]] == [
        f"batch-5-000000000-25-0000{number}.png.zip" for number in (1, 2, 3)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [manifest.path(tmp_path).name, *(file.name for file in manifest.files)]
    )


@pytest.mark.parametrize("kind", PictureKind)
def test_an_interrupted_pack_goes_on_and_ends_the_same(make_pack, tmp_path: Path, kind: PictureKind) -> None:
    pack = make_pack(50)
    layout = SheetLayout(columns=2, rows=2)
    expected = write_pictures(pack, tmp_path / "whole", kind, layout=layout, codes_per_file=20)

    def killed_in_the_third_file(done: int) -> None:
        if done > 40:
            raise Killed

    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        write_pictures(
            pack, broken, kind, layout=layout, codes_per_file=20, progress=killed_in_the_third_file
        )
    assert not list(broken.glob("*.manifest.json"))
    heard: list[int] = []
    manifest = write_pictures(pack, broken, kind, layout=layout, codes_per_file=20, progress=heard.append)
    assert min(heard) > 40, "finished files were written again"
    assert max(heard) == 50
    assert manifest.files == expected.files


@pytest.mark.parametrize("damage", ["changed", "gone", "other layout", "other key"])
def test_a_finished_file_is_kept_only_when_it_is_what_we_would_write(
    make_pack, tmp_path: Path, damage: str
) -> None:
    def killed(done: int) -> None:
        if done > 40:
            raise Killed

    with pytest.raises(Killed):
        write_pictures(make_pack(50), tmp_path, PictureKind.PDF, codes_per_file=20, progress=killed)
    pack, layout = make_pack(50), SheetLayout()
    first = tmp_path / "batch-5-000000000-50-00001.pdf"
    if damage == "changed":
        first.write_bytes(first.read_bytes().replace(b"Courier", b"Courie_"))
    elif damage == "gone":
        first.unlink()
    elif damage == "other layout":
        layout = SheetLayout(columns=3, rows=4)
    else:
        pack = make_pack(50, batch_key=type(pack.batch_key)(b"o" * 32))
    expected = write_pictures(pack, tmp_path / "whole", PictureKind.PDF, layout=layout, codes_per_file=20)
    manifest = write_pictures(pack, tmp_path, PictureKind.PDF, layout=layout, codes_per_file=20)
    assert manifest.files == expected.files
    assert all(file.is_intact(tmp_path) for file in manifest.files)
