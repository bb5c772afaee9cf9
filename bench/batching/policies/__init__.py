"""Routers of the field, one file each: what a replica costs a job, by what a router knows. The least is
taken.

They are told more than their originals are: exact caches and load, without delay.
"""
