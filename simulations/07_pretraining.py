"""Does pre-training without labels help, and whom: rectifiers or tanh?

Source: Glorot, Bordes & Bengio 2011, figure 4 (NORB): tanh gains at every number of labels, the rectifier only where they are few;
here 3 x 300 units, 3,500 digits without labels, then 100, 500 or all with labels, one learning rate. Expected (seed 0): test
error without and with: rectifier 24.5, 12.7, 6.1 and 20.1, 9.2, 4.4 %; tanh 24.7, 15.0, 7.1 and 22.9, 11.5, 4.9 %: both gain
throughout, for even 3,500 labels are few. Run time: 45 s on one core.
"""

import argparse

from neurosparse import data
from neurosparse.data import Splits
from neurosparse.rectifier import NetworkSpec, TrainSpec, train
from neurosparse.rectifier.pretraining import pretrain
from neurosparse.rectifier.specs import PretrainSpec

EPOCHS = {100: 60, 500: 30, 3500: 15}  # of training, by the number of labels


def main(seed: int, device: str = "cpu") -> None:
    """Print the test errors with and without pre-training."""
    digits = data.load("mnist5k")
    print("labels  network    without  pre-trained  (test error, %)")
    for activation in ("rectifier", "tanh"):
        network = NetworkSpec(sizes=(784, 300, 300, 300, 10), activation=activation)
        start = pretrain(PretrainSpec(network=network, epochs=6, seed=seed), digits, device=device).network
        for labels, epochs in EPOCHS.items():
            some = Splits(
                "some labels", digits.train.take(slice(None, None, 3500 // labels)), digits.validation, digits.test
            )
            spec = TrainSpec(network=network, epochs=epochs, learning_rate=0.1, seed=seed)
            without, tuned = (train(spec, some, device=device, start=s).test_error or 0 for s in (None, start))
            print(f"{labels:>6}  {activation:<9} {100 * without:>8.1f} {100 * tuned:>12.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or mps")
    main(**vars(parser.parse_args()))
