"""Studies: many trained networks, one question each; a table, a figure and every number as Parquet.

runs.py         the networks, each trained once, measured and kept
pairs.py        differences between arms that share their seeds, with intervals
brain_level.py  what 4, 2 and 1 % active units cost compared with a dense network
figure3.py table1.py few_labels.py      the experiments of Glorot, Bordes & Bengio 2011
"""
