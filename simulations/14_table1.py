"""Is the rectifier better than tanh and softplus, and what does pre-training bring each of them?

Source: Glorot, Bordes & Bengio 2011, table 1 (MNIST, no pre-training: rectifier 1.43, tanh 1.57,
softplus 1.77 %; pre-trained 1.20, 1.16, 1.17 %). Here 5,000 digits, or Fashion-MNIST, seeds shared
by all arms.

Expected: docs/findings/table1.md. Into results/table1_DATA/, with --quick (3 x 300 units, at most
10,000 labels) into results/table1_DATA_quick/.

Run time: with --quick about 4 minutes of a busy core; the networks of 1,000 units take hours; what
is done stays done.
"""

from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies import pretraining

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--data", default="mnist5k", help="mnist5k, fashion_mnist or mnist")
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument(
        "--no-pretraining",
        dest="pretrained",
        action="store_false",
        help="the first half of the table alone",
    )
    parser.add_argument("--seeds", type=int, default=5, help="networks an arm")
    parser.add_argument("--threads", type=int, default=1, help="networks at once")
    options = vars(parser.parse_args())
    folder = f"results/table1_{options['data']}{'_quick' * options['quick']}"
    try:
        print(
            pretraining.table1(
                folder, **options | {"seeds": range(options["seeds"])}, progress=on_stderr
            )
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
