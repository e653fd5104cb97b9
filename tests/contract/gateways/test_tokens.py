"""The token provider against the sandbox, which counts the fetches, on MariaDB and on SQLite."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app.db import secrets
from app.db.engine import Database, db_now
from app.gateways import tokens as tokens_module
from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.models import PlatformToken, TokenKind
from app.gateways.tokens import FetchedToken, TokenFetch, TokenProvider
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials
from tests.support.sandbox import SandboxProcess

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "/cgi-bin/stable_token"
STABLE = TokenKind.STABLE


@pytest.fixture(params=["mariadb", "sqlite"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each test on both databases."""
    name = "clean_db" if request.param == "mariadb" else "sqlite_db"
    found: Database = request.getfixturevalue(name)
    return found


@pytest.fixture
def fetch(api: WeChatApi, app: AppCredentials) -> TokenFetch:
    return partial(fetch_stable_token, api, app)


def _mark(sandbox: SandboxProcess) -> int:
    exchanges = sandbox.exchanges()
    return int(exchanges[-1]["id"]) if exchanges else 0


def _fetches(sandbox: SandboxProcess, after: int) -> int:
    return sum(1 for exchange in sandbox.exchanges(after) if exchange["url"] == TOKEN)


def _row(database: Database, account: str) -> PlatformToken:
    with database.read() as session:
        row = session.get(PlatformToken, (account, STABLE))
        assert row is not None
        session.expunge(row)
        return row


def _shift(database: Database, account: str, **moments: float) -> None:
    """Set moments of the row to so many seconds from the database's now."""

    def work(session: Session) -> None:
        now = db_now(session)
        values = {name: now + timedelta(seconds=seconds) for name, seconds in moments.items()}
        session.execute(update(PlatformToken).where(PlatformToken.account == account).values(values))

    database.transact(work)


class Counted:
    """A platform that answers from a list, and counts."""

    def __init__(self, *answers: FetchedToken | PlatformFault) -> None:
        self.answers = list(answers)
        self.forced: list[bool] = []

    def __call__(self, force: bool) -> FetchedToken:
        self.forced.append(force)
        answer = self.answers.pop(0)
        if isinstance(answer, PlatformFault):
            raise answer
        return answer


def _token(name: str, lifetime: int = 7200) -> FetchedToken:
    return FetchedToken(name, lifetime)


# One fetch


def test_many_threads_fetch_once(
    sandbox: SandboxProcess, app: AppCredentials, database: Database, fetch: TokenFetch
) -> None:
    sandbox.fault(TOKEN, "latency", latency_ms=300)
    mark = _mark(sandbox)
    provider = TokenProvider(database)
    start = threading.Barrier(24)

    def ask(_: int) -> str:
        start.wait()
        return provider.token(app.appid, STABLE, fetch)

    with ThreadPoolExecutor(24) as pool:
        got = set(pool.map(ask, range(24)))
    assert len(got) == 1
    assert _fetches(sandbox, mark) == 1


def _ask_from_separate_providers(
    database: Database, app: AppCredentials, fetch: TokenFetch, *, providers: int, lease_seconds: float
) -> set[str]:
    """As if each provider were a process of its own: nothing but the database is shared."""
    start = threading.Barrier(providers)

    def ask(_: int) -> str:
        provider = TokenProvider(database, lease_seconds=lease_seconds)
        start.wait()
        return provider.token(app.appid, STABLE, fetch)

    with ThreadPoolExecutor(providers) as pool:
        return set(pool.map(ask, range(providers)))


def test_separate_providers_fetch_once(
    sandbox: SandboxProcess, app: AppCredentials, database: Database, fetch: TokenFetch
) -> None:
    sandbox.fault(TOKEN, "latency", latency_ms=300)
    mark = _mark(sandbox)
    got = _ask_from_separate_providers(database, app, fetch, providers=6, lease_seconds=25)
    assert len(got) == 1
    assert _fetches(sandbox, mark) == 1


def test_without_the_lease_they_fetch_several_times(
    sandbox: SandboxProcess, app: AppCredentials, database: Database, fetch: TokenFetch
) -> None:
    # The guard of the test above, taken out: a lease of no length excludes nobody.
    sandbox.fault(TOKEN, "latency", latency_ms=300)
    mark = _mark(sandbox)
    _ask_from_separate_providers(database, app, fetch, providers=6, lease_seconds=0)
    assert _fetches(sandbox, mark) > 1


PROCESS = """
import sys, threading
from app.db import secrets
from app.db.engine import Database
from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.identity.interfaces import AppCredentials

url, sandbox_url, appid, secret = sys.argv[1:]
secrets.bind(secrets.KeyRing({1: bytes(range(32))}))
provider = TokenProvider(Database(url))
api, app = WeChatApi(sandbox_url), AppCredentials(appid, secret)
got, start = [], threading.Barrier(9)

def ask():
    start.wait()
    got.append(provider.token(appid, TokenKind.STABLE, lambda force: fetch_stable_token(api, app, force)))

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
start.wait()
for thread in threads:
    thread.join()
print(" ".join(got))
"""


def test_two_processes_with_eight_threads_each_fetch_once(
    sandbox: SandboxProcess, app: AppCredentials, clean_db: Database
) -> None:
    sandbox.fault(TOKEN, "latency", latency_ms=500)
    mark = _mark(sandbox)
    url = clean_db.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", PROCESS, url, sandbox.base_url, app.appid, app.secret]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=30)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [len(output) for output in outputs] == [8, 8]
    assert len({token for output in outputs for token in output}) == 1
    assert _fetches(sandbox, mark) == 1


def test_a_token_is_kept_sealed(
    sandbox: SandboxProcess, app: AppCredentials, database: Database, fetch: TokenFetch
) -> None:
    token = TokenProvider(database).token(app.appid, STABLE, fetch)
    with database.read() as session:
        stored = session.execute(
            text("SELECT token FROM platform_tokens WHERE account = :a"), {"a": app.appid}
        ).scalar_one()
    assert token.encode() not in bytes(stored)
    assert _row(database, app.appid).token == token


# Refresh


def test_a_token_is_refreshed_before_it_ends_while_the_old_one_serves(database: Database) -> None:
    platform = Counted(_token("t1"), _token("t2"))
    assert TokenProvider(database).token("wx1", STABLE, platform) == "t1"
    _shift(database, "wx1", refresh_at=-1, expires_at=200)

    inside: list[str] = []

    def fetch_and_look(force: bool) -> FetchedToken:
        # While this fetch is under way, another process still gets the old token, at once.
        inside.append(TokenProvider(database, wait_seconds=0).token("wx1", STABLE, platform))
        return platform(force)

    assert TokenProvider(database).token("wx1", STABLE, fetch_and_look) == "t2"
    assert inside == ["t1"]
    assert platform.forced == [False, False]


def test_the_first_refresh_falls_into_the_last_minutes(database: Database) -> None:
    TokenProvider(database).token("wx1", STABLE, Counted(_token("t1", 7200)))
    row = _row(database, "wx1")
    assert row.expires_at is not None
    assert row.refresh_at is not None
    assert row.expires_at - row.refresh_at == timedelta(seconds=240)


def test_a_token_with_little_life_left_is_not_fetched_at_every_call(database: Database) -> None:
    platform = Counted(_token("t1", 60), _token("t2", 60))
    provider = TokenProvider(database)
    assert [provider.token("wx1", STABLE, platform) for _ in range(3)] == ["t1", "t1", "t1"]


def test_an_ended_token_is_not_used(database: Database) -> None:
    platform = Counted(_token("t1"), _token("t2"))
    TokenProvider(database).token("wx1", STABLE, platform)
    _shift(database, "wx1", refresh_at=-300, expires_at=5)
    assert TokenProvider(database).token("wx1", STABLE, platform) == "t2"


def test_a_failed_refresh_leaves_the_old_token_in_use_and_is_not_repeated_at_once(database: Database) -> None:
    platform = Counted(_token("t1"), PlatformFault("timeout"), _token("t2"))
    TokenProvider(database).token("wx1", STABLE, platform)
    _shift(database, "wx1", refresh_at=-1, expires_at=200)
    provider = TokenProvider(database)
    assert [provider.token("wx1", STABLE, platform) for _ in range(3)] == ["t1", "t1", "t1"]
    assert len(platform.forced) == 2
    _shift(database, "wx1", cooling_until=-1)
    assert provider.token("wx1", STABLE, platform) == "t2"


# Failure


def test_a_failure_is_told_to_all_who_ask_for_a_moment(database: Database) -> None:
    platform = Counted(PlatformFault("refused", 40164), _token("t1"))
    for _ in range(3):
        with pytest.raises(PlatformFault) as caught:
            TokenProvider(database).token("wx1", STABLE, platform)
        assert (caught.value.reason, caught.value.errcode) == ("refused", 40164)
    assert len(platform.forced) == 1
    _shift(database, "wx1", cooling_until=-1)
    assert TokenProvider(database).token("wx1", STABLE, platform) == "t1"
    row = _row(database, "wx1")
    assert (row.failure, row.failure_errcode, row.cooling_until) == (None, None, None)


def test_whoever_waits_for_a_dead_fetcher_gives_up_and_its_lease_runs_out(database: Database) -> None:
    class Killed(BaseException):
        pass

    def die(force: bool) -> FetchedToken:
        raise Killed

    with pytest.raises(Killed):
        TokenProvider(database).token("wx1", STABLE, die)
    with pytest.raises(PlatformFault, match="timeout"):
        TokenProvider(database, wait_seconds=0.2).token("wx1", STABLE, Counted())
    _shift(database, "wx1", lease_until=-1)
    assert TokenProvider(database).token("wx1", STABLE, Counted(_token("t1"))) == "t1"


def test_a_late_result_does_not_overwrite_a_newer_one(database: Database) -> None:
    def slow(force: bool) -> FetchedToken:
        _shift(database, "wx1", lease_until=-1)
        assert TokenProvider(database).token("wx1", STABLE, Counted(_token("newer"))) == "newer"
        return _token("late")

    assert TokenProvider(database).token("wx1", STABLE, slow) == "late"
    assert _row(database, "wx1").token == "newer"

    def slow_and_failing(force: bool) -> FetchedToken:
        _shift(database, "wx1", lease_until=-1)
        TokenProvider(database).token("wx1", STABLE, Counted(_token("newest")))
        raise PlatformFault("timeout")

    _shift(database, "wx1", refresh_at=-300, expires_at=0)
    with pytest.raises(PlatformFault):
        TokenProvider(database).token("wx1", STABLE, slow_and_failing)
    row = _row(database, "wx1")
    assert (row.token, row.cooling_until, row.failure) == ("newest", None, None)


def test_a_retired_master_key_costs_one_fetch(
    database: Database, keyring: secrets.KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenProvider(database).token("wx1", STABLE, Counted(_token("t1")))
    monkeypatch.setattr(secrets, "_ring", secrets.KeyRing({2: bytes(32)}))
    assert TokenProvider(database).token("wx1", STABLE, Counted(_token("t2"))) == "t2"
    assert TokenProvider(database).token("wx1", STABLE, Counted()) == "t2"


# Rejection


def test_fifty_rejections_of_one_token_lead_to_one_fetch(
    sandbox: SandboxProcess, app: AppCredentials, database: Database, fetch: TokenFetch
) -> None:
    provider = TokenProvider(database)
    dead = provider.token(app.appid, STABLE, fetch)
    fetch_stable_token(WeChatApi(sandbox.base_url), app, force=True)  # by another program
    sandbox.fault(TOKEN, "latency", latency_ms=200)
    mark = _mark(sandbox)

    def meet_40001(number: int) -> str:
        mine = provider if number % 2 else TokenProvider(database)
        mine.reject(app.appid, STABLE, dead)
        return mine.token(app.appid, STABLE, fetch)

    with ThreadPoolExecutor(12) as pool:
        got = set(pool.map(meet_40001, range(50)))
    assert len(got) == 1
    assert dead not in got
    assert _fetches(sandbox, mark) == 1
    assert _row(database, app.appid).forced_at == []


def test_a_late_rejection_of_an_old_token_does_nothing(database: Database) -> None:
    platform = Counted(_token("t1"), _token("t2"))
    provider = TokenProvider(database)
    provider.token("wx1", STABLE, platform)
    provider.reject("wx1", STABLE, "t1")
    assert provider.token("wx1", STABLE, platform) == "t2"
    for late in (provider, TokenProvider(database)):
        late.reject("wx1", STABLE, "t1")
        late.reject("wx1", STABLE, "never seen")
        assert late.token("wx1", STABLE, Counted()) == "t2"


def test_a_reader_from_before_the_rejection_does_not_bring_the_dead_token_back(database: Database) -> None:
    provider = TokenProvider(database)
    provider.token("wx1", STABLE, Counted(_token("t1")))
    provider.reject("wx1", STABLE, "t1")
    # A thread that had read the row earlier finishes only now.
    provider._slot("wx1", STABLE).hold(tokens_module._Holding("t1", 100, 100))
    assert provider.token("wx1", STABLE, Counted(_token("t2"))) == "t2"


def test_a_refresh_is_forced_only_when_the_platform_insists_on_the_dead_token(database: Database) -> None:
    platform = Counted(_token("t1"), _token("t1"), _token("t2"))
    provider = TokenProvider(database)
    provider.token("wx1", STABLE, platform)
    provider.reject("wx1", STABLE, "t1")
    assert provider.token("wx1", STABLE, platform) == "t2"
    assert platform.forced == [False, False, True]
    assert len(_row(database, "wx1").forced_at) == 1


def test_forced_refreshes_keep_their_distance(database: Database) -> None:
    platform = Counted(_token("t1"), _token("t1"), _token("t2"), _token("t2"), _token("t2"), _token("t3"))
    provider = TokenProvider(database)
    provider.token("wx1", STABLE, platform)
    provider.reject("wx1", STABLE, "t1")
    assert provider.token("wx1", STABLE, platform) == "t2"
    provider.reject("wx1", STABLE, "t2")
    with pytest.raises(PlatformFault, match="still_refused"):
        provider.token("wx1", STABLE, platform)
    assert platform.forced == [False, False, True, False]

    def work(session: Session) -> None:
        row = session.get(PlatformToken, ("wx1", STABLE))
        assert row is not None
        row.forced_at = [at - 60 for at in row.forced_at]

    database.transact(work)
    _shift(database, "wx1", cooling_until=-1)
    assert provider.token("wx1", STABLE, platform) == "t3"
    assert platform.forced == [False, False, True, False, False, True]


def test_the_platform_itself_agrees_with_the_limits(app: AppCredentials, database: Database) -> None:
    with SandboxProcess(limits=True) as strict:
        strict.create_app(app.appid, app.secret)
        api = WeChatApi(strict.base_url)
        provider = TokenProvider(database)
        fetch: Callable[[bool], FetchedToken] = partial(fetch_stable_token, api, app)
        token = provider.token(app.appid, STABLE, fetch)
        # The platform refuses a token that it hands out: what a forced refresh is for.
        provider.reject(app.appid, STABLE, token)
        fresh = provider.token(app.appid, STABLE, fetch)
        assert fresh != token
        provider.reject(app.appid, STABLE, fresh)
        with pytest.raises(PlatformFault, match="still_refused"):
            provider.token(app.appid, STABLE, fetch)
        # We stopped ourselves; the platform had nothing to refuse.
        answers = [exchange["response"] for exchange in strict.exchanges() if exchange["url"] == TOKEN]
        assert all("access_token" in answer for answer in answers)
