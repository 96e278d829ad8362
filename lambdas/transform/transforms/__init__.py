"""Your transforms: every module of this folder is imported, its `@on` functions take the events they name.

A table without a transform flows through unchanged. A column that a transform adds or retypes is declared in
pipeline.toml, under the route's `columns`. Keep transforms pure, the same record for the same event: a batch
may be read again.
"""
