# use.py FOLDER ORDINAL...: imports the module that lies in FOLDER and compares what it computes on
# each of these GPUs.
import sys

sys.path.insert(0, sys.argv[1])
import words_of_gpu

COUNT, SEED = 4096, 77
expected = [(index * 0x9E3779B1 + SEED) & 0xFFFFFFFF for index in range(COUNT)]
for ordinal in sys.argv[2:]:
    words = words_of_gpu.words_of_gpu(int(ordinal), COUNT, SEED)
    wrong = [index for index in range(COUNT) if words[index] != expected[index]]
    if len(words) != COUNT or wrong:
        sys.exit(f"wrong: {len(wrong)} of {len(words)} words on GPU {ordinal}, the first at {wrong[:1]}")
print(f"right: {COUNT * len(sys.argv[2:])} words")
