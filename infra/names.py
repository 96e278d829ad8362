"""Names and ARNs that one stack must know of another's resource before that exists, and so are fixed."""

import re
from typing import TYPE_CHECKING

from pgevents.errors import InputError

if TYPE_CHECKING:
    from aws_cdk import Stack

_ADMIN = "pgevents_admin"


class Names:
    """The physical names of one environment."""

    admin = _ADMIN
    """The role that owns the databases and the warehouse."""

    def __init__(self, environment: str) -> None:
        self._prefix = f"pgevents-{environment}"
        self.transform = f"{self._prefix}-transform"
        self.writer = f"{self._prefix}-redshift-writer"
        self.installer = f"{self._prefix}-trigger-installer"
        self.warehouse = self._prefix
        self.dashboard = self._prefix
        self.metrics = f"PgEvents/{environment}"

    def database(self, name: str) -> str:
        """An identifier for RDS and its proxies: letters, digits and single hyphens. Raises InputError."""
        identifier = f"{self._prefix}-{name.replace('_', '-')}"
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier) or len(identifier) > 60:
            raise InputError(
                f"the name {name!r} in pipeline.toml makes {identifier!r}, which RDS does not take; "
                "use single underscores between letters or digits"
            )
        return identifier


def function_arn(stack: "Stack", name: str) -> str:
    """The ARN of a function of this account and region, known by its name alone."""
    from aws_cdk import ArnFormat  # here: operators' commands need the names, and nothing of the CDK

    return stack.format_arn(
        service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
    )


def construct_id(name: str) -> str:
    """A construct's id for a name of pipeline.toml: `expiry_watch` becomes `ExpiryWatch`."""
    return "".join(part.capitalize() for part in name.split("_"))
