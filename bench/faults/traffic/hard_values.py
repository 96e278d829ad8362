"""Values that go wrong somewhere: every one of them is legal in PostgreSQL and has a place in every sink."""

from random import Random

TEXTS = (
    "plain", "", " ", "NULL", "null", "\\N", "\\.", "{}", '{"a": 1}', "tab\tand\nline\r\nend",
    "back\\slash\\",
    "'quoted' \"twice\" $$dollar$$", "żółć 🚀 日本語", "e\u0301 and é", "\u202eright to left", "\x01\x1f\x7f",
    "%s %(name)s {0}", "--; drop", "a,b;c|d", "\ufeffmark", "\u2028", "x" * 3_000, "ż" * 900,
)  # fmt: skip

_DOUBLES = ("0", "-0", "1e-300", "1.7976931348623157e+308", "0.1", "-2.5", "123456789.123456789")
_NUMERICS = ("0", "-0.000000000000000001", "12345678901234567890.123456789012345678", "1e10", "1.10", "-7")
_DATES = ("0001-01-01", "1900-02-28", "1999-12-31", "2024-02-29", "9999-12-31")
_TIMES = ("00:00:00", "23:59:59.999999", "12:00:00.1")
_STAMPS = ("0001-01-01 00:00:00", "1970-01-01 00:00:00", "2024-02-29 23:59:59.999999", "9999-12-31 00:00:00")
_INTERVALS = ("0", "1 year 2 months 3 days 04:05:06.789", "-1 day", "1000000 hours", "-1 year 5 days")
_ADDRESSES = ("10.0.0.1", "10.0.0.0/8", "2001:db8::1", "::/0")
_MOODS = ("calm", 'it\'s "so-so"', "стресс")
_DOCUMENTS = (
    '{"a": [1, 2.50, {"b": null}], "text": "\\"quoted\\" \\n"}', "[]", "null", '"text"',
    "12345678901234567890",
    '{"z": 1, "a": {"deep": [true, false, null]}}', '{"key with \\u00e9": "\\ud83d\\ude80"}',
)  # fmt: skip


def text(random: Random) -> str:
    """A text, more often a hard one than not."""
    return random.choice(TEXTS) if random.random() < 0.6 else f"text {random.randint(0, 999)}"


def text_or_null(random: Random) -> str | None:
    """The same, or NULL."""
    return None if random.random() < 0.2 else text(random)


def texts(random: Random) -> list[str | None]:
    """An array of texts with NULLs in it; maybe empty."""
    return [None if random.random() < 0.3 else text(random)[:200] for _ in range(random.randint(0, 3))]


WIDE_TYPES = {
    "c_bool": "boolean", "c_small": "smallint", "c_big": "bigint", "c_real": "real",
    "c_double": "double precision",
    "c_numeric": "numeric", "c_uuid": "uuid", "c_date": "date", "c_time": "time", "c_stamp": "timestamp",
    "c_stamptz": "timestamptz", "c_interval": "interval", "c_bytea": "bytea", "c_json": "json", 
    "c_jsonb": "jsonb",
    "c_ints": "integer[]", "c_texts": "text[]", "c_inet": "inet", "c_char": "character(6)",
    "c_varchar": "varchar(60)", "c_mood": "public.mood", "c_share": "public.percentage",
}  # fmt: skip


def wide(random: Random) -> dict[str, str | list[str | None] | None]:
    """A value of every type, as PostgreSQL reads it from text; each may be NULL."""
    stamp = random.choice(_STAMPS)
    values: dict[str, str | list[str | None] | None] = {
        "c_bool": random.choice(("t", "f")),
        "c_small": str(random.choice((-(2**15), 2**15 - 1, 0, random.randint(-99, 99)))),
        "c_big": str(random.choice((-(2**63), 2**63 - 1, random.randint(-(2**62), 2**62)))),
        "c_real": random.choice(("0", "1.5", "-3.4e38", "1e-37", "0.1")),
        "c_double": random.choice(_DOUBLES),
        "c_numeric": random.choice(_NUMERICS),
        "c_uuid": f"{random.getrandbits(128):032x}",
        "c_date": random.choice(_DATES),
        "c_time": random.choice(_TIMES),
        "c_stamp": stamp,
        "c_stamptz": f"{stamp}+{random.choice(('00', '05:30'))}" if "0001" not in stamp else f"{stamp}+00",
        "c_interval": random.choice(_INTERVALS),
        "c_bytea": "\\x" + random.randbytes(random.choice((0, 1, 20))).hex(),
        "c_json": random.choice(_DOCUMENTS),
        "c_jsonb": random.choice(_DOCUMENTS),
        "c_ints": "{"
        + ",".join(random.choice(("NULL", "-1", "7")) for _ in range(random.randint(0, 3)))
        + "}",
        "c_texts": texts(random),
        "c_inet": random.choice(_ADDRESSES),
        "c_char": random.choice(("ab", "", "é  ", "123456")),
        "c_varchar": text(random)[:60],
        "c_mood": random.choice(_MOODS),
        "c_share": str(random.randint(0, 100)),
    }
    return {name: None if random.random() < 0.15 else value for name, value in values.items()}
