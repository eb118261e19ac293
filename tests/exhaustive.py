"""Which cases CI leaves out: they repeat, for another model, layer or input, what others show.

All of them run with `make test-exhaustive`: before a release, and after a change to what they test.
Each entry says what stands for it in CI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# By file, patterns of the names of its cases.
CASES: Mapping[str, Sequence[str]] = {
    # ssrnet is the same network with another range of answers.
    "tests/parity_tests/localisation/test_localise.py": (
        r"\[ssrnet-gender",
        r"conversion.*\[c3ae-plain",
    ),
    # int8: the middle layer of c3ae-plain has every fault.
    "tests/parity_tests/localisation/test_calibrated.py": (
        r"\[ssrnet-",
        r"\[c3ae-\.",
        r"\[c3ae-plain-[02]-",
    ),
    # Two networks of a user go through every stage as ONNX files; the tutorial's in every format.
    "tests/own/test_own.py": (
        r"in_its_unit\[(mobile|bins|pose)",
        r"in_its_unit\[.*-every format\]",
        r"faces\[(bins|bottlenecks)\]",
    ),
    "tests/own/test_own_int8.py": (r"\[residual\]",),
    # The calibration of c3ae-plain is used by the tests of localisation.
    "tests/export/test_int8_command.py": (r"released_weights_become_int8_without_faces",),
    "tests/export/int8/test_fallback.py": (r"come_nearer_to_their_float_files", r"\[c3ae"),
    "tests/export/int8/test_qdq.py": (r"\[c3ae\]",),
    "tests/export/int8/test_convert.py": (r"\[c3ae-plain",),
    "tests/export/int8/test_command.py": (r"from_faces_to_an_int8_file",),
    "tests/export/test_tflite.py": (r"open_batch_of_the_onnx_file",),
    "tests/export/test_onnx.py": (
        r"\[(ssrnet-gender|c3ae-plain|mobileagenet)\]",
        r"single_images\[c3ae",
    ),
    # The test of optimise leaves passes out, too; that of the network's absence exports as well.
    "tests/export/passes/test_registry.py": (r"leaves_out_what_its_request_names",),
    "tests/export/test_pipeline.py": (r"needs_no_network\[onnx tflite coreml\]",),
    # `make mil-conformance` runs all of Apple's tests.
    "tests/agecompact/runtimes/mil/test_conformance.py": (r"released_models_pass_apples_tests",),
    "tests/agecompact/bench/test_host.py": (r"open_batch_is_measured_per_face",),
    # The same code, of which these are other constants.
    "tests/agecompact/integrate/test_android.py": (
        r"\[(LINEAR_RGB|GREY|INT8)\]",
        r"\[(uncropped|bilinear)\]",
    ),
    # A sample of the faults that other tests plant one by one.
    "tests/parity_tests/test_fault_table.py": (r"caught_and_located",),
    "tests/parity_tests/optimise/test_command.py": (r"int8_and_half_precision_are_counted",),
    "tests/parity_tests/test_fidelity.py": (r"\[c3ae-plain-",),
    "tests/parity_tests/test_coverage.py": (r"\[(mobileagenet|c3ae-plain|ssrnet-gender)\]",),
    "tests/parity_tests/test_reexported_faults.py": (r"\[(mobileagenet|c3ae-plain)\]",),
    "tests/parity_tests/test_picture_faults.py": (r"\[mobileagenet-",),
    "tests/parity_tests/test_planted_faults.py": (r"\[mobileagenet-", r"\[ssrnet-gender-onnx"),
    "tests/parity_tests/test_benign.py": (r"threads_passes\[4-all\]",),
    "tests/agecompact/runtimes/mil/test_parity.py": (r"\[(mobileagenet|c3ae-plain)\]",),
    "tests/agecompact/commands/test_evaluate.py": (r"card\[(c3ae|c3ae-plain|ssrnet-gender)\]",),
    # `agecompact train` refuses and resumes with the same code.
    "tests/agecompact/training/test_devices.py": (r"\[3-4-",),
    "tests/agecompact/lemur/test_lemur.py": (r"\[(ssrnet-gender|c3ae-plain)\]",),
    # Other files of the same layouts.
    "tests/agecompact/weights/importers/test_renamed_files.py": (
        r"gender_imdb",
        r"imdb_focal_loss",
        r"megaage",
        r"wiki",
    ),
    "tests/agecompact/weights/importers/test_against_keras.py": (
        r"\[ssrnet/age_(megaage_asian|wiki)",
        r"-save-15\]",
    ),
    # Each kind of file with one verb, and each verb with one kind.
    "tests/agecompact/weights/test_adoption.py": (
        r"\[(weights import|inspect|train --start)-(pickle|TorchScript|torch.export|safetensors)",
    ),
    # The action's other tests run its steps one by one, with what is installed.
    "tests/test_action.py": (r"the_steps_install_export_prove_and_report",),
    "tests/test_bench_peers.py": (r"a_tool_from_end_to_end",),
    "tests/test_bad_input.py": (r"export_leaves_nothing\[(1|15)\]", r"exit code 7"),
    # What these do is a part of what the others do.
    "tests/test_network.py": (
        r"\[(tune|preprocessing|freeze|lemur|verify|data split|bench size)\]",
    ),
    "tests/test_wheel.py": (r"--baseline", r"parity_tests --build", r"--dynamic-batch"),
    "tests/agecompact/commands/test_tune.py": (r"two_workers_share_a_study",),
    "tests/android_bench/adb/test_faults.py": (r"waited_for\[True\]",),
}


def is_exhaustive(file: str, case: str) -> bool:
    """Whether CI leaves a case out.

    Args:
        file: Its file, relative to the repository.
        case: Its name, with parameters: `test_it_runs[ssrnet]`.
    """
    return any(re.search(pattern, case) for pattern in CASES.get(file, ()))
