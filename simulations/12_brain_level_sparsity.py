"""What does it cost a network to be as sparse as a brain, compared with a dense one?

As sparse as a brain means 4, 2 and 1 % of its units active.

Source: the 1 to 4 % are those that Glorot, Bordes & Bengio 2011 cite for the brain (Attwell &
Laughlin 2001, Lennie 2003). The question is this project's, and its plan stands in
`neurosparse.studies.brain_level`. Fashion-MNIST, 784-1000-1000-1000-10, seeds shared by all arms,
of which the first is the one that others are compared with.

Expected: docs/findings/brain_level.md. Into a folder for the study in results/brain_level/, with
--quick (5,000 digits) in results/brain_level_quick/.

Run time: 3 to 4 minutes of one busy core a network, some three hours of it for ten seeds; what is
done stays done.
"""

from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies import brain_level

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks, 5,000 digits")
    parser.add_argument("--seeds", type=int, default=10, help="networks an arm")
    parser.add_argument(
        "--study",
        choices=brain_level.STUDIES,
        default="moved",
        help="which arms: docs/findings/brain_level.md",
    )
    parser.add_argument(
        "--images", choices=("test", "validation"), default="test", help="whose errors are shown"
    )
    parser.add_argument("--threads", type=int, default=1, help="networks at once")
    parser.add_argument(
        "--done", help="a runs.parquet of networks that are trained: they are not trained again"
    )
    options = parser.parse_args()
    folder = "results/brain_level_quick" if options.quick else "results/brain_level"
    try:
        print(
            brain_level.run(
                *(folder,), study=options.study, seeds=range(options.seeds),
                quick=options.quick, threads=options.threads, images=options.images,
                done=options.done, progress=on_stderr,
            )
        )  # fmt: skip
    except (ValueError, OSError) as error:
        parser.error(str(error))
