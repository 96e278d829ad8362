"""A local AWS Lambda: real processes, driven by AWS's own runtime client, under AWS's rules.

invoke_api.py    POST /2015-03-31/functions/NAME/invocations, as boto3's Lambda client speaks it
control_api.py   /_pgevents/: statistics, environments, logs, configuration, faults
service.py       LambdaService: everything below, put together
function.py      a function: its pool of environments and its concurrency
environment.py   an execution environment: one awslambdaric process and the Runtime API that it polls
events.py        the queue of asynchronous events: retries, event age, throttling
destinations.py  on-success and on-failure
"""

from local.lambda_service.configuration import FunctionConfiguration, Schedule, ServiceConfiguration
from local.lambda_service.service import LambdaService

__all__ = ["FunctionConfiguration", "LambdaService", "Schedule", "ServiceConfiguration"]
