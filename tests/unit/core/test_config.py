"""Each mistake is answered by one line: the path of the wrong value, what was expected, what may be meant."""

from pathlib import Path

import pytest

from pgevents.config import (
    Drain,
    Pipeline,
    Policies,
    PostgresSink,
    RedshiftSink,
    Route,
    S3Sink,
    Source,
    Table,
    load,
)
from pgevents.errors import InputError

VALID = """
[sources.accounts]
doorbell = "invoke"

[[sources.accounts.tables]]
table = "public.account"
key = ["account_id"]
exclude = ["password"]

[[sources.accounts.tables]]
table = "public.login"
publish = true

[sinks.replica]
type = "postgres"

[sinks.archive]
type = "s3"

[sinks.warehouse]
type = "redshift"

[[routes]]
table = "accounts.public.account"
sinks = ["replica", "archive"]
columns = { slug = "text" }
omit = ["note"]

[[routes]]
table = "accounts.public.account"
target = "account_names"
sinks = ["warehouse"]
mode = "history"

[policies]
too_long = "truncate"

[drain]
batch_events = 500
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.toml"


def refusal(file: Path, text: str) -> str:
    """The message about a file with this text, without the file's name at its beginning."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(file)
    beginning, message = str(caught.value)[: len(f"{file}: ")], str(caught.value)[len(f"{file}: ") :]
    assert beginning == f"{file}: "
    assert len(message.splitlines()) == 1
    return message


def test_every_setting_of_a_valid_file_arrives(file: Path) -> None:
    file.write_text(VALID)
    assert load(file) == Pipeline(
        sources={
            "accounts": Source(
                tables=(
                    Table("public.account", key=("account_id",), exclude=("password",)),
                    Table("public.login", publish=True),
                ),
                doorbell="invoke",
            )
        },
        sinks={"replica": PostgresSink(), "archive": S3Sink("archive"), "warehouse": RedshiftSink()},
        routes=(
            Route(
                table="accounts.public.account",
                sinks=("replica", "archive"),
                columns={"slug": "text"},
                omit=("note",),
            ),
            Route("accounts.public.account", ("warehouse",), target="account_names", mode="history"),
        ),
        policies=Policies(too_long="truncate"),
        drain=Drain(batch_events=500, in_flight=16),
    )  # fmt: skip


def test_pipeline_of_this_repository_is_valid() -> None:
    assert set(load(Path(__file__).parents[3] / "pipeline.toml").sources) == {"accounts", "certificates"}


MISTAKES = {
    "an unknown setting is likened to the settings of its own section only": (
        ('doorbell = "invoke"', 'dorbell = "invoke"'),
        "sources.accounts.dorbell: unknown setting; expected one of doorbell, shards, tables; did you mean "
        "'doorbell'?",
    ),
    "a setting of another section is unknown": (
        ('type = "postgres"', 'type = "postgres"\nprefix = "x"'),
        "sinks.replica.prefix: unknown setting; expected one of schema, type",
    ),
    "an unknown section": (
        ("[policies]", "[policy]"),
        "policy: unknown setting; expected one of drain, policies, routes, sinks, sources; "
        "did you mean 'policies'?",
    ),
    "a choice that is misspelt": (
        ('doorbell = "invoke"', 'doorbell = "Invoked"'),
        "sources.accounts.doorbell: 'Invoked' is not known; expected one of invoke, notify, schedule; "
        "did you mean 'invoke'?",
    ),
    "a mode that does not exist": (
        ('mode = "history"', 'mode = "scd2"'),
        "routes[1].mode: 'scd2' is not known; expected one of both, history, mirror",
    ),
    "a sink type that is misspelt": (
        ('type = "redshift"', 'type = "redshfit"'),
        "sinks.warehouse.type: 'redshfit' is not known; expected one of postgres, redshift, s3; "
        "did you mean 'redshift'?",
    ),
    "a sink without a type": (
        ('type = "redshift"', ""),
        "sinks.warehouse.type: missing; expected one of postgres, redshift, s3",
    ),
    "a sink type that is a number": (
        ('type = "redshift"', "type = 3"),
        "sinks.warehouse.type: 3 is an integer; expected one of postgres, redshift, s3",
    ),
    "a table without its schema": (
        ('table = "public.account"', 'table = "account"'),
        "sources.accounts.tables[0].table: 'account' is not possible; expected schema.table, spelled as "
        "PostgreSQL stores the names, without quotes; did you mean 'public.account'?",
    ),
    "a table in SQL's quotes": (
        ('table = "public.account"', """table = 'public."account"'"""),
        "sources.accounts.tables[0].table: 'public.\"account\"' is not possible; expected schema.table, "
        "spelled "
        "as PostgreSQL stores the names, without quotes; did you mean 'public.account'?",
    ),
    "a captured table that is misspelt in a route": (
        ('table = "accounts.public.account"\nsinks', 'table = "account.public.acount"\nsinks'),
        "routes[0].table: 'account.public.acount' is not a captured table; expected one of "
        "accounts.public.account, accounts.public.login; did you mean 'accounts.public.account'?",
    ),
    "a route for a table without its source": (
        ('table = "accounts.public.account"\nsinks', 'table = "public.account"\nsinks'),
        "routes[0].table: 'public.account' is not a captured table; expected one of accounts.public.account, "
        "accounts.public.login; did you mean 'accounts.public.account'?",
    ),
    "a sink that does not exist": (
        ('sinks = ["replica", "archive"]', 'sinks = ["replica", "archiv"]'),
        "routes[0].sinks[1]: 'archiv' is not a sink; expected one of archive, replica, warehouse; "
        "did you mean 'archive'?",
    ),
    "a sink that a route lists twice": (
        ('sinks = ["replica", "archive"]', 'sinks = ["replica", "replica"]'),
        "routes[0].sinks[1]: 'replica' is listed twice; remove one of the two",
    ),
    "a route without sinks": (
        ('sinks = ["replica", "archive"]', "sinks = []"),
        "routes[0].sinks: empty; expected one of archive, replica, warehouse",
    ),
    "sinks that are one string": (
        ('sinks = ["replica", "archive"]', 'sinks = "replica"'),
        "routes[0].sinks: 'replica' is a string; expected an array of strings",
    ),
    "a source's name with a capital letter": (
        ("sources.accounts", "sources.Accounts"),
        "sources.Accounts: 'Accounts' cannot be a name; expected a lower-case letter and then at most 39 "
        "lower-case letters, digits or underscores; did you mean 'accounts'?",
    ),
    "a sink's name with a newline at its end": (
        ("[sinks.archive]", r'[sinks."archive\n"]'),
        r"""sinks."archive\n": 'archive\n' cannot be a name; expected a lower-case letter and then at """
        r"""most 39 """
        "lower-case letters, digits or underscores; did you mean 'archive'?",
    ),
    "a column type that has another name here": (
        ('slug = "text"', 'slug = "varchar"'),
        "routes[0].columns.slug: 'varchar' is not a column type; expected one of bigint, boolean, bytea, "
        "cidr, "
        "date, double_precision, inet, integer, interval, json, jsonb, numeric and 7 more; did you mean "
        "'text'?",
    ),
    "a declared column that the sinks keep for themselves": (
        ('slug = "text"', '_version = "text"'),
        "routes[0].columns._version: the sinks keep this name for a column of their own; choose another name",
    ),
    "two routes with one target": (
        ('target = "account_names"', ""),
        "routes[1].target: 'account' is the target of routes[0] too (accounts.public.account); "
        "give this route another target",
    ),
    "a target that another target keeps beside itself": (
        ('target = "account_names"', 'target = "account_history"'),
        "routes[1].target: 'account_history' is kept beside the target 'account'; choose another name",
    ),
    "a target's name that some sink would fold": (
        ('target = "account_names"', 'target = "AccountNames"'),
        "routes[1].target: 'AccountNames' cannot be a target's name; expected a lower-case letter and then "
        "at "
        "most 49 lower-case letters, digits or underscores",
    ),
    "a target's name of the sinks' own": (
        ('target = "account_names"', 'target = "pgevents_target"'),
        "routes[1].target: 'pgevents_target' begins with pgevents_; the sinks keep such names",
    ),
    "a table listed twice": (
        ('table = "public.login"', 'table = "public.account"'),
        "sources.accounts.tables[1].table: 'public.account' is listed already, as tables[0]; "
        "remove one of the two",
    ),
    "a table that nothing takes": (
        ("publish = true", "publish = false"),
        "sources.accounts.tables[1].table: no route takes 'accounts.public.login', its events would be "
        "captured "
        "and dropped; add a route for it, set publish = true, or remove it",
    ),
    "a key column that is left out": (
        ('exclude = ["password"]', 'exclude = ["password", "account_id"]'),
        "sources.accounts.tables[0].exclude[1]: 'account_id' is part of the key, which cannot be left out; "
        "remove it from one of the two",
    ),
    "a key column that a route omits": (
        ('omit = ["note"]', 'omit = ["note", "account_id"]'),
        "routes[0].omit[1]: 'account_id' is part of the key; a key column cannot be omitted",
    ),
    "a column of a route's own key that it omits": (
        ('omit = ["note"]', 'omit = ["email"]\nkey = ["email"]'),
        "routes[0].omit[0]: 'email' is part of the key; a key column cannot be omitted",
    ),
    "a column both declared and omitted": (
        ('omit = ["note"]', 'omit = ["slug"]'),
        "routes[0].omit[0]: 'slug' is declared in columns; remove it from one of the two",
    ),
    "a route's key that is never captured": (
        ('omit = ["note"]', 'key = ["password"]'),
        "routes[0].key[0]: 'password' is excluded from capture; declare it in columns or choose another key",
    ),
    "a key column listed twice": (
        ('key = ["account_id"]', 'key = ["account_id", "account_id"]'),
        "sources.accounts.tables[0].key[1]: 'account_id' is listed twice; remove one of the two",
    ),
    "a number out of its range": (
        ("batch_events = 500", "batch_events = 0"),
        "drain.batch_events: 0 is not possible; expected an integer from 1 to 100000",
    ),
    "a number in quotes": (
        ("batch_events = 500", 'batch_events = "500"'),
        "drain.batch_events: '500' is a string; expected an integer from 1 to 100000",
    ),
    "a number too long to print": (
        ("batch_events = 500", f"batch_events = 0x{'f' * 9_000}"),
        "drain.batch_events: a number of over 30 digits is not possible; expected an integer from 1 to "
        "100000",
    ),
    "a yes in quotes": (
        ("publish = true", 'publish = "yes"'),
        "sources.accounts.tables[1].publish: 'yes' is a string; expected true or false",
    ),
    "one table where an array of them is expected": (
        ("[[sources.accounts.tables]]\ntable = \"public.login\"\npublish = true", "[sources.logins.tables]"),
        "sources.logins.tables: a table; expected an array of tables: [[sources.logins.tables]], "
        "not [sources.logins.tables]",
    ),
    "an array of tables where one is expected": (
        ("[policies]", "[[policies]]"),
        "policies: an array; expected a table: [policies], not [[policies]]",
    ),
    "a route without its table": (
        ('table = "accounts.public.account"\nsinks', "sinks"),
        "routes[0].table: missing; expected database.schema.table",
    ),
    "a schema of the database's own": (
        ('type = "postgres"', 'type = "postgres"\nschema = "pg_catalog"'),
        "sinks.replica.schema: 'pg_catalog' is a schema of the database's own; choose another",
    ),
    "a prefix that ends with a slash": (
        ('type = "s3"', 'type = "s3"\nprefix = "archive/"'),
        "sinks.archive.prefix: 'archive/' is not possible; expected folder names of letters, digits, '_', "
        "'.' "
        "and '-', with a / between them only; did you mean 'archive'?",
    ),
    "a prefix inside that of another sink": (
        ("[sinks.warehouse]", '[sinks.cold]\ntype = "s3"\nprefix = "archive/cold"\n[sinks.warehouse]'),
        "sinks.cold.prefix: 'archive/cold' overlaps 'archive', the prefix of sink archive; choose another",
    ),
    "a prefix where forwarded batches are kept": (
        ('type = "s3"', 'type = "s3"\nprefix = "forwarded/x"'),
        "sinks.archive.prefix: 'forwarded/x' is where batches on their way to Redshift are kept; choose "
        "another",
    ),
    "a prefix where files for COPY are kept": (
        ('type = "s3"', 'type = "s3"\nprefix = "staged"'),
        "sinks.archive.prefix: 'staged' is where batches on their way to Redshift are kept; choose "
        "another",
    ),
    "a second warehouse": (
        ("[sinks.warehouse]", '[sinks.second]\ntype = "redshift"\n[sinks.warehouse]'),
        "sinks: second and warehouse are of type redshift; expected at most one",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake_is_refused_with_its_path(file: Path, change: tuple[str, str], message: str) -> None:
    before, after = change
    assert before in VALID
    assert refusal(file, VALID.replace(before, after)) == message


WHOLE_FILES = {
    "an empty file": ("", "sources: missing; expected a table"),
    "no source": (
        "sources = {}\nsinks = {}\nroutes = []",
        "sources: empty; expected at least one source: [sources.NAME]",
    ),
    "a source without tables": (
        "sinks = {}\nroutes = []\nsources.a.tables = []",
        "sources.a.tables: empty; expected at least one table: [[sources.a.tables]]",
    ),
    "a source that does not say its tables": (
        'sinks = {}\nroutes = []\nsources.a.doorbell = "invoke"',
        "sources.a.tables: missing; expected an array of tables",
    ),
    "a date where a table is expected": (
        "sources = 2026-01-02\nsinks = {}\nroutes = []",
        "sources: 2026-01-02 is a date; expected a table",
    ),
    "a route to a sink where there are none": (
        'sinks = {}\nroutes = [{table = "a.b.c", sinks = ["x"]}]\nsources.a.tables = [{table = "b.c"}]',
        "routes[0].sinks[0]: 'x' is not a sink; expected none, there are none",
    ),
    "a key that has to be quoted": (
        'sinks = {}\nroutes = []\nsources."a b".tables = []',
        """sources."a b": 'a b' cannot be a name; expected a lower-case letter and then at most 39 """
        """lower-case """
        "letters, digits or underscores; did you mean 'a_b'?",
    ),
    "a long value": (
        f'sinks = {{}}\nroutes = []\nsources.a = "{"x" * 1_000}"',
        f"sources.a: '{'x' * 60}…' is a string; expected a table",
    ),
    "no TOML": (
        "[sources.accounts\n",
        "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 18)",
    ),
    "nesting without end": ("a = " + "[" * 100_000, "not valid TOML: nested too deeply"),
}


@pytest.mark.parametrize(("text", "message"), WHOLE_FILES.values(), ids=WHOLE_FILES.keys())
def test_file_is_refused_as_a_whole(file: Path, text: str, message: str) -> None:
    assert refusal(file, text) == message


def test_number_too_long_for_python_is_refused(file: Path) -> None:
    assert refusal(file, "a = " + "9" * 5_000).startswith("not valid TOML: Exceeds the limit (4300 digits)")


def test_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(file)
    expected = "cannot be read (No such file or directory); expected a description of the pipeline"
    assert str(caught.value) == f"{file}: {expected}"


def test_folder_in_the_file_s_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_bytes_that_are_no_utf8_are_refused(file: Path) -> None:
    file.write_bytes(b"# caf\xe9\n")
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: not UTF-8 text, at byte 5; save the file as UTF-8"


def test_byte_order_mark_of_windows_editors_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert set(load(file).sources) == {"accounts"}


def test_sink_that_no_route_names_is_allowed(file: Path) -> None:
    file.write_text(VALID + '[sinks.spare]\ntype = "postgres"\n')
    assert "spare" in load(file).sinks


def test_source_that_only_publishes_needs_neither_sinks_nor_routes(file: Path) -> None:
    file.write_text('sinks = {}\nroutes = []\n[[sources.a.tables]]\ntable = "public.b"\npublish = true\n')
    assert load(file).routed_tables() == frozenset()


def test_excluded_column_that_a_transform_fills_may_be_the_key(file: Path) -> None:
    declared = 'key = ["password"]\ncolumns = { password = "text" }'
    file.write_text(VALID.replace('columns = { slug = "text" }', declared))
    assert load(file).routes[0].key == ("password",)


def test_table_with_a_name_that_is_no_target_needs_one(file: Path) -> None:
    text = """
sources.a.tables = [{table = "Sales.Order Items"}]
sinks.replica.type = "postgres"
[[routes]]
table = "a.Sales.Order Items"
sinks = ["replica"]
"""
    assert refusal(file, text) == (
        "routes[0].target: 'Order Items', the table's own name, cannot be a target's name; expected a "
        "lower-case "
        "letter and then at most 49 lower-case letters, digits or underscores"
    )
    file.write_text(text + 'target = "order_items"\n')
    assert load(file).routes[0].target_name == "order_items"


def test_choices_beyond_a_dozen_are_counted_and_the_closest_is_still_found(file: Path) -> None:
    tables = ", ".join(f'{{table = "public.table_{number:03}"}}' for number in range(500))
    text = f"""
sources.a.tables = [{tables}]
sinks.replica.type = "postgres"
[[routes]]
table = "a.public.tabel_321"
sinks = ["replica"]
"""
    first_dozen = ", ".join(f"a.public.table_{number:03}" for number in range(12))
    assert refusal(file, text) == (
        f"routes[0].table: 'a.public.tabel_321' is not a captured table; expected one of {first_dozen} and "
        f"488 "
        "more; did you mean 'a.public.table_321'?"
    )


def test_declared_columns_have_postgresql_s_own_type_names() -> None:
    declared = {"at": "timestamptz", "rate": "double_precision", "name": "text"}
    assert Route("a.b.c", ("x",), columns=declared).column_types() == {
        "at": "timestamp with time zone",
        "rate": "double precision",
        "name": "text",
    }


def test_sinks_of_a_type_are_found_by_name(file: Path) -> None:
    file.write_text(VALID)
    assert load(file).sinks_of(S3Sink) == {"archive": S3Sink("archive")}


@pytest.mark.parametrize(("sources", "in_flight", "writers"), [(1, 1, 1), (2, 16, 32), (50, 16, 100)])
def test_each_batch_in_flight_has_a_writer_within_reason(sources: int, in_flight: int, writers: int) -> None:
    named = {f"source_{number}": Source(()) for number in range(sources)}
    pipeline = Pipeline(named, {}, (), drain=Drain(in_flight=in_flight))
    assert pipeline.writers() == writers


def test_each_shard_beside_the_first_may_have_one_batch_more_in_flight() -> None:
    named = {"one": Source(()), "two": Source((), shards=4)}
    assert Pipeline(named, {}, (), drain=Drain(in_flight=16)).writers() == 35
