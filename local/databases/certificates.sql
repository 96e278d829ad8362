-- The source database `certificates`: the roots that the root store carries, and those that expire soon.

create table public.certificate (
    fingerprint text not null,
    operator_id uuid not null,
    label text not null,
    issuer text not null,
    subject text not null,
    serial_number numeric not null,
    not_before timestamptz not null,
    not_after timestamptz not null,
    signature_algorithm text not null,
    key_type text not null,
    key_bits integer not null,
    is_ca boolean,
    path_length integer,
    subject_key_id bytea,
    key_usage text[],
    extensions jsonb,
    der bytea not null,
    lifecycle text not null,
    listed_in text not null,
    removed_on date,
    changed_in text not null,
    changed_at timestamptz not null,
    constraint certificate_pkey primary key (fingerprint),
    -- The key is not a number somebody gave out: it follows from the certificate's own bytes.
    constraint certificate_fingerprint_of_der check (fingerprint = encode(sha256(der), 'hex')),
    constraint certificate_validity check (not_before < not_after),
    constraint certificate_serial_number_whole check (serial_number = trunc(serial_number)),
    constraint certificate_lifecycle check (lifecycle in ('trusted', 'expiring', 'expired', 'removed')),
    constraint certificate_removed_has_date check ((lifecycle = 'removed') = (removed_on is not null))
);

create index certificate_operator_id_idx on public.certificate (operator_id);

comment on table public.certificate is
'A root certificate, from the release that first listed it until a year after its removal';
comment on column public.certificate.fingerprint is 'SHA-256 of the certificate, in hexadecimal';
comment on column public.certificate.operator_id is 'The operator in the database accounts';
comment on column public.certificate.label is 'The name that the root store gives it, as spelled there';
comment on column public.certificate.issuer is 'RFC 4514';
comment on column public.certificate.subject is 'RFC 4514';
comment on column public.certificate.serial_number is 'Up to 160 bits, and in old roots zero or negative';
comment on column public.certificate.is_ca is
'From the basic constraints; null where the certificate has none';
comment on column public.certificate.path_length is
'How many authorities may stand below; null means no limit';
comment on column public.certificate.extensions is
'Extension name or OID → {"critical": boolean, "value": ...}';
comment on column public.certificate.der is 'The certificate itself';
comment on column public.certificate.lifecycle is
'As of the release in changed_in: trusted, expiring, expired or removed';
comment on column public.certificate.listed_in is 'The first release of the root store that listed it';
comment on column public.certificate.changed_in is 'The release of the root store that last changed this row';

create table public.expiry_watch (
    expires_on date not null,
    fingerprint text not null,
    operator_id uuid not null,
    label text not null,
    days_left integer not null,
    seen_in text not null,
    constraint expiry_watch_pkey primary key (expires_on, fingerprint),
    constraint expiry_watch_days_left_not_negative check (days_left >= 0)
);

comment on table public.expiry_watch is
'Worklist of the roots that expire within three years; written anew with each release';
comment on column public.expiry_watch.days_left is
'Whole days from the release in seen_in until the certificate expires';
comment on column public.expiry_watch.seen_in is
'The release of the root store that the line was computed for';
