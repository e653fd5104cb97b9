"""What is one person's is nobody else's; what two accounts of one person have is theirs from both."""

from typing import Any

from sqlalchemy import select

from app.identity import operations as identity
from app.identity.queries import open_conflicts, principal
from app.identity.session_token import verify
from app.members.models import JoinManner, Member
from tests.factories.people import EVERYTHING
from tests.support.shop import OLGA, Shop, Shopper


def test_somebody_elses_things_are_not_found(shop: Shop) -> None:
    owner, stranger = shop.shopper().member(), shop.shopper().member()
    scan = owner.scan()
    played = owner.draw(scan)
    award, draw = played["award"], played["draw"]

    for answer in (
        stranger.get(f"/awards/{award['id']}"),
        stranger.collect(award),
        stranger.get(f"/draws/{draw['id']}"),
        stranger.call("POST", "/draws", {"scan": scan["scan"]["id"]}, key=stranger.new_key()),
        stranger.call(
            "POST",
            "/members",
            {"policy_version": "2026-1", "age_band": "adult", "scan": scan["scan"]["id"]},
        ),
    ):
        assert answer.status_code == 404, answer.text
    assert stranger.ok("GET", "/awards")["items"] == []
    assert owner.award(award)["state"] == "collectible"


def test_an_id_of_another_kind_or_made_up_is_not_found(shop: Shop) -> None:
    shopper = shop.shopper().member()
    played = shopper.draw(shopper.scan())
    body = played["draw"]["id"].removeprefix("dr_")

    for path in (
        f"/awards/aw_{body}",
        f"/awards/{played['draw']['id']}",
        "/awards/1",
        "/draws/dr_aaaaaaaaaaaaa",
    ):
        assert shopper.get(path).status_code == 404


def test_a_list_is_entered_by_its_owners_cursor_only(shop: Shop) -> None:
    owner, stranger = shop.shopper().member(), shop.shopper().member()
    won = [owner.win()["id"] for _ in range(5)]
    stranger.win()

    first = owner.ok("GET", "/awards?limit=2")
    second = owner.ok("GET", f"/awards?limit=2&cursor={first['next_cursor']}")
    third = owner.ok("GET", f"/awards?limit=2&cursor={second['next_cursor']}")
    seen = [award["id"] for page in (first, second, third) for award in page["items"]]
    assert seen == won[::-1]
    assert third["next_cursor"] is None
    refused = stranger.get(f"/awards?limit=2&cursor={first['next_cursor']}")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_cursor")
    assert owner.get("/awards?limit=0").status_code == 422
    assert owner.get("/awards?limit=101").status_code == 422
    assert owner.get("/awards?page=2").status_code == 422


def _person(shopper: Shopper) -> int:
    container = shopper.shop.container
    now = container.clock.now()
    session_id = verify(container.keyring.signing_keys("session"), token=shopper.token, now=now)
    with container.db.read() as session:
        return principal(session, session_id=session_id, now=now).person_id


def test_merged_accounts_share_awards_phone_and_membership_and_part_again(shop: Shop) -> None:
    one, other = shop.shopper().member(), shop.shopper().member()
    award, others = one.win(), other.win()
    container = shop.container

    def merge(session: Any) -> int:
        return identity.merge(
            session,
            person_id=_person(one),
            other_id=_person(other),
            reason="asked for it",
            now=container.clock.now(),
            actor=OLGA,
            although=EVERYTHING,
        )

    merge_id = container.db.transact(merge)
    both = {award["id"], others["id"]}
    for account in (one, other):
        assert {found["id"] for found in account.ok("GET", "/awards")["items"]} == both
    assert one.ok("GET", "/me")["member"] == other.ok("GET", "/me")["member"]
    collected = other.collect(award)
    assert collected.status_code == 200
    # The money goes to the WeChat account that tapped.
    other.confirm(collected.json()["transfer"])
    one.wait_for(award, "fulfilled")
    assert (one.balance_fen(), other.balance_fen()) == (0, 100)

    container.db.transact(
        lambda session: identity.unmerge(
            session, merge_id=merge_id, reason="a mistake", now=container.clock.now(), actor=OLGA
        )
    )
    assert [found["id"] for found in one.ok("GET", "/awards")["items"]] == [award["id"]]
    assert [found["id"] for found in other.ok("GET", "/awards")["items"]] == [others["id"]]


def test_one_phone_number_on_two_wechat_accounts_is_a_question_and_no_merge(shop: Shop) -> None:
    one, other = shop.shopper("13912349999").member(), shop.shopper("13912349999").member()
    one.win()
    assert one.give_phone().json() == other.give_phone().json() == {"phone_masked": "+86 139****9999"}

    assert other.ok("GET", "/awards")["items"] == []
    with shop.container.db.read() as session:
        assert len(open_conflicts(session)) == 1


def test_a_logged_out_token_is_worthless(shop: Shop) -> None:
    shopper = shop.shopper().member()
    assert shopper.get("/me").status_code == 200

    shopper.ok("DELETE", "/sessions/current")
    answer = shopper.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


def test_a_member_code_identifies_and_an_invitation_is_remembered(shop: Shop) -> None:
    inviter, friend = shop.shopper().member(), shop.shopper()
    till = inviter.ok("GET", "/me/code")
    invitation = inviter.ok("GET", "/me/code?purpose=invite")
    assert till["svg"].startswith("<svg")
    assert till["code"] != invitation["code"]
    friend.login()

    assert friend.get("/me/code").status_code == 409
    friend.join(inviter_code=invitation["code"])
    with shop.container.db.read() as session:
        joined = session.scalars(select(Member).where(Member.person_id == _person(friend))).one()
        assert (joined.manner, joined.inviter_person_id) == (JoinManner.REFERRAL, _person(inviter))


def test_an_ended_invitation_or_placement_keeps_nobody_out(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    till_code = shop.shopper().member().ok("GET", "/me/code")["code"]

    joined = shopper.join(inviter_code=till_code, placement="abcdefgh")
    assert joined["member"]["consent_is_current"] is True
