-- Schema aws_lambda: invoke, with the signatures, time-outs and errors of RDS for PostgreSQL. As there, a
-- role needs a grant on the schema and on its functions. What only the stand-in has is in aws_lambda_local.
create schema if not exists aws_lambda;
create schema if not exists aws_lambda_local;
revoke all on schema aws_lambda, aws_lambda_local from public;

create table if not exists aws_lambda_local.endpoint (
    only_row boolean constraint endpoint_key primary key default true
    constraint endpoint_has_one_row check (only_row),
    host text not null,
    port integer not null,
    -- The command, quoted for the shell, that makes the HTTP request.
    program text not null,
    fault text constraint endpoint_fault_known check (fault in ('error', 'hang', 'missing'))
);

-- A time-out in milliseconds from its setting, which RDS lets everybody set.
-- Raises invalid_parameter_value outside of what RDS allows.
create or replace function aws_lambda_local.timeout_ms(setting text, default_ms integer)
returns integer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    given constant text := coalesce(nullif(current_setting(setting, true), ''), default_ms::text);
begin
    if given !~ '^[0-9]{1,6}$' or given::integer not between 1 and 900000 then
        raise invalid_parameter_value using
            message = format('invalid value for parameter "%s": "%s"', setting, given),
            detail = 'Allowed are 1 to 900000 milliseconds.';
    end if;
    return given::integer;
end
$$;

-- Fails as the extension does when it gets no answer from Lambda.
create or replace function aws_lambda_local.fail(words text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise external_routine_invocation_exception using
        message = 'invoke API failed',
        detail = format('AWS Lambda client returned ''%s''.', words);
end
$$;

-- Refuses what RDS refuses before it calls anything.
create or replace function aws_lambda_local.check_arguments(
    function_name text, payload text, region text, invocation_type text, log_type text, qualifier text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    arn constant text[] := regexp_match(function_name, '^arn:[^:]+:lambda:([^:]+):[^:]+:function:[^:]+(?::(.+))?$');
begin
    if function_name is null or payload is null then
        raise null_value_not_allowed using message = 'function_name and payload must not be null';
    elsif invocation_type is null or invocation_type not in ('RequestResponse', 'Event', 'DryRun') then
        raise invalid_parameter_value using message = format('invalid invocation_type "%s"', invocation_type);
    elsif log_type is null or log_type not in ('None', 'Tail') then
        raise invalid_parameter_value using message = format('invalid log_type "%s"', log_type);
    elsif arn[1] <> region then
        raise invalid_parameter_value using
            message = format('region "%s" conflicts with "%s"', region, function_name);
    elsif arn[2] <> qualifier then
        raise invalid_parameter_value using
            message = format('qualifier "%s" conflicts with "%s"', qualifier, function_name);
    end if;
end
$$;

-- Fails, or waits and fails, when a test asked for it.
create or replace function aws_lambda_local.suffer(fault text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if fault = 'missing' then
        raise undefined_function using message = 'function aws_lambda.invoke does not exist';
    elsif fault = 'hang' then
        perform pg_sleep(aws_lambda_local.timeout_ms('aws_lambda.request_timeout_ms', 3000) / 1000.0);
        perform aws_lambda_local.fail('Timeout was reached');
    elsif fault = 'error' then
        perform aws_lambda_local.fail('Unable to connect to endpoint');
    end if;
end
$$;

-- One HTTP request to the Invoke API, made by a program: the server itself cannot make one. The request goes
-- One HTTP request to the Invoke API, made by a program: the server itself cannot make one. All of it goes
-- data folder, one a backend, so that neither a table nor a temporary object is touched (PREPARE TRANSACTION
-- refuses those).
create or replace function aws_lambda_local.exchange(
    endpoint aws_lambda_local.endpoint,
    function_name text, payload text, invocation_type text, log_type text, context text, qualifier text
)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    reply_file constant text := 'aws_lambda_replies/' || pg_backend_pid();
begin
    execute format(
        'copy (select %L, %L, %L, %L, %L, %L, %L, %L, %L, %L) to program %L',
        endpoint.host, endpoint.port,
        aws_lambda_local.timeout_ms('aws_lambda.connect_timeout_ms', 1000),
        aws_lambda_local.timeout_ms('aws_lambda.request_timeout_ms', 3000),
        invocation_type, log_type,
        encode(convert_to(function_name, 'UTF8'), 'hex'),
        encode(convert_to(coalesce(qualifier, ''), 'UTF8'), 'hex'),
        translate(encode(convert_to(coalesce(context, ''), 'UTF8'), 'base64'), E'\n', ''),
        encode(convert_to(payload, 'UTF8'), 'hex'),
        format('%s %s', endpoint.program, reply_file)
    );
    return array(
        select convert_from(decode(field, 'hex'), 'UTF8')
        from unnest(string_to_array(pg_read_file(reply_file), ' ')) with ordinality as reply (field, place)
        order by place
    );
end
$$;

-- What every overload of aws_lambda.invoke comes down to.
create or replace function aws_lambda_local.invoke(
    function_name text, input text, region text, invocation_type text, log_type text, context text,
    qualifier text,
    out status_code integer, out payload text, out executed_version text, out log_result text
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    endpoint aws_lambda_local.endpoint;
    reply text[];
begin
    perform aws_lambda_local.check_arguments(function_name, input, region, invocation_type, log_type, qualifier);
    select * into strict endpoint from aws_lambda_local.endpoint;
    perform aws_lambda_local.suffer(endpoint.fault);
    -- failure, HTTP status, function error, executed version, log, body
    reply := aws_lambda_local.exchange(
        endpoint, function_name, input, invocation_type, log_type, context, qualifier
    );
    if reply[1] <> '' then
        perform aws_lambda_local.fail(reply[1]);
    elsif reply[2]::integer >= 300 then
        perform aws_lambda_local.fail(
            coalesce(nullif(substring(reply[6] from '"[Mm]essage" *: *"([^"]*)'), ''), 'HTTP status ' || reply[2])
        );
    elsif reply[3] <> '' then
        raise external_routine_exception using
            message = 'lambda invocation failed',
            detail = format('"%s" returned error "%s", details: "%s".', function_name, reply[3], reply[6]);
    end if;
    status_code := reply[2];
    executed_version := nullif(reply[4], '');
    log_result := nullif(reply[5], '');
    payload := nullif(reply[6], '');
end
$$;

create or replace function aws_lambda.invoke(
    in function_name text, in payload json, in region text default null,
    in invocation_type text default 'RequestResponse', in log_type text default 'None',
    in context json default null, in qualifier varchar(128) default null,
    out status_code integer, out payload json, out executed_version text, out log_result text
)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select reply.status_code, reply.payload::json, reply.executed_version, reply.log_result
    from aws_lambda_local.invoke($1, $2::text, $3, $4, $5, $6::text, $7) as reply
$$;

create or replace function aws_lambda.invoke(
    in function_name text, in payload jsonb, in region text default null,
    in invocation_type text default 'RequestResponse', in log_type text default 'None',
    in context jsonb default null, in qualifier varchar(128) default null,
    out status_code integer, out payload jsonb, out executed_version text, out log_result text
)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select reply.status_code, reply.payload::jsonb, reply.executed_version, reply.log_result
    from aws_lambda_local.invoke($1, $2::text, $3, $4, $5, $6::text, $7) as reply
$$;

create or replace function aws_lambda.invoke(
    in function_name aws_commons._lambda_function_arn_1, in payload json,
    in invocation_type text default 'RequestResponse', in log_type text default 'None',
    in context json default null, in qualifier varchar(128) default null,
    out status_code integer, out payload json, out executed_version text, out log_result text
)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select reply.status_code, reply.payload::json, reply.executed_version, reply.log_result
    from aws_lambda_local.invoke(
        ($1).function_name, $2::text, ($1).region, $3, $4, $5::text, $6
    ) as reply
$$;

create or replace function aws_lambda.invoke(
    in function_name aws_commons._lambda_function_arn_1, in payload jsonb,
    in invocation_type text default 'RequestResponse', in log_type text default 'None',
    in context jsonb default null, in qualifier varchar(128) default null,
    out status_code integer, out payload jsonb, out executed_version text, out log_result text
)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select reply.status_code, reply.payload::jsonb, reply.executed_version, reply.log_result
    from aws_lambda_local.invoke(
        ($1).function_name, $2::text, ($1).region, $3, $4, $5::text, $6
    ) as reply
$$;

revoke all on all functions in schema aws_lambda, aws_lambda_local from public;
