from neurosparse.sparsify.decoding import ScreenedFFN as ScreenedFFN
from neurosparse.sparsify.decoding import Screening as Screening
from neurosparse.sparsify.decoding import screened as screened
from neurosparse.sparsify.decoding import screenings as screenings
from neurosparse.sparsify.ffn import Ran as Ran
from neurosparse.sparsify.ffn import SparseFFN as SparseFFN
from neurosparse.sparsify.replacing import Replaced as Replaced
from neurosparse.sparsify.replacing import replace_ffn as replace_ffn
