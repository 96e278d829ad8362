"""`python -m lambda_packages`: installs what the Lambdas need beside their code; nothing later must."""

import sys
from pathlib import Path

from lambda_packages import prepare
from pgevents.errors import InputError

if __name__ == "__main__":
    try:
        prepare(Path(__file__).parents[1])
    except InputError as error:
        sys.exit(str(error))
