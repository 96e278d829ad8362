"""What an environment may not choose is refused in one line, before anything is synthesized."""

from dataclasses import FrozenInstanceError, replace

import pytest

from infra.environments import DEV, ENVIRONMENTS, PROD, chosen
from infra.settings import Access, NewNetwork, is_ipv6, major_part
from pgevents.errors import InputError

OPEN = Access(any_address=True)


def test_there_are_three_environments_and_prod_alone_is_production() -> None:
    assert [(name, found.production) for name, found in ENVIRONMENTS.items()] == [
        ("dev", False),
        ("stage", False),
        ("prod", True),
    ]
    assert chosen(None) == list(ENVIRONMENTS.values())
    assert chosen("prod") == [PROD]
    with pytest.raises(InputError, match="no environment 'production'; expected one of dev, stage, prod"):
        chosen("production")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PROD.name = "other"  # type: ignore[misc]


def test_the_open_form_is_one_setting_of_both_protocols() -> None:
    opened = replace(DEV, access=OPEN)
    assert opened.access.postgres == opened.access.ssh == ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize(
    "access",
    [
        OPEN,
        Access(postgres_ipv4=("0.0.0.0/0",)),
        Access(postgres_ipv6=("::/0",)),
        Access(ssh_ipv4=("0.0.0.0/0",)),
    ],
)
def test_in_production_the_open_form_has_to_be_said_twice(access: Access) -> None:
    with pytest.raises(InputError, match="environment prod: access is open to any address"):
        replace(PROD, access=access)
    assert replace(PROD, access=replace(access, any_address_in_production=True)).access.is_open


def test_a_production_database_is_never_destroyed_with_its_stack() -> None:
    with pytest.raises(InputError, match="keep='destroy'"):
        replace(PROD, databases=replace(PROD.databases, keep="destroy"))


@pytest.mark.parametrize("version", ["", "eighteen", "18.", "18.3.1", "9.6"])
def test_a_version_that_postgresql_never_had_is_refused(version: str) -> None:
    with pytest.raises(InputError, match="databases: version"):
        replace(PROD.databases, version=version)


def test_the_major_part_of_a_version_is_what_comes_first() -> None:
    assert [major_part(version) for version in ("18.3", "18", "")] == ["18", "18", ""]


def test_an_ssh_bastion_needs_somebody_who_may_reach_it() -> None:
    with pytest.raises(InputError, match="ssh bastion that nobody may reach"):
        replace(DEV, access=Access(), network=NewNetwork(cidr="10.0.0.0/16", bastion="ssh"))


def test_a_range_is_checked() -> None:
    assert is_ipv6("fd00::/8")
    assert not is_ipv6("10.0.0.0/8")
    with pytest.raises(InputError, match=r"'10\.0\.0\.1/8' is no range"):
        replace(DEV, access=Access(ssh_ipv4=("10.0.0.1/8",)))
