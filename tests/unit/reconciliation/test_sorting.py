from hypothesis import given
from hypothesis import strategies as st

from app.reconciliation.sorting import Sorter

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8), max_size=40)


@given(texts=TEXTS, run=st.integers(1, 50))
def test_what_goes_in_comes_out_sorted(texts: list[str], run: int) -> None:
    with Sorter(run=run) as sorter:
        for text in texts:
            sorter.add(text)
        assert list(sorter) == sorted(texts)
