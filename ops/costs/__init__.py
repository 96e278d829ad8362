"""What the pipeline costs a month: what there is, from the templates, and what passes through it, by a load.

`prices.toml` holds every price, with its date and the page it was read on, and every assumption about use.
"""
