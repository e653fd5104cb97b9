"""The sandbox is a stranger to the product: a mistake that both made would hide itself."""

from tests.support.source import ROOT, imported, python_files, tree

SDKS = {"wechatpy", "wechatpayv3"}
PRODUCT = {"app", "miniprogram_api", "jobs", "bin", "bench", "tests"}


def packages(path: str) -> dict[str, set[str]]:
    """For each file below ``path``, the top-level packages that it imports."""
    return {
        str(file.relative_to(ROOT)): {name.partition(".")[0] for name in imported(tree(file))}
        for file in python_files(path)
    }


def test_the_sandbox_knows_neither_the_product_nor_the_sdks_that_it_uses() -> None:
    files = packages("sandbox")

    assert len(files) > 20
    assert {file for file, names in files.items() if names & (PRODUCT | SDKS)} == set()


def test_the_product_does_not_know_the_sandbox() -> None:
    files = {
        file: names for room in ("app", "miniprogram_api", "jobs") for file, names in packages(room).items()
    }

    assert len(files) > 20
    assert {file for file, names in files.items() if "sandbox" in names} == set()
