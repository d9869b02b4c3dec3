"""What does it cost a transformer to be as sparse as a brain?

As sparse as a brain means that 4, 2 and 1 % of the units of its feed-forward blocks are active.

Source: the 1 to 4 % are those that Glorot, Bordes & Bengio 2011 cite for the brain (Attwell &
Laughlin 2001, Lennie 2003). That trained rectifier transformers are sparse by themselves is Li et
al. 2023 (arXiv:2210.06313). The question is this project's, and its plan stands in
docs/transformers.md. A character transformer on Shakespeare's plays, 1,000 steps, seeds shared by
all arms.

Expected: docs/transformers.md. Into a folder for the study in results/transformers/, with --quick
(tiny networks) in results/transformers_quick/.

Run time: some 20 minutes of one core a seed; what is done stays done.
"""

from neurosparse._internal import share
from neurosparse.progress import on_stderr
from neurosparse.studies import transformers

if __name__ == "__main__":
    parser = share.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny networks, a minute")
    parser.add_argument("--seeds", type=int, default=5, help="networks an arm")
    parser.add_argument(
        "--study", choices=transformers.STUDIES, default="arms", help="which arms: the page"
    )
    parser.add_argument(
        "--trained-only", action="store_true", help="write the study of what is trained"
    )
    parser.add_argument(
        "--done", help="a runs.parquet of networks that are trained: they are not trained again"
    )
    parser.add_argument("--out", help="the folder; by default under results/")
    options = parser.parse_args()
    default = "results/transformers_quick" if options.quick else "results/transformers"
    try:
        print(
            transformers.run(
                options.out or default,
                study=options.study,
                seeds=range(options.seeds),
                quick=options.quick,
                trained_only=options.trained_only,
                done=options.done,
                progress=on_stderr,
            )
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
