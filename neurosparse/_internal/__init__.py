"""Tools without a subject: checks, files that appear whole, files of strangers, threads, processes.
No public names.
"""
