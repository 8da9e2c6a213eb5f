"""PyTorch's side of the benchmarks: loads translated programs and runs them on request.

Started by bench/peers/torch.ts; one JSON request a line on stdin, one JSON answer a line on stdout. The rule easy to
break: between requests it waits on the pipe and computes nothing, so that what runs meanwhile has the machine.
"""
import contextlib
import json
import os
import resource
import signal
import sys
import time

# Whatever a library prints must not be taken for an answer.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import numpy as np
import torch

# Where everything lies; hello() may make it "cuda".
DEVICE = "cpu"

DTYPES = {"f32": np.float32, "i32": np.int32, "u8": np.uint8}


def as_torch(data, stored, layout):
    values = np.frombuffer(data, DTYPES[stored["dtype"]], stored["bytes"] // DTYPES[stored["dtype"]]().itemsize, stored["offset"])
    tensor = torch.from_numpy(values.copy()).reshape(stored["shape"]).to(DEVICE)
    if stored["dtype"] == "i32":
        return tensor.long()
    if layout == "filter":
        return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    if layout == "image":
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    return tensor


def as_ours(tensor):
    """float32 values in our layout, NHWC."""
    tensor = tensor.detach().float()
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.contiguous().cpu().numpy()


def finish():
    """Waits for what a device was asked for."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Task:
    """One program with its weights, batches and, in training, its optimiser."""

    def __init__(self, folder, variant):
        with open(os.path.join(folder, "torch.json")) as file:
            self.about = json.load(file)
        with open(os.path.join(folder, "manifest.json")) as file:
            manifest = json.load(file)
        with open(os.path.join(folder, "data.bin"), "rb") as file:
            data = file.read()
        scope = {}
        source = os.path.join(folder, "program.py")
        with open(source) as file:
            exec(compile(file.read(), source, "exec"), scope)
        self.kind, self.bf16 = self.about["kind"], variant["bf16"]
        layouts = self.about["layouts"]
        load = lambda stored: as_torch(data, stored, layouts[str(stored["id"])])
        self.w = [load(stored) for stored in manifest["weights"]]
        self.steps = [[load(stored) for stored in step] for step in manifest["steps"]]
        self.r = []
        for channels in self.about["running"]:
            self.r += [torch.zeros(channels), torch.ones(channels)]
        self.done = 0
        self.k = ()
        if self.kind == "train":
            trained = [w for w, stored in zip(self.w, manifest["weights"]) if stored["trained"]]
            for w in trained:
                w.requires_grad_(True)
            self.optimizer = torch.optim.Adam(
                trained, lr=self.about["lr"], betas=(0.9, 0.999), eps=1e-8, fused=True, capturable=variant["graph"])
        elif self.kind == "kernel" and self.bf16:
            self.w = [w.bfloat16() if stored["trained"] else w for w, stored in zip(self.w, manifest["weights"])]
        else:
            with torch.inference_mode():
                self.k = scope["prepare"](self.w)
        self.forward = torch.compile(scope["forward"]) if variant["compile"] else scope["forward"]
        self.graph = None
        if variant["graph"]:
            self.capture()

    def capture(self):
        """Makes a step one CUDA graph, which reads its batch from self.given; weights and the optimiser are as before."""
        self.given = [value.clone() for value in self.steps[0]]
        before = [value.detach().clone() for value in self.w + self.r]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.compute(self.given)
        torch.cuda.current_stream().wait_stream(side)
        if self.kind == "train":
            self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.results = self.compute(self.given)
        with torch.no_grad():
            for value, old in zip(self.w + self.r, before):
                value.copy_(old)
            if self.kind == "train":
                for state in self.optimizer.state.values():
                    for value in state.values():
                        value.zero_()
        self.graph = graph

    def precision(self):
        low = self.bf16 and self.kind != "kernel"
        return torch.autocast(DEVICE, torch.bfloat16) if low else contextlib.nullcontext()

    def step(self):
        given = self.steps[self.done % len(self.steps)]
        self.done += 1
        if self.graph is None:
            return self.compute(given)
        for to, value in zip(self.given, given):
            to.copy_(value)
        self.graph.replay()
        return self.results

    def compute(self, given):
        if self.kind != "train":
            with torch.inference_mode(), self.precision():
                return self.forward(self.w, self.k, given, self.r)
        with self.precision():
            results = self.forward(self.w, self.k, given, self.r)
            loss = results[0].sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return results

    def check(self, out):
        with open(out, "wb") as file:
            for _ in range(len(self.steps)):
                for result in self.step():
                    file.write(as_ours(result).tobytes())

    def sample(self, count):
        started = time.perf_counter()
        for _ in range(count):
            self.step()
        finish()
        return (time.perf_counter() - started) * 1000


def ceilings():
    """GFLOP/s of large products in both precisions, GB/s of a large copy."""

    def median(work):
        times = []
        for _ in range(8):
            started = time.perf_counter()
            work()
            finish()
            times.append(time.perf_counter() - started)
        return sorted(times[1:])[3]

    found = {}
    size = 8192 if DEVICE == "cuda" else 2048
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.full((size, size), 0.5, dtype=dtype), torch.full((size, size), 0.5, dtype=dtype)
        out = torch.empty_like(a)
        found[name] = 2 * size**3 / median(lambda: torch.mm(a, b, out=out)) / 1e9
    source = torch.full((2**26,), 0.5)
    target = torch.empty_like(source)
    found["copy"] = 8 * 2**26 / median(lambda: target.copy_(source)) / 1e9
    return found


def hello(threads, device):
    global DEVICE
    torch.set_num_threads(threads)
    DEVICE = device
    if DEVICE == "cpu":
        return {"version": torch.__version__, "isa": torch.backends.cpu.get_cpu_capability()}
    torch.set_default_device(DEVICE)
    # As ours: float32 products in float32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return {"version": torch.__version__, "isa": torch.cuda.get_device_name()}


def answer(tasks, request):
    do = request["do"]
    if do == "hello":
        return hello(request["threads"], request["device"])
    if do == "ceilings":
        return ceilings()
    if do == "load":
        tasks[request["name"]] = Task(request["folder"], request["variant"])
    elif do == "check":
        tasks[request["name"]].check(request["out"])
    elif do == "sample":
        return {"ms": tasks[request["name"]].sample(request["count"])}
    elif do == "drop":
        del tasks[request["name"]]
    elif do == "memory":
        return {"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    else:
        raise ValueError(f"[driver] expected a known request, got {do}")
    return {}


def main():
    # By an exception, on whose way out a compiler that is waited for is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    tasks = {}
    for line in sys.stdin:
        try:
            found = answer(tasks, json.loads(line))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        ANSWERS.write(json.dumps(found) + "\n")
        ANSWERS.flush()


main()
