-- How far every sink had come, day by day: what sinks remember of older changes serves nobody after a month.

create table pgevents.horizon (
    noted_at timestamptz primary key default clock_timestamp(),
    version bigint not null
);

comment on table pgevents.horizon is
'Once a day, the version below which every change had been taken by every sink or discarded.';
