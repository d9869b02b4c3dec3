"""Studies: many trained networks, one question each; a table, a figure and every number as Parquet.

runs.py                  the networks, each trained once, measured and kept
brain_level.py           what 4, 2 and 1 % active units cost compared with a dense network
brain_level_results.py   its tables and its figure
transformers.py          the same of language models
bits_per_atp.py          the share of active units that tells the most for its energy
figure3.py               the error over sparsity, as in Glorot, Bordes & Bengio 2011
pretraining.py           table 1 and figure 4 of that paper
electrodes.py            what recordings that miss cells make of the cortical column
"""
