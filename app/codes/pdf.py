"""A PDF writer for sheets of codes: filled rectangles and one line of text each, streamed.

The libraries at hand keep every page until the end and take a millisecond per code for its 300 rectangles.
What a sheet needs of PDF is small: numbered objects, a table of their places at the end, one standard font.
"""

import zlib
from typing import BinaryIO

# Coordinates grow to the right and upwards, in points of 1/72 inch.
A4 = (595.276, 841.89)

_CATALOG, _PAGES, _FONT = 1, 2, 3


class PdfFile:
    """Writes pages to `file` as they come; remembers eight bytes per object and nothing else."""

    def __init__(self, file: BinaryIO, page_size: tuple[float, float] = A4) -> None:
        self._file = file
        self._page_size = page_size
        self._places: dict[int, int] = {}
        self._pages: list[int] = []
        # The second line tells programs that move files that this one is not text.
        file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        self._object(_CATALOG, b"<</Type/Catalog/Pages %d 0 R>>" % _PAGES)
        self._object(_FONT, b"<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding>>")

    def add_page(self, drawing: str) -> None:
        """Add a page: `drawing` is a content stream in ASCII; /F is Courier."""
        content = zlib.compress(drawing.encode("ascii"), 6)
        number = max(self._places, default=0) + 1
        stream = b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(content), content)
        self._object(number, stream)
        page = (
            b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 %b]/Contents %d 0 R/Resources<</Font<</F %d 0 R>>>>>>"
        )
        self._object(number + 1, page % (_PAGES, b"%.3f %.3f" % self._page_size, number, _FONT))
        self._pages.append(number + 1)

    def finish(self) -> None:
        """Write the page list and the table of places."""
        kids = b" ".join(b"%d 0 R" % number for number in self._pages)
        self._object(_PAGES, b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(self._pages), kids))
        table = self._file.tell()
        count = len(self._places) + 1
        # Each line of the table has twenty bytes; object 0 stands for what is free.
        lines = [b"%010d 00000 n \n" % self._places[number] for number in range(1, count)]
        self._file.write(b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, b"".join(lines)))
        trailer = b"trailer<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        self._file.write(trailer % (count, _CATALOG, table))

    def _object(self, number: int, content: bytes) -> None:
        self._places[number] = self._file.tell()
        self._file.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))
