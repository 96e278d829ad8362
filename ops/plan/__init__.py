"""What a deployment would change, before it does: in the sources, in Redshift, in permissions, and the bill.

Everything here only reads. Databases are looked at in read-only transactions.
"""
