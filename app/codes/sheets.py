"""Print packs as pictures: SVG or PNG of every code in zip files, or PDF sheets with the letters below.

A folder of a million pictures is a burden, and so is one zip of a million entries, whose directory stays in
memory until the end. A pack is therefore several files of at most 10,000 codes each, which also makes
resuming simple: a finished file is kept when its SHA-256 still holds, the one that was being written is
written again. The same pack gives the same bytes, whenever and however often it was interrupted.
"""

import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from app.codes import files, qr
from app.codes.errors import InvalidLayout
from app.codes.format import grouped
from app.codes.pack import INDEX_DIGITS, Pack
from app.codes.packs import Manifest, PackFile, Progress, read_state, write_state
from app.codes.pdf import A4, PdfFile
from app.codes.qr import LinkQr

CODES_PER_FILE = 10_000

_MILLIMETRE = 72 / 25.4
# In millimetres; what common telephones still read from common printers.
_SMALLEST_MODULE = 0.25
# How often `progress` hears from us, in codes.
_PROGRESS_CODES = 200


class PictureKind(StrEnum):
    """What the pictures are."""

    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class SheetLayout:
    """How codes stand on an A4 sheet; `margin` and `caption` (the line below a code) in millimetres."""

    columns: int = 5
    rows: int = 8
    margin: float = 10.0
    caption: float = 5.0

    def __post_init__(self) -> None:
        if self.columns < 1 or self.rows < 1:
            raise InvalidLayout("a sheet has at least one column and one row")

    @property
    def codes(self) -> int:
        """How many codes a sheet holds."""
        return self.columns * self.rows

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a code's place on the sheet, the caption included, in points."""
        width, height = A4
        margins = 2 * self.margin * _MILLIMETRE
        return (width - margins) / self.columns, (height - margins) / self.rows

    def side(self, modules: int) -> float:
        """Return the printed side of a code of `modules` modules in points; InvalidLayout if illegible."""
        width, height = self.cell
        side = min(width, height - self.caption * _MILLIMETRE)
        if side < modules * _SMALLEST_MODULE * _MILLIMETRE:
            raise InvalidLayout("with so many codes on a sheet no telephone can read them; take fewer")
        return side


def write_pictures(
    pack: Pack,
    folder: Path,
    kind: PictureKind,
    *,
    layout: SheetLayout | None = None,
    codes_per_file: int = CODES_PER_FILE,
    progress: Progress | None = None,
) -> Manifest:
    """Write the pictures of `pack` into `folder` with their manifest (CODE-01, CODE-02).

    A run that was killed is taken up after the last finished file. `progress` is called with the number of
    codes done. Raise InvalidLayout, PackBusy while another process writes into `folder`, and OSError when
    the disk is full.
    """
    layout = layout or SheetLayout()
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_writer(folder):
        state_path = folder / f"{pack.name}.{kind}.state"
        settings = {"codes_per_file": codes_per_file, "layout": asdict(layout)}
        finished = _intact_files(state_path, pack, folder, settings)
        link_qr = LinkQr(pack.link)
        done = sum(file.rows for file in finished)
        while done < pack.count:
            count = min(codes_per_file, pack.count - done)
            part = _Part(pack, link_qr, len(finished) + 1, pack.first_index + done, count)
            finished.append(_write_part(part, folder, kind, layout, _shifted(progress, done)))
            done += count
            entries = [file.as_json() for file in finished]
            write_state(state_path, pack, {**settings, "files": entries})
        manifest = Manifest(pack, kind.value, tuple(finished))
        manifest.write(folder)
        state_path.unlink(missing_ok=True)
        return manifest


def sheet(codes: list[str], link_qr: LinkQr, layout: SheetLayout, note: str) -> str:
    """Return the PDF drawing of one A4 sheet: the codes, their letters below, `note` (ASCII) at the foot."""
    margin, caption = layout.margin * _MILLIMETRE, layout.caption * _MILLIMETRE
    cell_width, cell_height = layout.cell
    side = layout.side(link_qr.size + 2 * qr.QUIET)
    drawing = []
    for place, code in enumerate(codes):
        row, column = divmod(place, layout.columns)
        left = margin + column * cell_width + (cell_width - side) / 2
        top = A4[1] - margin - row * cell_height
        matrix = link_qr.matrix(code)
        # One path per code: neighbouring rectangles of one fill leave no hairline between them.
        rectangles = "".join(f"{x} {y} {length} 1 re\n" for x, y, length in matrix.runs())
        scale = side / matrix.width
        drawing.append(f"q {scale:.4f} 0 0 {-scale:.4f} {left:.3f} {top:.3f} cm\n{rectangles}f Q\n")
        letters = grouped(code)
        # Courier's letters are 0.6 of their size wide; the line fills the width of the modules.
        size = min(caption * 0.7, (matrix.size * scale) / (0.6 * len(letters)))
        start = left + (side - 0.6 * size * len(letters)) / 2
        drawing.append(
            f"BT /F {size:.3f} Tf {start:.3f} {top - side - size * 0.6:.3f} Td ({letters}) Tj ET\n"
        )
    drawing.append(f"BT /F 6 Tf {margin:.3f} {margin / 2:.3f} Td ({note}) Tj ET\n")
    return "".join(drawing)


@dataclass(frozen=True, slots=True)
class _Part:
    """The codes of one file."""

    pack: Pack
    link_qr: LinkQr
    number: int
    first_index: int
    count: int

    def codes(self) -> list[str]:
        return [self.pack.code(index) for index in range(self.first_index, self.first_index + self.count)]


def _write_part(
    part: _Part, folder: Path, kind: PictureKind, layout: SheetLayout, report: Callable[[int], None]
) -> PackFile:
    ending = "pdf" if kind is PictureKind.PDF else f"{kind}.zip"
    path = folder / f"{part.pack.name}-{part.number:05}.{ending}"
    temporary = path.with_name(path.name + ".part")
    with files.open_private(temporary) as file:
        file.truncate()
        if kind is PictureKind.PDF:
            _write_sheets(file, part, layout, report)
        else:
            _write_zip(file, part, kind, report)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    files.sync_folder(folder)
    return PackFile(path.name, part.first_index, part.count, path.stat().st_size, files.sha256(path))


def _write_sheets(file: BinaryIO, part: _Part, layout: SheetLayout, report: Callable[[int], None]) -> None:
    codes = part.codes()
    document = PdfFile(file)
    for start in range(0, part.count, layout.codes):
        shown = codes[start : start + layout.codes]
        first = part.first_index + start
        last = first + len(shown) - 1
        note = f"{part.pack.name}   {first:0{INDEX_DIGITS}} - {last:0{INDEX_DIGITS}}"
        document.add_page(sheet(shown, part.link_qr, layout, note))
        report(start + len(shown))
    document.finish()


def _write_zip(file: BinaryIO, part: _Part, kind: PictureKind, report: Callable[[int], None]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for place, code in enumerate(part.codes()):
            matrix = part.link_qr.matrix(code)
            # ZipInfo's own date, 1980: the bytes must not depend on when they were written.
            entry = zipfile.ZipInfo(f"{part.first_index + place:0{INDEX_DIGITS}}-{code}.{kind}")
            entry.external_attr = 0o600 << 16
            if kind is PictureKind.SVG:
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, qr.svg(matrix))
            else:
                archive.writestr(entry, qr.png(matrix))
            if (place + 1) % _PROGRESS_CODES == 0 or place + 1 == part.count:
                report(place + 1)


def _shifted(progress: Progress | None, done: int) -> Callable[[int], None]:
    def report(count: int) -> None:
        if progress:
            progress(done + count)

    return report


def _intact_files(state_path: Path, pack: Pack, folder: Path, settings: dict[str, Any]) -> list[PackFile]:
    """Return the files that an earlier run finished and that are still what it wrote."""
    state = read_state(state_path, pack)
    if state is None or not state.items() >= settings.items():
        return []
    intact: list[PackFile] = []
    for entry in state["files"]:
        file = PackFile(**entry)
        if not file.is_intact(folder):
            break
        intact.append(file)
    return intact
