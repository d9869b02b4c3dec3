"""Tools without a subject: checks, whole files, files of strangers, threads, processes.

No public names.
"""
