#!/usr/bin/env bash
# Everything that needs a GPU, on a bare machine with Python and PyTorch, in at most $TOTAL (480) seconds:
#
#     OUT=results bash benchmarks/gpu.sh              # DEVICE=cpu runs what a processor can, LIMIT=seconds of each part
#     PARTS="kernels peers" bash benchmarks/gpu.sh    # some parts
#
# What must be right (tests, resume, DDP, fp16, agreement with a processor) runs side by side; what is timed (kernels,
# peers) alone after it. Into $OUT: machine.txt, one .txt a part with what it printed, timings.json, and summary.txt
# with each part's exit status (0 good, 124 out of time). A part that fails does not stop the next.
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-results}
DEVICE=${DEVICE:-cuda}
LIMIT=${LIMIT:-180}
TOTAL=${TOTAL:-480}
PYTHON=${PYTHON:-python3}
PARTS=${PARTS:-waiting ops resume ddp fp16 agree kernels peers}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export FULLCONV_CACHE=$WORK/cache PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}
ACCELERATOR=$DEVICE
: > "$OUT/summary.txt"

part() {  # NAME COMMAND...: run it, keep what it printed and how it ended
    case " $PARTS install " in *" $1 "*) ;; *) return ;; esac
    local name=$1 started=$SECONDS status
    local limit=$((TOTAL - SECONDS < LIMIT ? TOTAL - SECONDS : LIMIT))
    shift
    if [ "$limit" -lt 1 ]; then
        echo "$name: exit status 124, not started" | tee -a "$OUT/summary.txt"
        return 124
    fi
    timeout "$limit" "$@" > "$OUT/$name.txt" 2>&1
    status=$?
    echo "$name: exit status $status, $((SECONDS - started)) s" | tee -a "$OUT/summary.txt"
    return $status
}

train_here() {
    exec "$PYTHON" -m fullconv train "shapes:height=64,width=64,train=64,val=8" --encoder resnet10t \
        --model fcn16s --epochs 4 --batch-size 8 --workers 2 --precision "${PRECISION:-auto}" \
        --device "$ACCELERATOR" --devices 1 --no-check --seed 1 "$@"
}

train() { (train_here "$@"); }

columns() { cut -d, -f1-11 "$1/log.csv"; }  # all but the seconds

resume() {  # a run that was stopped goes on as the whole one did; on a GPU sums may differ in their last digits
    train --out "$WORK/whole" || return
    train_here --out "$WORK/cut" & local process=$!
    while [ ! -f "$WORK/cut/log.csv" ] && kill -0 $process 2> /dev/null; do sleep 0.1; done
    kill -TERM $process 2> /dev/null
    wait $process
    echo "stopped with exit status $? (130: interrupted; 0: it was done before)"
    train --out "$WORK/cut" --resume || return
    columns "$WORK/whole" > "$OUT/resume-whole.csv"
    columns "$WORK/cut" > "$OUT/resume-cut.csv"
    "$PYTHON" - "$OUT/resume-whole.csv" "$OUT/resume-cut.csv" "$DEVICE" << 'END'
import csv, sys
whole, cut = (list(csv.DictReader(open(path))) for path in sys.argv[1:3])
worst = max(abs(float(a[k]) - float(b[k])) for a, b in zip(whole, cut, strict=True) for k in a)
print(f"largest difference of {len(whole)} epochs' figures: {worst:g}")
sys.exit(worst > (0 if sys.argv[3] == "cpu" else 0.05))
END
}

one_rank() {  # DDP of one process: its set-up, collectives and end
    train --out "$WORK/ddp" --strategy ddp
}

fp16() {
    PRECISION=fp16 train --out "$WORK/fp16"
}

agree() {  # one model's confusion matrix in fp32, on this device and on a processor
    train --out "$WORK/agree" || return
    "$PYTHON" - "$WORK/agree" "$DEVICE" << 'END'
import sys
import numpy as np
import fullconv

model, device = sys.argv[1:]
data = "shapes:height=97,width=131,train=16,val=16"
counts = [
    np.array(fullconv.evaluate(model, data, device=where, precision="fp32", workers=0).confusion)
    for where in (device, "cpu")
]
moved = np.abs(counts[0] - counts[1]).sum() / 2
print(f"{moved:.0f} of {counts[0].sum()} pixels are counted elsewhere")
sys.exit(bool(moved > 1e-4 * counts[0].sum()))
END
}

describe() {
    "$PYTHON" - << 'END'
import os, platform
import torch
gpu = torch.cuda.is_available()
print("card:", torch.cuda.get_device_name() if gpu else "none")
print("capability:", torch.cuda.get_device_capability() if gpu else "none")
print("torch", torch.__version__, "cuda", torch.version.cuda, "cores", os.cpu_count(), "python", platform.python_version())
END
}

if ! "$PYTHON" -c "from importlib.metadata import version; version('fullconv'); import pytest, hypothesis, sklearn, torchmetrics" 2> /dev/null; then
    part install "$PYTHON" -m pip install --quiet -e '.[bench]' pytest hypothesis scikit-learn torchmetrics
fi
export -f train_here train columns resume one_rank fp16 agree
export OUT WORK PYTHON DEVICE ACCELERATOR
describe > "$OUT/machine.txt" 2>&1
OWN_THREADS=${OMP_NUM_THREADS-}
export OMP_NUM_THREADS=2  # side by side, a process that takes all cores is the last to end
part waiting "$PYTHON" -m pytest -v -rs --tb=short tests/training/test_waiting.py -k "gpu" &
"$PYTHON" -c "import xdist" 2> /dev/null && SPREAD="-n 8 -p no:benchmark"
part ops "$PYTHON" -m pytest -v -rs --tb=short ${SPREAD:-} tests/ops -k "triton or gpu" &
part resume bash -c resume &
part ddp bash -c one_rank &
part agree bash -c agree &
[ "$DEVICE" = cuda ] && part fp16 bash -c fp16 &
wait
if [ -n "$OWN_THREADS" ]; then export OMP_NUM_THREADS=$OWN_THREADS; else unset OMP_NUM_THREADS; fi
part kernels "$PYTHON" benchmarks/run.py --only kernels --device "$DEVICE" --json "$OUT/timings.json"
part peers "$PYTHON" benchmarks/run.py --only train predict --rounds 2 --device "$DEVICE" --json "$OUT/timings.json"
cat "$OUT/machine.txt" "$OUT/summary.txt"
! grep -qv "exit status 0" "$OUT/summary.txt"
