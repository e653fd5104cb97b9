"""An operator takes codes in from a file, sees how they stand, and takes unused ones out."""

import json
from pathlib import Path

from tests.factories.campaigns import document, pool, voucher
from tests.functional.test_cli import Saoma, brand, run  # noqa: F401 - fixtures


def test_codes_from_the_file_to_the_return_note(brand: Saoma, tmp_path: Path) -> None:  # noqa: F811
    rules = document(prizes=[voucher("video", 1500, stock=2)], pools=[pool("everybody", 0, {"video": 1})])
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    brand("campaigns", "create", "tea/june")
    brand("campaigns", "save", "tea/june", str(tmp_path / "rules.json"))
    codes = tmp_path / "codes.csv"
    codes.write_text("code,pin,expires_on\nSECRET-1,1,2099-12-31\nSECRET-2,2,\nSECRET-3,3,\nSECRET-1,,\n")
    arguments = ("vouchers", "import", "tea/june", "video", str(codes))
    shown = brand(*arguments, "--reference", "PO-1").output
    assert "3 codes taken in, 1 known already" in shown
    assert "reference has been used" in brand(*arguments, "--reference", "PO-1", ok=False).output
    assert "such as Asia" in brand(*arguments, "--reference", "PO-2", "--zone", "Mars", ok=False).output
    brand("vouchers", "withdraw", "tea/june", "video", "1", "--reference", "RET-1")
    (row,) = json.loads(brand("vouchers", "status", "tea/june", "--json").stdout)
    assert (row["drawable"], row["free"], row["withdrawn"]) == (2, 2, 1)
    files = brand("vouchers", "files", "tea/june", "--json").stdout
    assert json.loads(files)[0]["reference"] == "PO-1"
    assert json.loads(brand("vouchers", "claims", "tea/june", "--json").stdout) == []
    trail = brand("audit", "list", "--json").stdout
    assert "vouchers.taken_in" in trail
    assert "SECRET" not in trail + files + shown
    refused = brand("campaigns", "stock", "tea/june", "video", "5", "--reference", "DN-1", ok=False)
    assert "saoma vouchers import" in refused.output


def test_a_faulty_file_is_refused_by_line_without_showing_codes(brand: Saoma, tmp_path: Path) -> None:  # noqa: F811
    codes = tmp_path / "codes.csv"
    codes.write_text("code,expires_on\nSECRET-1,2099-12-31\nSECRET-2,tomorrow\n")
    arguments = ("vouchers", "import", "tea/june", "video", str(codes), "--reference", "PO-1")
    refused = brand(*arguments, ok=False)
    assert "line 3" in refused.output
    assert "SECRET" not in refused.output
