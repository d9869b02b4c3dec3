"""Whom does pre-training without labels help where labels are few?

Source: Glorot, Bordes & Bengio 2011, figure 4 (NORB): tanh gains at every number of labels, the
rectifier only where they are few. Here 3,500 digits, of which 100, 500 or all have labels, over
several seeds.

Expected: docs/findings/few_labels.md. Into results/few_labels/, with --quick (3 x 300 units) into
results/few_labels_quick/.

Run time: with --quick about 5 minutes of a busy core; what is done stays done.
"""

from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies import pretraining

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--seeds", type=int, default=5, help="networks an arm")
    parser.add_argument("--threads", type=int, default=1, help="networks at once")
    options = vars(parser.parse_args())
    try:
        folder = "results/few_labels" + "_quick" * options["quick"]
        print(
            pretraining.few_labels(
                folder, **options | {"seeds": range(options["seeds"])}, progress=on_stderr
            )
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
