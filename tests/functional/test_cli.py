"""An operator sets a brand up from the shell, and is told in one line what is wrong and what to do."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.main import saoma
from app.db import secrets
from app.db.secrets import KeyRing
from tests.factories.campaigns import document, money
from tests.support.operators import approval, enter, operators_environment, second

Saoma = Callable[..., Result]


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saoma:
    """Runs the command on an installation of its own; `ok=False` expects a refusal in one line."""
    key = base64.b64encode(bytes(range(32))).decode()
    environment = {
        "SAOMA_DATA": str(tmp_path),
        "SAOMA_DATABASE_URL": sqlite_url,
        "SAOMA_MASTER_KEYS": f"1:{key}",
        "SAOMA_CODE_KEY": key,
        "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
        "SAOMA_PUBLIC_URL": "https://m.example.com",
        **operators_environment(tmp_path),
        "APP_SECRET": "s" * 32,
        "APIV3": "k" * 32,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        # The command binds the installation's key ring; the tests' own is the same key.
        secrets.bind(KeyRing({1: bytes(range(32))}))
        if ok:
            assert result.exit_code == 0, result.output
        else:
            assert result.exit_code == 2, result.output
            assert result.stderr.strip().splitlines()[-1].startswith("saoma: ")
            assert "Traceback" not in result.output
        return result

    enter(call)
    return call


@pytest.fixture
def as_peter(run: Saoma, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Saoma:
    """The command as a second person with every role, signed in beside the first one."""
    return second(run, tmp_path, monkeypatch)


@pytest.fixture
def brand(run: Saoma) -> Saoma:
    """The command, with a brand, a product and a batch of a thousand codes."""
    run("brands", "add", "tea", "--zh", "茶", "--en", "Tea")
    run(
        "products",
        "add",
        "tea",
        "OOLONG",
        "--line",
        "classic",
        "--zh",
        "乌龙",
        "--en",
        "Oolong",
        "--tag",
        "hot",
    )
    run("batches", "create", "tea", "OOLONG", "--lot", "L1", "--size", "1000", "--under-cap")
    return run


def _pem_files(folder: Path) -> tuple[Path, Path]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def _add_payer(run: Saoma, folder: Path) -> None:
    private, public = _pem_files(folder)
    run("apps", "add", "wx1234567890abcdef", "--secret-env", "APP_SECRET")
    arguments = ["1900000001", "--name", "Head office", "--serial", "5B" * 20, "--private-key", str(private)]
    arguments += ["--apiv3-env", "APIV3", "--public-key-id", "PUB_KEY_ID_1", "--public-key", str(public)]
    arguments += ["--app", "wx1234567890abcdef", "--max", "200"]
    run("payers", "add", *arguments, "--report", "活动名称=扫码有礼", "--report", "奖励说明=红包")


def test_a_payer_of_red_packets_and_what_is_said_of_it(
    brand: Saoma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add_payer(brand, tmp_path)
    monkeypatch.setenv("APIV2", "0" * 32)
    certificate = tmp_path / "apiclient_cert.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    more = ["1900000002", "--name", "Old number", "--serial", "5B" * 20, "--max", "200"]
    more += ["--private-key", str(tmp_path / "private.pem"), "--public-key", str(tmp_path / "public.pem")]
    more += ["--apiv3-env", "APIV3", "--public-key-id", "PUB_KEY_ID_1", "--app", "wx1234567890abcdef"]
    for name in ("send_name", "wishing", "act_name", "client_ip"):
        more += ["--report", f"{name}=1.2.3.4"]
    packets = ["--method", "red_packet", "--certificate", str(certificate)]
    assert "APIv2 key" in brand("payers", "add", *more, *packets, ok=False).stderr
    brand("payers", "add", *more, *packets, "--apiv2-env", "APIV2")
    listed = json.loads(brand("payers", "list", "--json").stdout)
    assert [payer["method"] for payer in listed] == ["transfer", "red_packet"]

    brand("campaigns", "create", "tea/june", "--payer", "1900000001")
    assert "closed to new merchants" in brand("campaigns", "payer", "tea/june", "1900000002").stdout
    assert "closed" not in brand("campaigns", "payer", "tea/june", "1900000001").stdout

    brand("apps", "add", "wxservice00000001", "--kind", "service", "--secret-env", "APP_SECRET")
    assert (
        "registered as a service"
        in brand("apps", "add", "wxservice00000001", "--secret-env", "APP_SECRET", ok=False).stderr
    )
    service = [*more, "--method", "service_red_packet", "--certificate", str(certificate)]
    service = ["1900000003", *service[1:], "--apiv2-env", "APIV2"]
    assert "one service account" in brand("payers", "add", *service, ok=False).stderr
    service[service.index("--app") + 1] = "wxservice00000001"
    brand("payers", "add", *service)
    assert "closed to new merchants" in brand("campaigns", "payer", "tea/june", "1900000003").stdout


def test_codes_from_the_order_to_the_emergency_stop(brand: Saoma, tmp_path: Path) -> None:
    brand("batches", "activate", "1")
    brand("batches", "ship", "1", "--region", "310000", "--last", "499", "--attribute", "channel=mart")
    brand("batches", "freeze", "1", "--first", "10", "--last", "19", "--reason", "stolen")
    brand("batches", "unfreeze", "1", "--first", "10", "--last", "19", "--reason", "found")
    (batch,) = json.loads(brand("batches", "list", "--json").stdout)
    assert batch["size"] == 1000
    brand("packs", "csv", "1", "--into", str(tmp_path / "packs"))
    (manifest,) = (tmp_path / "packs").glob("*.manifest.json")
    assert json.loads(manifest.read_text())["files"][0]["rows"] == 1000
    brand("packs", "pictures", "1", "svg", "--count", "3", "--into", str(tmp_path / "pictures"))
    assert list((tmp_path / "pictures").glob("*.zip"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["batches", "activate", "9"], "unknown_batch"),
        (["batches", "ship", "1", "--region", "shanghai"], "invalid_range"),
        (["batches", "freeze", "1", "--first", "5", "--last", "4", "--reason", "x"], "invalid_range"),
        (["brands", "add", "tea", "--zh", "茶", "--en", "Tea"], "brand_exists"),
        (["brands", "add", "Not A Slug", "--zh", "茶", "--en", "Tea"], "invalid_slug"),
        (["products", "list", "nobody"], "unknown_brand"),
        (["persons", "show", "pe_aaaaaaaaaaaaa"], "not_found"),
        (["draws", "verify", "rubbish"], "not_found"),
        (["outbox", "replay", "1"], "unknown_message"),
        (["payers", "pause", "1900000009", "--reason", "x"], "unknown_payer"),
        (["campaigns", "stop", "tea/none", "--reason", "x"], "unknown_campaign"),
    ],
)
def test_a_refusal_is_one_line_with_a_code(brand: Saoma, arguments: list[str], code: str) -> None:
    result = brand(*arguments, ok=False)
    assert f"[{code}]" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_faulty_settings_are_all_named(run: Saoma, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAOMA_PORT", "none")
    monkeypatch.delenv("SAOMA_CODE_KEY")
    said = run("brands", "list", ok=False).stderr
    assert "SAOMA_PORT" in said
    assert "SAOMA_CODE_KEY" in said


def test_a_campaign_from_the_rules_file_to_the_end(brand: Saoma, tmp_path: Path, as_peter: Saoma) -> None:
    _add_payer(brand, tmp_path)
    brand("campaigns", "create", "tea/june", "--payer", "1900000001")
    rules = document(
        period={"starts_at": "2026-01-01T00:00:00+08:00", "ends_at": "2099-01-01T00:00:00+08:00"}
    )
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules), encoding="utf-8")
    brand("campaigns", "save", "tea/june", str(file))
    start = ["campaigns", "publish", "tea/june", "--reason", "the June plan"]
    assert "budget" in brand(*start, ok=False).stderr
    brand("campaigns", "fund", "tea/june", "1000.50", "--reference", "PO-1")
    again = brand("campaigns", "fund", "tea/june", "1000.50", "--reference", "PO-1", ok=False)
    assert "[already_posted]" in again.stderr
    brand("campaigns", "payer", "tea/june", "1900000001")
    as_peter(*approval(brand(*start).stdout))
    more = ["campaigns", "fund", "tea/june", "10", "--reference", "PO-2"]
    assert "[invalid_approval]" in brand(*more, ok=False).stderr
    as_peter(*approval(brand(*more, "--reason", "more shops").stdout))
    out = ["campaigns", "fund", "tea/june", "--out", "--reason", "a cheaper print", "--reference"]
    refused = brand(*out, "PO-3", "1010.50", ok=False)
    assert "[campaign_promise_not_backed]" in refused.stderr
    proposed = brand(*out, "PO-2-back", "10").stdout
    assert "PO-2-back" in brand("campaigns", "outflows", "tea/june").stdout
    assert "[second_account_needed]" in brand(*approval(proposed), ok=False).stderr
    as_peter(*approval(proposed))
    (_, _, number, _) = approval(brand(*out, "PO-4", "10").stdout)
    assert (
        "[not_your_proposal]" in as_peter("approvals", "withdraw", number, "--reason", "x", ok=False).stderr
    )
    brand("approvals", "withdraw", number, "--reason", "a dearer print")
    assert json.loads(brand("campaigns", "outflows", "tea/june", "--json").stdout) == []
    left = {
        row["what"]: row["left"]
        for row in json.loads(brand("campaigns", "show", "tea/june", "--json").stdout)
    }
    assert left["budget"] == 100_050
    brand("campaigns", "stop", "tea/june", "--reason", "pack stolen")
    brand("campaigns", "resume", "tea/june", "--reason", "found")
    actions = [
        row["action"] for row in json.loads(brand("campaigns", "history", "tea/june", "--json").stdout)
    ]
    before = ["published", "payer_chosen", "funded", "saved", "created"]
    assert actions == [
        "resumed",
        "stopped",
        "withdrawn",
        "proposed",
        "defunded",
        "proposed",
        "funded",
        *before,
    ]
    assert "0 draws checked, 0 differences" in brand("draws", "verify", "--campaign", "tea/june").stdout


def test_a_campaign_over_another_one_needs_a_second_operator(
    brand: Saoma, tmp_path: Path, as_peter: Saoma
) -> None:
    _add_payer(brand, tmp_path)
    period = {"starts_at": "2026-01-01T00:00:00+08:00", "ends_at": "2099-01-01T00:00:00+08:00"}
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(document(period=period)), encoding="utf-8")
    for name in ("tea/june", "tea/cheap"):
        brand("campaigns", "create", name, "--payer", "1900000001")
        brand("campaigns", "save", name, str(file))
        brand("campaigns", "fund", name, "1000", "--reference", "PO-1")
    plan = ["--reason", "the plan"]
    as_peter(*approval(brand("campaigns", "publish", "tea/june", *plan).stdout))
    said = brand("campaigns", "publish", "tea/cheap", "--reason", " ", ok=False).stderr
    assert "overlaps.june" in said
    assert "with a reason, and another operator approves it" in said
    proposed = brand("campaigns", "publish", "tea/cheap", "--reason", "new budget").stdout
    assert "needs approval: overlaps.june" in proposed
    assert "[second_account_needed]" in brand(*approval(proposed), ok=False).stderr
    assert "campaign tea/cheap: done" in as_peter(*approval(proposed)).stdout


def test_a_change_against_shoppers_needs_a_second_operator(
    brand: Saoma, tmp_path: Path, as_peter: Saoma
) -> None:
    _add_payer(brand, tmp_path)
    brand("campaigns", "create", "tea/june", "--payer", "1900000001")
    period = {"starts_at": "2026-01-01T00:00:00+08:00", "ends_at": "2099-01-01T00:00:00+08:00"}
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(document(period=period)), encoding="utf-8")
    brand("campaigns", "save", "tea/june", str(file))
    brand("campaigns", "fund", "tea/june", "1000", "--reference", "PO-1")
    as_peter(*approval(brand("campaigns", "publish", "tea/june", "--reason", "plan").stdout))
    worse = document(period=period)
    worse["prizes"][0] = money("yuan", 50)
    file.write_text(json.dumps(worse), encoding="utf-8")
    assert "against shoppers" in brand("campaigns", "save", "tea/june", str(file)).stdout
    brand("campaigns", "change", "tea/june", ok=False)
    proposed = brand("campaigns", "change", "tea/june", "--reason", "price").stdout
    as_peter("approvals", "refuse", approval(proposed)[2], "--reason", "not now")
    proposed = brand("campaigns", "change", "tea/june", "--reason", "price").stdout
    (waiting,) = json.loads(brand("approvals", "list", "--json").stdout)
    assert (waiting["kind"], waiting["on"], waiting["by"]) == ("campaign.change", "campaign tea/june", "olga")
    assert "[second_account_needed]" in brand(*approval(proposed), ok=False).stderr
    as_peter(*approval(proposed))
    history = json.loads(brand("campaigns", "history", "tea/june", "--json").stdout)
    assert (history[0]["action"], history[0]["version"], history[0]["by"]) == ("changed", 2, "peter")
    assert json.loads(brand("approvals", "list", "--json").stdout) == []


def test_faulty_rules_are_listed(brand: Saoma, tmp_path: Path) -> None:
    brand("campaigns", "create", "tea/june")
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(document(market="atlantis", prizes=[], surprise=1)), encoding="utf-8")
    said = brand("campaigns", "save", "tea/june", str(file), ok=False).stderr
    for path in ("market", "prizes", "surprise"):
        assert path in said
    file.write_text("{", encoding="utf-8")
    assert "not JSON" in brand("campaigns", "save", "tea/june", str(file), ok=False).stderr


def test_lists_are_kept_and_masked(brand: Saoma) -> None:
    put = ["put", "black", "phone", "13800138000", "--reason", "ring", "--effect", "refuse", "--days", "90"]
    entry = brand("lists", *put).stdout.split()[-1]
    (row,) = json.loads(brand("lists", "show", "--json").stdout)
    assert row["effect"] == "refuse"
    assert "38001380" not in row["subject"]
    brand("lists", "remove", entry)
    assert brand("lists", "show").stdout.strip() == "none"


def test_the_doctor_says_what_to_do(brand: Saoma, tmp_path: Path) -> None:
    said = brand("doctor", ok=False)
    assert "saoma policies publish" in said.stdout
    policy = tmp_path / "policy.txt"
    policy.write_text("privacy", encoding="utf-8")
    brand("policies", "publish", "2026-11", "--zh", str(policy), "--en", str(policy))
    picture = tmp_path / "till.svg"
    said = brand("placements", "add", "till", "Till 3", "--store", "SH-017", "--svg", str(picture)).stdout
    assert said.startswith("https://m.example.com/p/")
    assert picture.read_text().startswith("<svg")
    assert "✓ privacy policy: 2026-11" in brand("doctor", ok=False).stdout


def test_every_command_explains_itself(run: Saoma) -> None:
    for name, group in saoma.commands.items():
        said = run(name, "--help").stdout
        if name != "doctor":
            assert "Example" in said, name
        for command in getattr(group, "commands", {}):
            assert "Usage" in run(name, command, "--help").stdout


def test_a_new_key_fits_the_settings(run: Saoma) -> None:
    assert len(base64.b64decode(run("keys", "new").stdout)) == 32
