"""Persons, identifiers, merges, sessions."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "identity_log",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("other_person_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("identifier_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("subject_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("actor_kind", sa.String(24), nullable=False),
        sa.Column("actor_label", sa.String(64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "action IN ('create', 'attach', 'merge', 'unmerge', 'demote', 'reinstate', 'move', "
            "'conflict', 'resolve', 'rule')",
            name=op.f("ck_identity_log_action"),
        ),
        sa.CheckConstraint(
            "actor_kind IN ('person', 'operator', 'platform', 'system')",
            name=op.f("ck_identity_log_actor_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_log")),
    )
    create_index("ix_identity_log_other_person_id_id", "identity_log", ["other_person_id", "id"])
    create_index("ix_identity_log_person_id_id", "identity_log", ["person_id", "id"])
    create_table(
        "identity_rules",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("priority", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("confidence_bps", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("per_person", sa.Integer(), autoincrement=False, nullable=True),
        sa.Column("persons_limit", sa.Integer(), autoincrement=False, nullable=True),
        sa.Column("window_days", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("blocked", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('unionid', 'openid', 'external_userid', 'member_card', 'phone', 'shop_id', 'device')",
            name=op.f("ck_identity_rules_kind"),
        ),
        sa.CheckConstraint(
            "confidence_bps BETWEEN 0 AND 10000", name=op.f("ck_identity_rules_confidence_bps")
        ),
        sa.CheckConstraint("per_person > 0", name=op.f("ck_identity_rules_per_person")),
        sa.CheckConstraint("persons_limit > 0", name=op.f("ck_identity_rules_persons_limit")),
        sa.CheckConstraint("window_days > 0", name=op.f("ck_identity_rules_window_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_rules")),
        sa.UniqueConstraint("kind", name=op.f("uq_identity_rules_kind")),
    )
    create_table(
        "identity_settings",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("merge_threshold_bps", sa.Integer(), autoincrement=False, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_identity_settings_id")),
        sa.CheckConstraint(
            "merge_threshold_bps BETWEEN 1 AND 10000", name=op.f("ck_identity_settings_merge_threshold_bps")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_settings")),
    )
    create_table(
        "persons",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("one_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("virtual", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persons")),
    )
    create_index(op.f("ix_persons_one_id"), "persons", ["one_id"])
    create_table(
        "identifiers",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("scope", types.exact(64), nullable=False),
        sa.Column("value_hash", types.blind(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(24), nullable=False),
        sa.Column("confidence_bps", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("first_seen_at", types.moment(), nullable=False),
        sa.Column("last_seen_at", types.moment(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('unionid', 'openid', 'external_userid', 'member_card', 'phone', 'shop_id', 'device')",
            name=op.f("ck_identifiers_kind"),
        ),
        sa.CheckConstraint(
            "source IN ('miniprogram_login', 'phone_button', 'service_account_follow', 'join', "
            "'guide_wecom', 'app_order', 'shop_order', 'offline_purchase', 'offline_activity', "
            "'operator', 'imported')",
            name=op.f("ck_identifiers_source"),
        ),
        sa.CheckConstraint("state IN ('active', 'demoted')", name=op.f("ck_identifiers_state")),
        sa.CheckConstraint("confidence_bps BETWEEN 0 AND 10000", name=op.f("ck_identifiers_confidence_bps")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_identifiers_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identifiers")),
        sa.UniqueConstraint("value_hash", "kind", "scope", name=op.f("uq_identifiers_value_hash_kind_scope")),
    )
    create_index("ix_identifiers_person_id_kind", "identifiers", ["person_id", "kind"])
    create_table(
        "identifier_sightings",
        sa.Column("identifier_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(24), nullable=False),
        sa.Column("first_seen_at", types.moment(), nullable=False),
        sa.Column("last_seen_at", types.moment(), nullable=False),
        sa.CheckConstraint(
            "source IN ('miniprogram_login', 'phone_button', 'service_account_follow', 'join', "
            "'guide_wecom', 'app_order', 'shop_order', 'offline_purchase', 'offline_activity', "
            "'operator', 'imported')",
            name=op.f("ck_identifier_sightings_source"),
        ),
        sa.ForeignKeyConstraint(
            ["identifier_id"], ["identifiers.id"], name=op.f("fk_identifier_sightings_identifier_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_identifier_sightings_person_id")
        ),
        sa.PrimaryKeyConstraint("identifier_id", "person_id", name=op.f("pk_identifier_sightings")),
    )
    create_index("ix_identifier_sightings_person_id", "identifier_sightings", ["person_id"])
    create_table(
        "identity_conflicts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("link_key", types.exact(64), nullable=False),
        sa.Column("person_a", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_b", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("claimant_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("identifier_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("disagreeing_kind", sa.String(24), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("opened_at", types.moment(), nullable=False),
        sa.Column("resolved_at", types.moment(), nullable=True),
        sa.Column("resolved_by", sa.String(64), nullable=True),
        sa.CheckConstraint(
            "reason IN ('unique_disagrees', 'limit_exceeded', 'kept_apart', 'unmerged')",
            name=op.f("ck_identity_conflicts_reason"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'merged', 'kept_apart', 'moved', 'void')",
            name=op.f("ck_identity_conflicts_state"),
        ),
        sa.CheckConstraint("person_a < person_b", name=op.f("ck_identity_conflicts_pair")),
        sa.ForeignKeyConstraint(
            ["claimant_id"], ["persons.id"], name=op.f("fk_identity_conflicts_claimant_id")
        ),
        sa.ForeignKeyConstraint(
            ["identifier_id"], ["identifiers.id"], name=op.f("fk_identity_conflicts_identifier_id")
        ),
        sa.ForeignKeyConstraint(["person_a"], ["persons.id"], name=op.f("fk_identity_conflicts_person_a")),
        sa.ForeignKeyConstraint(["person_b"], ["persons.id"], name=op.f("fk_identity_conflicts_person_b")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_conflicts")),
        sa.UniqueConstraint("link_key", name=op.f("uq_identity_conflicts_link_key")),
    )
    create_index("ix_identity_conflicts_identifier_id", "identity_conflicts", ["identifier_id"])
    create_index("ix_identity_conflicts_person_a", "identity_conflicts", ["person_a"])
    create_index("ix_identity_conflicts_person_b", "identity_conflicts", ["person_b"])
    create_index("ix_identity_conflicts_state_id", "identity_conflicts", ["state", "id"])
    create_table(
        "login_sessions",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("identifier_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("virtual", sa.Boolean(), nullable=False),
        sa.Column("session_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.Column("expires_at", types.moment(), nullable=False),
        sa.Column("revoked_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_login_sessions_app_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_login_sessions_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
    )
    create_index("ix_login_sessions_expires_at", "login_sessions", ["expires_at"])
    create_index("ix_login_sessions_person_id", "login_sessions", ["person_id"])
    create_table(
        "merges",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_a", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_b", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("identifier_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("kept_root", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("merged_root", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("merged_at", types.moment(), nullable=False),
        sa.Column("undone_at", types.moment(), nullable=True),
        sa.CheckConstraint("person_a < person_b", name=op.f("ck_merges_pair")),
        sa.ForeignKeyConstraint(["identifier_id"], ["identifiers.id"], name=op.f("fk_merges_identifier_id")),
        sa.ForeignKeyConstraint(["person_a"], ["persons.id"], name=op.f("fk_merges_person_a")),
        sa.ForeignKeyConstraint(["person_b"], ["persons.id"], name=op.f("fk_merges_person_b")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
    )
    create_index("ix_merges_person_a", "merges", ["person_a"])
    create_index("ix_merges_person_b", "merges", ["person_b"])
    create_table(
        "merge_moves",
        sa.Column("merge_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("previous_one_id", types.bigint(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["merge_id"], ["merges.id"], name=op.f("fk_merge_moves_merge_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_merge_moves_person_id")),
        sa.PrimaryKeyConstraint("merge_id", "person_id", name=op.f("pk_merge_moves")),
    )
    _seed()


def _seed() -> None:
    # What a brand may change later (`identity_rules` is read at each use). The threshold lets a phone join
    # persons and a device not; ten cards or five phones are one person's, and a phone that a sixth person
    # shows within a year belongs to a shop, a family or a cheat, but to no single person.
    if op.get_bind().execute(sa.select(sa.func.count()).select_from(sa.table("identity_settings"))).scalar():
        return
    everybody = ["0", "-1", "null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "test"]
    phones = [*everybody, "13800138000", "12345678910", "13912345678", "18888888888"]
    rules = (
        ("unionid", 1, 10000, 1, None, everybody),
        ("openid", 2, 10000, 1, None, everybody),
        ("external_userid", 3, 10000, 1, None, everybody),
        ("member_card", 4, 9500, 10, 5, everybody),
        ("phone", 5, 9000, 5, 5, phones),
        ("shop_id", 6, 9000, 10, 5, everybody),
        ("device", 7, 3000, None, None, everybody),
    )
    table = sa.table(
        "identity_rules",
        *(sa.column(name) for name in ("id", "kind", "priority", "confidence_bps", "per_person")),
        *(sa.column(name) for name in ("persons_limit", "window_days")),
        sa.column("blocked", sa.JSON()),
    )
    # The settings come last: without them this step has died half-way and is run again whole.
    op.execute(sa.delete(table))
    op.bulk_insert(
        table,
        [
            {
                "id": priority,
                "kind": kind,
                "priority": priority,
                "confidence_bps": confidence_bps,
                "per_person": per_person,
                "persons_limit": persons_limit,
                "window_days": 365,
                "blocked": blocked,
            }
            for kind, priority, confidence_bps, per_person, persons_limit, blocked in rules
        ],
    )
    op.bulk_insert(
        sa.table("identity_settings", sa.column("id"), sa.column("merge_threshold_bps")),
        [{"id": 1, "merge_threshold_bps": 8000}],
    )
