"""What the trigger_installer Lambda is told by its environment."""

from collections.abc import Mapping

import msgspec

from pgevents.errors import InputError
from pgevents.settings import Connections


class InstallerSettings(msgspec.Struct, frozen=True):
    """`connections` reach the sources, not their proxies; `transform_function` is what the sources wake."""

    connections: Connections
    transform_function: str
    region: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "InstallerSettings":
        """Raises InputError naming the variable that is missing or wrong."""
        try:
            return cls(
                connections=msgspec.json.decode(environment["PGEVENTS_CONNECTIONS"], type=Connections),
                transform_function=environment["PGEVENTS_TRANSFORM_FUNCTION"],
                region=environment["AWS_REGION"],
            )
        except KeyError as error:
            raise InputError(f"environment variable {error.args[0]} is not set") from error
        except msgspec.MsgspecError as error:
            raise InputError(f"environment variable PGEVENTS_CONNECTIONS: {error}") from error
