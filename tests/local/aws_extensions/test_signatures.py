"""The stand-in has the functions, arguments, defaults and columns that RDS documents."""

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


def test_invoke_has_the_four_signatures_of_rds(connection: Connection) -> None:
    rows = connection.execute(
        """select pg_get_function_arguments(oid) from pg_proc
           where pronamespace = 'aws_lambda'::regnamespace and proname = 'invoke' order by 1"""
    ).fetchall()
    outputs = "OUT status_code integer, OUT payload {0}, OUT executed_version text, OUT log_result text"
    inputs = (
        "invocation_type text DEFAULT 'RequestResponse'::text, log_type text DEFAULT 'None'::text, "
        "context {0} DEFAULT NULL::{0}, qualifier character varying DEFAULT NULL::character varying, "
    )
    expected = [
        f"{first.format(kind)}{inputs.format(kind)}{outputs.format(kind)}"
        for first in (
            "function_name aws_commons._lambda_function_arn_1, payload {0}, ",
            "function_name text, payload {0}, region text DEFAULT NULL::text, ",
        )
        for kind in ("json", "jsonb")
    ]
    assert [row[0] for row in rows] == expected


def test_create_lambda_function_arn_holds_name_and_region(connection: Connection) -> None:
    row = connection.execute(
        "select (arn).function_name, (arn).region, pg_typeof(arn)::text "
        "from aws_commons.create_lambda_function_arn('transform', 'eu-west-1') as arn"
    ).fetchone()
    assert row == ("transform", "eu-west-1", "aws_commons._lambda_function_arn_1")
    default = connection.execute("select (aws_commons.create_lambda_function_arn('f')).region").fetchone()
    assert default == (None,)


def test_nobody_may_invoke_without_a_grant(connection: Connection) -> None:
    grants = connection.execute(
        """select has_schema_privilege('pg_monitor', 'aws_lambda', 'usage'),
                  bool_or(has_function_privilege('pg_monitor', oid, 'execute'))
           from pg_proc
           where pronamespace in (select oid from pg_namespace where nspname like 'aws_lambda%')"""
    ).fetchone()
    assert grants == (False, False)
