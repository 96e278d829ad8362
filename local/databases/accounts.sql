-- The source database `accounts`: the organisations that operate certificate authorities.

create table public.account (
    account_id bigint generated always as identity,
    operator_id uuid not null,
    organisation text not null,
    distinguished_name text not null,
    root_names text[] not null,
    certificate_count integer not null,
    active boolean not null,
    key_inventory jsonb not null,
    mean_key_bits numeric(8, 2),
    oldest_root_on date not null,
    newest_expiry timestamptz,
    changed_in text not null,
    changed_at timestamptz not null,
    constraint account_pkey primary key (account_id),
    constraint account_operator_id_key unique (operator_id),
    constraint account_organisation_not_empty check (organisation <> ''),
    -- An operator stays for a year after its last root was removed, inactive and without figures.
    constraint account_active_has_roots check (active = (certificate_count > 0)),
    constraint account_root_names_complete check (cardinality(root_names) = certificate_count),
    constraint account_figures_need_roots check (
        (mean_key_bits is null) = (certificate_count = 0)
        and (newest_expiry is null) = (certificate_count = 0)
    )
);

comment on table public.account is
'An organisation that operates at least one root certificate, or did so within the last year';
comment on column public.account.operator_id is
'Names the operator in both databases; made of the organisation, so that neither asks the other';
comment on column public.account.organisation is
'The issuer''s organisation exactly as its certificates spell it';
comment on column public.account.distinguished_name is 'Issuer of the operator''s oldest root, RFC 4514';
comment on column public.account.root_names is 'Labels of the roots in the store, sorted';
comment on column public.account.key_inventory is 'Key type and bits → number of roots in the store';
comment on column public.account.newest_expiry is
'When the last of the operator''s roots in the store expires';
comment on column public.account.changed_in is 'The release of the root store that last changed this row';
