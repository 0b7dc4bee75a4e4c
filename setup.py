"""The part of labsched that is compiled; everything else is in setup.cfg."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # Plain C, which knows nothing of Python: one file for every version of it (hence "abi3" in its name).
        Extension(
            "labsched.ephys.kernels._native",
            sources=["labsched/ephys/kernels/native.c"],
            depends=["labsched/ephys/kernels/loops.h"],
            extra_compile_args=["-std=gnu11", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"],
            py_limited_api=True,
        ),
        # Sums to the last bit as KlustaKwik2 forms them: a product is never fused with a sum.
        Extension(
            "labsched.ephys.kernels._mixture",
            sources=["labsched/ephys/kernels/mixture.c"],
            depends=["labsched/ephys/kernels/mixture.h"],
            extra_compile_args=["-std=gnu11", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno"],
            libraries=["m"],
            py_limited_api=True,
        ),
        # Spike detection to klusta's last bit: likewise.
        Extension(
            "labsched.ephys.kernels._spikes",
            sources=["labsched/ephys/kernels/spikes.c"],
            extra_compile_args=["-std=gnu11", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno"],
            py_limited_api=True,
        ),
    ]
)
