"""`saoma login`, `logout`, `whoami` and `saoma accounts`: who may use the command, and for what."""

from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access import operations
from app.access.audit import append
from app.access.models import AccountState
from app.access.operations import NewAccount
from app.access.queries import accounts as all_accounts
from app.access.roles import Act, Role
from app.access.sessions import Attempt, Caller, change_password, sign_in, sign_out
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import secret_from
from app.kernel.actor import Actor, ActorKind
from app.kernel.json import Json

_PASSWORD_ENV = "--password-env"  # noqa: S105 - the name of an option
_ROLE = click.Choice([role.value for role in Role])
_NOBODY = Actor(ActorKind.OPERATOR, "not signed in")


def _password(variable: str | None, prompt: str, *, twice: bool = False) -> str:
    """Return a password from the environment variable, or ask for it without showing it."""
    if variable is not None:
        return secret_from(variable)
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))


@click.command()
@click.argument("name")
@click.option(_PASSWORD_ENV, help="Environment variable that holds the password; without it you are asked.")
@pass_cli
def login(cli: Cli, /, *, name: str, password_env: str | None) -> None:
    """Sign in as NAME for eight hours, on this machine.

    \b
    Example:
      saoma login olga
    """
    now = cli.container.clock.now()
    password = _password(password_env, "password")

    def work(session: Session) -> Attempt:
        attempt = sign_in(session, login=name, password=password, now=now)
        _note(session, attempt, name, Act.SIGNED_IN, cli)
        return attempt

    cli.keep_token(cli.container.db.transact(work).require())
    click.echo(f"signed in as {name}; `saoma logout` ends it")
    if cli.caller.password_lent:
        click.echo("somebody else set your password; choose your own: saoma accounts password")


def _note(session: Session, attempt: Attempt, name: str, act: Act, cli: Cli) -> None:
    """Write an attempt into the trail. A name that is no account's may be a password typed too early."""
    known = attempt.account_id is not None
    actor = Actor(ActorKind.OPERATOR, name, account_id=attempt.account_id) if known else _NOBODY
    append(
        session,
        act=Act.SIGN_IN_REFUSED if attempt.is_refused else act,
        subject=f"account {name}" if known else "account unknown",
        actor=actor,
        now=cli.container.clock.now(),
        detail={"why": attempt.why} if attempt.is_refused else None,
    )


@click.command()
@pass_cli
def logout(cli: Cli, /) -> None:
    """End the session of this machine.

    \b
    Example:
      saoma logout
    """
    caller, now = cli.caller, cli.container.clock.now()
    cli.act(
        Act.SIGNED_OUT,
        lambda session: sign_out(session, caller=caller, now=now),
        on=f"account {caller.login}",
    )
    cli.session_file.unlink(missing_ok=True)
    click.echo("signed out")


@click.command()
@pass_cli
def whoami(cli: Cli, /) -> None:
    """Tell who is signed in, as what, and until when.

    \b
    Example:
      saoma whoami
    """
    caller = cli.caller
    roles = ", ".join(sorted(role.value for role in caller.roles))
    click.echo(f"{caller.login}: {roles}; until {caller.expires_at.isoformat(timespec='minutes')}")


@click.group()
def accounts() -> None:
    """Make accounts, give them roles, lock and close them. docs/access.md tells what each role may do.

    \b
    Examples:
      saoma accounts create olga --name "Olga Chen" --role administrator --first
      saoma accounts create peter --name "Peter Wu" --role approver
      saoma accounts roles peter --role approver --role finance
      saoma accounts password
      saoma accounts lock peter
      saoma accounts list
    """


@accounts.command()
@click.argument("name")
@click.option("--name", "display_name", required=True, help="The person's name.")
@click.option("--role", "roles", multiple=True, required=True, type=_ROLE, help="May be given several times.")
@click.option(_PASSWORD_ENV, help="Environment variable that holds the password; without it you are asked.")
@click.option("--first", is_flag=True, help="Make the first administrator, while there is none.")
@pass_cli
def create(cli: Cli, /, *, name: str, display_name: str, roles: tuple[str, ...], **more: Any) -> None:
    """Make the account NAME. Its owner chooses a password of their own at the first sign-in."""
    password = _password(more["password_env"], f"password for {name}", twice=True)
    account = NewAccount(name, display_name, password, frozenset(map(Role, roles)))
    now = cli.container.clock.now()
    facts: dict[str, Json] = {"roles": list[Json](sorted(roles))}
    if more["first"]:

        def work(session: Session) -> None:
            made = operations.create_first(session, account=account, now=now)
            actor = Actor(ActorKind.OPERATOR, name, account_id=made)
            append(
                session,
                act=Act.ACCOUNT_CREATED,
                subject=f"account {name}",
                actor=actor,
                now=now,
                detail=facts | {"first": True},
            )

        cli.container.db.transact(work)
    else:
        cli.act(
            Act.ACCOUNT_CREATED,
            lambda session: operations.create(session, account=account, now=now),
            on=f"account {name}",
            detail=facts,
        )
    click.echo(f"account {name} made; sign in with `saoma login {name}`")


@accounts.command("list")
@json_option
@pass_cli
def list_accounts(cli: Cli, /, *, as_json: bool) -> None:
    """Show the accounts, whose they are, and their roles."""
    now = cli.container.clock.now()
    rows = [
        {
            "account": account.login,
            "name": account.display_name,
            "state": _state(account.state, waits=bool(account.wait_until and account.wait_until > now)),
            "roles": ", ".join(role.value for role in account.roles),
        }
        for account in cli.act(Act.ACCOUNTS_LISTED, all_accounts, on="accounts")
    ]
    show(rows, as_json=as_json)


def _state(state: AccountState, *, waits: bool) -> str:
    return "waits after failures" if waits and state is AccountState.ACTIVE else state.value


@accounts.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=_ROLE, help="May be given several times.")
@pass_cli
def roles(cli: Cli, /, *, name: str, roles: tuple[str, ...]) -> None:
    """Give the account NAME exactly these roles. Nobody changes their own."""
    actor = cli.actor
    wanted = frozenset(map(Role, roles))
    cli.act(
        Act.ROLES_CHANGED,
        lambda session: operations.set_roles(session, login=name, roles=wanted, actor=actor),
        on=f"account {name}",
        detail={"roles": list[Json](sorted(roles))},
    )
    click.echo(f"{name}: {', '.join(sorted(roles))}")


@accounts.command()
@click.argument("name")
@pass_cli
def lock(cli: Cli, /, *, name: str) -> None:
    """Let nobody sign in as NAME; who is signed in is out at once."""
    _move(cli, Act.ACCOUNT_LOCKED, operations.lock, name)
    click.echo("locked")


@accounts.command()
@click.argument("name")
@pass_cli
def unlock(cli: Cli, /, *, name: str) -> None:
    """Let NAME sign in again, after `lock` or too many failures."""
    _move(cli, Act.ACCOUNT_UNLOCKED, operations.unlock, name)
    click.echo("active")


@accounts.command()
@click.argument("name")
@pass_cli
def close(cli: Cli, /, *, name: str) -> None:
    """Close the account NAME for good. Its name stays taken, so that the trail names one person."""
    _move(cli, Act.ACCOUNT_CLOSED, operations.close, name)
    click.echo("closed")


def _move(cli: Cli, act: Act, work: Callable[..., int], name: str) -> None:
    now = cli.container.clock.now()
    cli.act(act, lambda session: work(session, login=name, now=now), on=f"account {name}")


@accounts.command()
@click.argument("name", required=False)
@click.option(_PASSWORD_ENV, help="Environment variable that holds your present password.")
@click.option("--new-password-env", help="Environment variable that holds the new one.")
@pass_cli
def password(
    cli: Cli, /, *, name: str | None, password_env: str | None, new_password_env: str | None
) -> None:
    """Change your own password; with NAME, an administrator gives another account a passing one."""
    caller, now = cli.caller, cli.container.clock.now()
    if name is None or name == caller.login:
        _change_own(cli, caller, password_env, new_password_env)
        return
    chosen = _password(new_password_env, f"new password for {name}", twice=True)
    cli.act(
        Act.PASSWORD_RESET,
        lambda session: operations.reset_password(session, login=name, password=chosen, now=now),
        on=f"account {name}",
    )
    click.echo(f"{name} chooses another one at the next sign-in")


def _change_own(cli: Cli, caller: Caller, present_env: str | None, new_env: str | None) -> None:
    now = cli.container.clock.now()
    present = _password(present_env, "present password")
    chosen = _password(new_env, "new password", twice=True)

    def work(session: Session) -> Attempt:
        attempt = change_password(session, login=caller.login, password=present, new_password=chosen, now=now)
        _note(session, attempt, caller.login, Act.PASSWORD_CHANGED, cli)
        return attempt

    cli.keep_token(cli.container.db.transact(work).require())
    click.echo("changed; other sessions of yours have ended")
