from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from demo import root_store
from pgevents import ChangeEvent, EventType, Value, Version
from pgevents.transforms import transform_for
from transform.transforms.certificates import certificate, instant, key_strength

TABLE = "certificates.public.certificate"


def event(**changed: Value) -> ChangeEvent:
    row: dict[str, Value] = {
        "fingerprint": "ab" * 32,
        "serial_number": Decimal("41578283867086692638256921589707938090"),
        "not_before": "2008-03-06 00:00:00+00",
        "not_after": "2038-01-18 23:59:59+00",
        "signature_algorithm": "ecdsa-with-SHA384",
        "key_type": "EC",
        "key_bits": 384,
        "key_usage": "{keyCertSign,cRLSign}",
        "changed_at": "2026-10-18 16:20:32+00",
        **changed,
    }
    now = datetime(2026, 10, 18, tzinfo=UTC)
    return ChangeEvent(
        EventType.UPDATE, row, TABLE, {"fingerprint": "ab" * 32}, row, Version(1, 9), 4711, now
    )


def test_record_keeps_every_column_adds_four_and_retypes_the_serial_number() -> None:
    given_event = event()
    values = certificate(given_event).values
    assert values == {
        **given_event.payload,
        "serial_number": "41578283867086692638256921589707938090",
        "validity_days": 10910,
        "key_strength": "strong",
        "expiry_year": 2038,
        "expired": False,
    }


def test_inserts_updates_and_snapshots_are_transformed_and_deletes_are_not() -> None:
    assert [transform_for(TABLE, kind) is certificate for kind in EventType] == [
        kind in (EventType.INSERT, EventType.UPDATE, EventType.SNAPSHOT) for kind in EventType
    ]


def test_expired_is_judged_by_the_release_and_not_by_the_clock() -> None:
    past = {"not_before": "1998-08-22 16:41:51+00", "not_after": "2018-08-22 16:41:51+00"}
    assert certificate(event(**past, changed_at="2018-08-22 16:41:50+00")).values["expired"] is False
    assert certificate(event(**past, changed_at="2018-08-22 16:41:51+00")).values["expired"] is True


@pytest.mark.parametrize("digits", ["0", "-23701579247955709139626555126524820479", "9" * 49])
def test_serial_number_keeps_every_digit(digits: str) -> None:
    assert certificate(event(serial_number=Decimal(digits))).values["serial_number"] == digits


@pytest.mark.parametrize(
    ("key_type", "bits", "signature_algorithm", "strength"),
    [
        ("RSA", 1024, "sha256WithRSAEncryption", "weak"),
        ("RSA", 4096, "md5WithRSAEncryption", "weak"),
        ("RSA", 4096, "sha1WithRSAEncryption", "weak"),
        ("RSA", 2048, "sha256WithRSAEncryption", "ok"),
        ("RSA", 3072, "sha256WithRSAEncryption", "strong"),
        ("EC", 192, "ecdsa-with-SHA256", "weak"),
        ("EC", 224, "ecdsa-with-SHA256", "ok"),
        ("EC", 256, "ecdsa-with-SHA256", "strong"),
    ],
)
def test_a_key_is_as_weak_as_its_bits_or_its_digest(
    key_type: str, bits: int, signature_algorithm: str, strength: str
) -> None:
    assert key_strength(key_type, bits, signature_algorithm) == strength


def test_unknown_key_type_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="no strength is defined for keys of type 'DSA'"):
        key_strength("DSA", 2048, "sha256WithRSAEncryption")


def test_instant_reads_fractions_and_refuses_infinity() -> None:
    assert instant("2026-01-02 03:04:05.678901+00") == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    with pytest.raises(ValueError, match="infinity"):
        instant("infinity")


def test_every_real_root_has_a_strength() -> None:
    strengths = Counter(
        key_strength(root.key_type, root.key_bits, root.signature_algorithm)
        for root in root_store.load().certificates.values()
    )
    assert set(strengths) == {"weak", "ok", "strong"}
    assert min(strengths.values()) > 20
