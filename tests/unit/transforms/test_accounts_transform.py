import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import history, root_store
from pgevents import ChangeEvent, EventType, Version
from pgevents.transforms import transform_for
from transform.transforms.accounts import account, country, slug, split_legal_form

TABLE = "accounts.public.account"
ORGANISATIONS = sorted({certificate.organisation for certificate in root_store.load().certificates.values()})


def event(**changed: object) -> ChangeEvent:
    row = {
        "account_id": 7,
        "operator_id": "7d9a4f6c-21f6-5c3f-9d36-0c1f4f4ac9bb",
        "organisation": "GlobalSign nv-sa",
        "distinguished_name": "CN=GlobalSign Root CA,OU=Root CA,O=GlobalSign nv-sa,C=BE",
        "root_names": '{"GlobalSign Root CA"}',
        **changed,
    }
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return ChangeEvent(EventType.INSERT, row, TABLE, {"account_id": 7}, None, Version(1, 9), 4711, now)


def test_record_keeps_every_column_and_adds_four() -> None:
    given_event = event()
    record = account(given_event)
    assert {name: record.values[name] for name in given_event.payload} == given_event.payload
    assert {name: record.values[name] for name in record.values if name not in given_event.payload} == {
        "legal_name": "GlobalSign",
        "legal_form": "nv-sa",
        "slug": "globalsign",
        "country": "BE",
    }


def test_inserts_updates_and_snapshots_are_transformed_and_deletes_are_not() -> None:
    assert [transform_for(TABLE, kind) is account for kind in EventType] == [
        kind in (EventType.INSERT, EventType.UPDATE, EventType.SNAPSHOT) for kind in EventType
    ]


@pytest.mark.parametrize(
    ("organisation", "name", "form"),
    [
        ("DigiCert Inc", "DigiCert", "Inc"),
        ("DigiCert, Inc.", "DigiCert", "Inc"),
        ("D-Trust GmbH", "D-Trust", "GmbH"),
        ("SECOM Trust Systems CO.,LTD.", "SECOM Trust Systems", "CO.,LTD"),
        ("Unizeto Sp. z o.o.", "Unizeto", "Sp. z o.o"),
        ("TrustCor Systems S. de R.L.", "TrustCor Systems", "S. de R.L"),
        ("Actalis S.p.A./03358520967", "Actalis", "S.p.A"),
        ("AC Camerfirma SA CIF A82743287", "AC Camerfirma", "SA"),
        ("Buypass AS-983163327", "Buypass", "AS"),
        ("Agencia Catalana de Certificacio (NIF Q-0801176-I)", "Agencia Catalana de Certificacio", None),
        ("AS Sertifitseerimiskeskus", "AS Sertifitseerimiskeskus", None),
        ("Hongkong Post", "Hongkong Post", None),
    ],
)
def test_legal_form_is_split_from_the_name(organisation: str, name: str, form: str | None) -> None:
    assert split_legal_form(organisation) == (name, form)


def test_four_spellings_of_one_operator_come_to_one_slug() -> None:
    turktrust = [name for name in ORGANISATIONS if "TÜRKTRUST" in name]
    assert len(turktrust) == 4
    assert len({slug(split_legal_form(name)[0]) for name in turktrust}) == 1


def test_every_real_organisation_keeps_a_name_and_gets_a_slug() -> None:
    for organisation in ORGANISATIONS:
        name, _ = split_legal_form(organisation)
        assert name, organisation
        assert slug(name), organisation
        assert split_legal_form(name) == (name, None), organisation


@given(st.text())
def test_slug_has_only_lower_case_ascii_words(name: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slug(name))


def test_operator_without_latin_letters_is_slugged_by_its_id() -> None:
    record = account(event(organisation="北京数字认证"))
    assert record.values["slug"] == event().payload["operator_id"]
    assert record.values["legal_name"] == "北京数字认证"


@pytest.mark.parametrize(
    ("distinguished_name", "code"),
    [
        ("CN=Root,O=Atos,C=DE", "DE"),
        ("C=es,CN=Autoridad", "ES"),
        ("C=US+O=Amazon", "US"),
        (r"O=ValiCert\, Inc.,L=ValiCert Validation Network", None),
        (r"O=Trick\,C=XX", None),
        ("DC=com,CN=Root", None),
        ("C=USA", None),
    ],
)
def test_country_is_read_from_the_distinguished_name(distinguished_name: str, code: str | None) -> None:
    assert country(distinguished_name) == code


def test_transform_takes_every_account_of_the_history() -> None:
    accounts: dict[UUID, history.Account] = {}
    for _, state in history.states(root_store.load()):
        accounts |= state.accounts
    countries = set()
    for row in accounts.values():
        names = {"organisation": row.organisation, "distinguished_name": row.distinguished_name}
        countries.add(account(event(**names, operator_id=str(row.operator_id))).values["country"])
    assert len(accounts) > 100
    assert {"US", "DE", "JP", None} <= countries
