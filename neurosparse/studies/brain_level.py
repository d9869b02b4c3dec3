"""What does it cost a network to be as sparse as a brain: 4, 2 and 1 % of its units active, against a dense one?

Fashion-MNIST, 55,000 / 5,000 / 10,000 images, 784-1000-1000-1000-10, minibatch 10. The plan, written before a test score was read:

1. Arms share their seeds: the same initial weights and order of images. A dense arm, and one for each target of active units.
2. Settings are chosen on validation images alone, for the dense arm too. Test scores are stored with each network and are first
   read when all networks of all arms are trained.
3. A network's training time is the CPU time of its thread; an arm's is the mean over its seeds, as a share of the dense arm's. A
   sparse arm's epochs are chosen so that it stays below 1.
4. Every network is that of its last step, its weights averaged over the last quarter of the training.
5. Reported for each arm, whatever it says: test error and negative log-likelihood (NLL), their differences from the dense arm
   paired by seed with 95 % intervals, units alive and active by layer, active multiply-accumulates, training time.
"""

from __future__ import annotations

from neurosparse.rectifier.specs import NetworkSpec, TrainSpec

DENSE = TrainSpec(
    network=NetworkSpec(),
    data="fashion_mnist",
    epochs=20,
    learning_rate=0.1,
    learning_rate_end=0.002,
    average_last=0.25,
)
