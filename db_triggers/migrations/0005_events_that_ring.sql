-- Outbox tables of a newer form, with the column rings; see build_outbox. The installation that runs this
-- makes them: a table without a layout gets one. What is in those of the older form is drained from there.
update pgevents.layout
set retired = true
where not retired;
