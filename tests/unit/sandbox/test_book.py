import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.book import OUTSIDE, Book, BookError, Entry, available, frozen, wallet

MERCHANT = available("1900000001")


def test_an_entry_moves_its_amount_and_the_sum_stays_zero() -> None:
    book = Book()
    book.move(Entry("topup:1", OUTSIDE, MERCHANT, 100))
    book.move(Entry("bill:1:lock", MERCHANT, frozen("1900000001"), 30))

    assert book.balance(MERCHANT) == 70
    assert book.balance(frozen("1900000001")) == 30
    assert book.balance(OUTSIDE) == -100
    assert book.balance(wallet("nobody")) == 0
    assert book.audit() == []


@pytest.mark.parametrize(
    "entry",
    [
        Entry("topup:1", OUTSIDE, MERCHANT, 5),
        Entry("again", OUTSIDE, MERCHANT, 0),
        Entry("again", OUTSIDE, MERCHANT, -1),
        Entry("again", MERCHANT, wallet("s1"), 101),
    ],
    ids=["key used before", "nothing", "negative", "overdrawn"],
)
def test_an_entry_that_cannot_be_is_refused_and_changes_nothing(entry: Entry) -> None:
    book = Book()
    book.move(Entry("topup:1", OUTSIDE, MERCHANT, 100))

    with pytest.raises(BookError):
        book.move(entry)

    assert book.balance(MERCHANT) == 100
    assert len(book.entries) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(1, 50)), max_size=40))
def test_whatever_is_moved_the_audit_agrees_with_the_balances(moves: list[tuple[str, str, int]]) -> None:
    book = Book()
    plain = {"a": 100, "b": 0, "c": 0}
    book.move(Entry("start", OUTSIDE, "a", 100))
    for number, (source, target, amount) in enumerate(moves):
        if plain[source] < amount:
            continue
        book.move(Entry(str(number), source, target, amount))
        plain[source] -= amount
        plain[target] += amount

    assert {name: book.balance(name) for name in plain} == plain
    assert book.audit() == []


def test_the_audit_finds_a_balance_that_was_tampered_with() -> None:
    book = Book()
    book.move(Entry("start", OUTSIDE, "a", 100))
    book._balances["a"] += 1

    assert book.audit() == ["the balances do not add up to zero", "a shows 101, its entries say 100"]


def test_the_audit_finds_an_entry_that_was_slipped_in() -> None:
    book = Book()
    book.move(Entry("start", OUTSIDE, "a", 100))
    book.entries.append(Entry("start", "b", "a", 1))

    faults = book.audit()

    assert "a key was used twice" in faults
    assert "b is overdrawn" in faults
