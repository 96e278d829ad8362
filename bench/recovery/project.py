"""What is recovered: the source's tables, and its pipeline."""

SOURCE = "accounts"

TABLES = """
create table public.entry (
    entry_id bigint primary key, amount numeric(20, 4) not null, note text, tags text[], extra jsonb,
    made_at timestamptz not null default clock_timestamp()
);
create table public.wide (
    k1 integer, k2 text, c_bool boolean, c_small smallint, c_big bigint, c_real real, c_double
    double precision, c_uuid uuid, c_date date, c_bytea bytea, c_interval interval, primary key (k1, k2)
);
create table public.scratch (scratch_id bigint primary key, note text);
create table public.document (document_id bigint primary key, head text not null, body text not null);
create table public.blob (blob_id bigint primary key, body text not null);
"""

PIPELINE = """
[sources.accounts]
doorbell = "invoke"
[[sources.accounts.tables]]
table = "public.entry"
[[sources.accounts.tables]]
table = "public.wide"
[[sources.accounts.tables]]
table = "public.scratch"
[[sources.accounts.tables]]
table = "public.document"
[[sources.accounts.tables]]
table = "public.blob"

[sinks.replica]
type = "postgres"
[sinks.archive]
type = "s3"
[sinks.warehouse]
type = "redshift"

[[routes]]
table = "accounts.public.entry"
sinks = ["replica", "archive", "warehouse"]
mode = "both"
[[routes]]
table = "accounts.public.wide"
sinks = ["replica", "archive", "warehouse"]
[[routes]]
table = "accounts.public.scratch"
sinks = ["replica", "archive", "warehouse"]
[[routes]]
table = "accounts.public.document"
sinks = ["replica", "archive", "warehouse"]
[[routes]]
table = "accounts.public.blob"
sinks = ["replica", "archive"]
"""
# A blob of 40 MB is more than any type of Redshift holds.
