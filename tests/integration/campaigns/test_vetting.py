"""Risk at the draw: measured, judged by the rules in force, explained, and never with other odds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.campaigns.errors import CaptchaNeeded, DrawCapReached, DrawRefused, VerificationNeeded
from app.campaigns.models import CampaignVersion, Draw
from app.campaigns.play import Played, Visit
from app.campaigns.publication import CAPTCHA_CLAUSE
from app.campaigns.queries import verify_draw
from app.campaigns.risk_rules import switch_rules, try_policy
from app.campaigns.scan import scan
from app.codes.queries import print_pack
from app.identity import operations as identity
from app.identity.models import IdentitySource
from app.identity.queries import Principal
from app.identity.values import phone_claim
from app.kernel.actor import Actor, ActorKind
from app.rewards import operations as rewards
from app.rewards.models import AwardState
from app.risk.book import RiskBook
from app.risk.errors import CaptchaNotSetUp, NotPublished
from app.risk.lists import Level, ListKind, Step, SubjectKind
from app.risk.measures import Measure
from app.risk.models import Mode, RiskCounter
from app.risk.operations import put_on_list
from app.risk.policy import STANDARD, Policy, Rule
from app.risk.watch import hits, note_hit
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, pool
from tests.factories.people import EVERYTHING
from tests.factories.risk import switch_on
from tests.factories.store_world import StoreWorld
from tests.support.statements import statements

ONE_YUAN = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}
SHOP = Visit(address="36.112.9.7", address_region="310000")


@dataclass
class Street:
    """A world whose scans are counted, and whose draws risk looks at."""

    world: CampaignWorld
    book: RiskBook = field(default_factory=RiskBook)

    def rules(self, *rules: Rule, mode: Mode = Mode.ENFORCE, captchas: bool = False, **more: Any) -> None:
        """Save and switch on."""
        self.world.do(
            switch_on,
            brand_id=self.world.brand_id,
            rules=Policy(rules),
            mode=mode,
            captchas=captchas,
            **more,
        )
        self.book.forget()

    def observe(self) -> None:
        """Only measure."""
        brand = self.world.brand_id
        self.world.do(switch_rules, brand_id=brand, mode=Mode.OBSERVE, reason="look first", actor=OLGA)
        self.book.forget()

    def scan(self, who: Principal, index: int, visit: Visit = SHOP) -> int:
        """Scan a code, and have it counted."""

        def work(session: Session, now: Any) -> int:
            world = self.world
            code = print_pack(session, book=world.code_book, batch_id=world.batch_id, now=now).code(index)
            return scan(
                session,
                code_book=world.code_book,
                campaign_book=world.campaign_book,
                text=code,
                principal=who,
                now=now,
                region_hint=visit.address_region,
                address=visit.address,
                risk=self.book,
            ).result.scan_id

        return self.world.do(work)

    def draw(self, who: Principal, index: int, visit: Visit = SHOP) -> Played:
        """Scan and draw."""
        return self.world.play(who, self.scan(who, index, visit), visit=visit, risk=self.book)

    def facts(self, draw_id: int) -> dict[str, Any]:
        """What was kept with a draw."""
        return self.world.read(
            lambda session: session.scalars(select(Draw.facts).where(Draw.id == draw_id)).one()
        )


@pytest.fixture
def street(world: CampaignWorld) -> Street:
    world.run(**ONE_YUAN)
    return Street(world)


@pytest.fixture
def embedded_street(embedded_world: CampaignWorld) -> Street:
    embedded_world.run(**ONE_YUAN)
    return Street(embedded_world)


def show_phone(street: Street, who: Principal, number: str) -> None:
    street.world.do(
        identity.attach,
        person_id=who.person_id,
        identifiers=[phone_claim(number)],
        source=IdentitySource.PHONE_BUTTON,
        actor=Actor(ActorKind.PERSON, "shopper", who.person_id),
    )


@pytest.mark.parametrize("which", ["street", "embedded_street"])
def test_many_persons_in_one_neighbourhood_are_held(which: str, request: pytest.FixtureRequest) -> None:
    """A leaked pack: the draws go on with the published odds, what they win waits for a review."""
    street: Street = request.getfixturevalue(which)
    leaked = Rule("leaked", {Measure.RANGE_HOUR: 6, Measure.RANGE_PERSONS_HOUR: 4}, Level.HOLD)
    street.rules(leaked)
    states = []
    for number in range(8):
        played = street.draw(street.world.member(), 10 * number)
        assert played.award is not None
        states.append(played.award.state)
    assert states == [AwardState.COLLECTIBLE] * 5 + [AwardState.HELD] * 3
    assert played.award is not None
    assert played.award.reason == "leaked"
    # Elsewhere in the same batch nobody is touched.
    other = street.draw(street.world.member(), 9000)
    assert other.award is not None
    assert other.award.state is AwardState.COLLECTIBLE

    found = street.world.read(hits, brand_id=street.world.brand_id)
    assert [(hit.level, hit.enforced, hit.reasons) for hit in found] == [(Level.HOLD, True, ["leaked"])] * 3
    assert found[0].signals["range_hour"] == 8
    facts = street.facts(played.draw.id)
    assert (facts["level"], facts["reasons"]) == ("hold", ["leaked"])
    assert facts["signals"]["range_persons_hour"] >= 4
    assert facts["risk_policy"]
    assert street.world.read(verify_draw, draw_id=played.draw.id).mismatches == ()

    released = street.world.do(rewards.release, award_id=played.award.id, reason="a real shop", actor=OLGA)
    assert released.state is AwardState.COLLECTIBLE


def test_holding_changes_no_odds(street: Street) -> None:
    """Contract 13.6: a held draw gives exactly what it would have given."""
    free = street.draw(street.world.member(), 1)
    street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.HOLD))
    held = street.draw(street.world.member(), 2)
    assert (free.draw.prize, free.draw.amount_fen) == (held.draw.prize, held.draw.amount_fen)
    assert "level" in street.facts(free.draw.id)
    assert "signals" not in street.facts(free.draw.id)


def test_a_phone_is_the_step_that_verifies_and_a_virtual_one_is_none(street: Street) -> None:
    """RISK-08: verified by a phone of one's own; the code keeps its chance meanwhile."""
    street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.VERIFY))
    who, ringer = street.world.member(), street.world.member()
    with pytest.raises(VerificationNeeded) as asked:
        street.draw(who, 1)
    assert (asked.value.extra["step"], asked.value.extra["reasons"]) == ("phone", ["anybody"])
    show_phone(street, who, "13765432109")
    played = street.draw(who, 1)
    assert street.facts(played.draw.id)["signals"]["phone_fresh"] == 1
    show_phone(street, ringer, "17065432109")
    with pytest.raises(VerificationNeeded):
        street.draw(ringer, 2)
    assert asked.value.hit is not None
    street.world.do(lambda session, now: note_hit(session, hit=asked.value.hit))
    assert street.world.read(hits, brand_id=street.world.brand_id)[0].level is Level.VERIFY


SOLVED = replace(SHOP, captcha_passed=True)
ASKING = Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.VERIFY, Step.CAPTCHA)


def test_a_captcha_is_asked_for_and_solved_and_the_code_keeps_its_chance(street: Street) -> None:
    street.book = RiskBook(captchas=True)
    street.rules(ASKING, captchas=True)
    who = street.world.member()
    with pytest.raises(CaptchaNeeded) as asked:
        street.draw(who, 1)
    assert asked.value.extra == {"step": "captcha", "reasons": ["anybody"]}
    assert asked.value.hit is not None
    assert asked.value.hit.level is Level.VERIFY
    show_phone(street, who, "13765432109")
    with pytest.raises(CaptchaNeeded):
        street.draw(who, 1)
    played = street.draw(who, 1, SOLVED)
    facts = street.facts(played.draw.id)
    assert (facts["level"], facts["signals"]["captcha_passed"]) == ("pass", 1)
    assert "verified_captcha" in facts["reasons"]
    assert street.world.read(verify_draw, draw_id=played.draw.id).mismatches == ()


def test_whoever_may_not_draw_anyway_is_not_asked_for_a_captcha(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN, caps={"per_campaign": 1, "per_day": None})
    street = Street(world, RiskBook(captchas=True))
    street.rules(ASKING, captchas=True)
    who = street.world.member()
    street.draw(who, 1, SOLVED)
    with pytest.raises(DrawCapReached):
        street.draw(who, 2)


def test_without_an_account_captchas_cannot_be_enforced_and_the_phone_is_asked_for(street: Street) -> None:
    """A process that cannot check one never asks for one: nobody could go on."""
    with pytest.raises(CaptchaNotSetUp, match="SAOMA_CAPTCHA"):
        street.rules(ASKING)
    street.rules(ASKING, mode=Mode.OBSERVE)
    street.rules(ASKING, captchas=True)
    who = street.world.member()
    with pytest.raises(VerificationNeeded) as asked:
        street.draw(who, 1)
    assert asked.value.extra["step"] == "phone"
    show_phone(street, who, "13765432109")
    assert street.draw(who, 1).fresh


def test_captchas_are_enforced_where_the_published_text_names_them(street: Street) -> None:
    """Contract 14.1; texts of an earlier release speak of phones alone."""
    earlier = func.replace(CampaignVersion.text_zh, CAPTCHA_CLAUSE.zh, "")
    street.world.do(lambda session, now: session.execute(update(CampaignVersion).values(text_zh=earlier)))
    street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.VERIFY))
    with pytest.raises(NotPublished, match="captcha"):
        street.rules(ASKING, captchas=True)


def test_a_refusal_has_reasons_and_uses_up_nothing(street: Street) -> None:
    street.rules(Rule("rank_4", {Measure.WECHAT_RANK: 4}, Level.REFUSE))
    who = street.world.member()
    with pytest.raises(DrawRefused) as refused:
        street.draw(who, 1, Visit(rank=4, rank_asked=True))
    assert refused.value.extra["reasons"] == ["rank_4"]
    assert street.draw(who, 1, Visit(rank=3, rank_asked=True)).fresh


def test_consecutive_codes_and_hasty_scans_of_one_person_are_flagged(street: Street) -> None:
    """RISK-01, RISK-02."""
    street.rules(
        Rule("consecutive", {Measure.CONSECUTIVE_CODES: 3}, Level.HOLD),
        Rule("hasty", {Measure.HASTY_SCANS: 3}, Level.REFUSE),
    )
    who = street.world.member()
    states = []
    for index in (10, 11, 12):
        street.world.wait(seconds=10)
        award = street.draw(who, index).award
        assert award is not None
        states.append(award.state)
    assert states == [AwardState.COLLECTIBLE, AwardState.COLLECTIBLE, AwardState.HELD]
    for index in (400, 300):
        street.draw(who, index)
    with pytest.raises(DrawRefused) as refused:
        street.draw(who, 200)
    assert refused.value.extra["reasons"] == ["hasty"]


def test_store_staff_who_take_in_a_pallet_are_no_collectors(street: Street) -> None:
    """Forty cases in a row, a second each; then they draw with a bottle of their own, and with the cases."""
    world = street.world
    stores = StoreWorld.build(world)
    how = {"conditions": {}, "how": {"zh": "扫箱码", "en": "Scan a case"}, "codes": "case"}
    world.run("cases", **ONE_YUAN, participation=how)
    street.rules(*STANDARD.rules, Rule("phone_day_low", {Measure.PHONE_DAY: 10}, Level.REFUSE))
    clerk = stores.staff("S-1")
    show_phone(street, clerk, "13765432109")
    scans = []
    for case in range(40):
        world.wait(seconds=1)
        scans.append(stores.scan(clerk, case).result.scan_id)
    for scan_id in [street.scan(clerk, 7), *scans[:10]]:
        played = world.play(clerk, scan_id, visit=SHOP, risk=street.book)
        assert played.award is not None
        assert played.award.state is AwardState.COLLECTIBLE
        signals = street.facts(played.draw.id)["signals"]
        assert signals["person_hour"] == 1
        assert not {"consecutive_codes", "hasty_scans"} & set(signals)
        assert signals.get("person_day", 0) <= 1, "draws of cases do not count"
    assert street.world.read(hits, brand_id=world.brand_id) == []


def test_all_accounts_of_one_human_being_count_together(street: Street) -> None:
    street.rules(Rule("day", {Measure.PERSON_DAY: 2}, Level.REFUSE))
    one, two = street.world.member(), street.world.member()
    street.draw(one, 1)
    street.draw(two, 50)
    street.world.do(
        identity.merge,
        person_id=one.person_id,
        other_id=two.person_id,
        reason="one",
        although=EVERYTHING,
        actor=OLGA,
    )
    merged = Principal(two.person_id, one.root_id, two.app_id, None, False, two.session_id)
    with pytest.raises(DrawRefused):
        street.draw(merged, 90)


def test_a_white_person_is_not_asked_anything(street: Street) -> None:
    street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.REFUSE))
    tester = street.world.member()
    street.world.do(
        put_on_list,
        kind=ListKind.WHITE,
        subject_kind=SubjectKind.PERSON,
        subject=str(tester.person_id),
        reason="tester",
        actor=OLGA,
    )
    assert street.draw(tester, 1).fresh
    assert street.world.read(hits, brand_id=street.world.brand_id) == []


def test_observing_notes_and_touches_nobody(street: Street) -> None:
    street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.REFUSE), mode=Mode.OBSERVE)
    played = street.draw(street.world.member(), 1)
    assert played.award is not None
    assert played.award.state is AwardState.COLLECTIBLE
    (hit,) = street.world.read(hits, brand_id=street.world.brand_id)
    assert (hit.level, hit.enforced) == (Level.REFUSE, False)


def test_rules_are_tried_on_draws_that_were(street: Street) -> None:
    """How many would it have hit, with examples, before anything is switched on."""
    street.draw(street.world.member(), 0)  # before anything was measured
    street.observe()
    who = street.world.member()
    for number in range(1, 6):
        street.draw(who, 100 * number)
    since = street.world.clock.now()
    policy = Policy((Rule("often", {Measure.PERSON_DAY: 3}, Level.HOLD),))
    trial = street.world.read(try_policy, policy=policy, brand_id=street.world.brand_id, since=since)
    assert (trial.draws, trial.unmeasured) == (6, 1)
    assert trial.levels == {Level.PASS: 3, Level.HOLD: 2}
    assert trial.rules == {"often": (2, 1)}
    assert trial.amount_fen == 200
    example = trial.examples["often"][0]
    assert (example.person_id, example.code_index) == (who.person_id, 400)
    assert [phrase.en for phrase in example.said] == ["3 draws by this person today"]
    street.world.wait(days=1)
    later = street.world.clock.now()
    assert (
        street.world.read(try_policy, policy=policy, brand_id=street.world.brand_id, since=later).draws == 0
    )


def test_nothing_is_enforced_that_was_not_published(street: Street) -> None:
    """Contract 14.1: what may happen to a draw stands in the published rules."""
    street.world.do(lambda session, now: session.execute(update(CampaignVersion).values(text_zh="旧")))
    with pytest.raises(NotPublished, match="june"):
        street.rules(Rule("anybody", {Measure.PERSON_HOUR: 1}, Level.HOLD))
    street.observe()
    assert street.draw(street.world.member(), 1).fresh


def test_codes_that_are_not_shipped_burn_nothing_and_count_nothing(street: Street) -> None:
    """RISK-04: a factory's scans are abnormal, use up nothing, and make no neighbourhood suspicious."""
    street.observe()
    world = street.world
    world.do(lambda session, now: session.execute(text("UPDATE code_batches SET needs_shipping = 1")))
    street.scan(world.member(), 1)
    assert world.read(lambda session: session.scalars(select(RiskCounter)).all()) == []
    assert world.read(lambda session: session.scalars(text("SELECT outcome FROM scans")).all()) == [
        "not_shipped"
    ]


def _sent(street: Street, act: Any) -> Sequence[str]:
    with statements(street.world.db.engine, framing=False) as seen:
        act()
    return seen


def test_risk_costs_one_statement_a_scan_and_one_a_draw(street: Street) -> None:
    who = street.world.member()
    street.draw(who, 1)
    bare_scan = _sent(street, lambda: street.scan(who, 500))
    bare = _sent(street, lambda: street.draw(who, 600))
    street.rules(Rule("never", {Measure.PERSON_DAY: 10_000}, Level.HOLD))
    street.draw(who, 700)
    assert len(_sent(street, lambda: street.scan(who, 800))) == len(bare_scan) + 1
    assert len(_sent(street, lambda: street.draw(who, 900))) == len(bare) + 2


def test_a_captcha_costs_the_draw_no_statement(street: Street) -> None:
    street.book = RiskBook(captchas=True)
    street.rules(Rule("anybody", {Measure.PERSON_DAY: 10_000}, Level.VERIFY, Step.CAPTCHA), captchas=True)
    who = street.world.member()
    street.draw(who, 1)
    plain = _sent(street, lambda: street.draw(who, 500))
    assert len(_sent(street, lambda: street.draw(who, 600, SOLVED))) == len(plain)
