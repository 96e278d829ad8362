"""The console: one page that shows how far each source has come, from the sources' own ledgers."""
