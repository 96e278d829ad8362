-- Schema aws_commons: the names of Lambda functions, with the signatures of RDS for PostgreSQL.
create schema if not exists aws_commons;

do $$
begin
    if to_regtype('aws_commons._lambda_function_arn_1') is null then
        create type aws_commons._lambda_function_arn_1 as (function_name text, region text);
    end if;
end
$$;

-- Holds a function's name, partial ARN or ARN, and the region that it is in.
create or replace function aws_commons.create_lambda_function_arn(
    function_name text, region text default null
)
returns aws_commons._lambda_function_arn_1
language sql
immutable
return row(function_name, region)::aws_commons._lambda_function_arn_1;
