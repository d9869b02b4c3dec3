"""The hot loops of networks: sums over active units, forward and backward."""
