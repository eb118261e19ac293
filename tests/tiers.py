"""Which cases `make test` leaves to CI, and which CI leaves to `make test-exhaustive`.

Tests that are slow by themselves have the mark `slow` where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# By file, patterns of the names of its cases.
Cases = Mapping[str, Sequence[str]]

# Fast ones of which there are many, or that wait. CI runs them.
SLOW: Cases = {
    # They need the data set or published weights, which few have.
    "tests/agecompact/data/test_real_utkface.py": ("",),
    "tests/agecompact/weights/importers/test_against_keras.py": ("",),
    "tests/agecompact/weights/importers/test_renamed_files.py": ("test_public", r"-permuted"),
    "tests/parity_tests/test_reexported_faults.py": ("released_weights",),
    # Faults of int8 are planted in a network that has to be calibrated first.
    "tests/parity_tests/localisation/test_calibrated.py": (
        r"test_a_broken_layer",
        r"test_an_intact_file",
        r"test_reversed_colours",
        r"test_answers_that_are_not_finite",
        r"test_parity_names",
    ),
    "tests/export/int8/test_tries.py": (r"best_is_kept\[[12]\]",),
    "tests/export/int8/test_qdq.py": (r"answers_as_the_tflite_file",),
    # What the tests of faults show as well: an artefact without one passes.
    "tests/parity_tests/test_benign.py": ("",),
    "tests/parity_tests/test_picture_faults.py": ("-none",),
    "tests/parity_tests/test_coverage.py": (r"foreign_pair",),
    "tests/parity_tests/test_task.py": ("",),
    "tests/parity_tests/test_batching.py": ("",),
    "tests/parity_tests/test_foreign_pairs.py": (r"batch of 4\]", r"any size\]", r"quantised"),
    "tests/parity_tests/test_suite.py": (r"one_test_per_artefact",),
    "tests/own/test_onnx_source.py": (r"fails_in_years",),
    "tests/own/test_own.py": (r"test_check_runs_the_network_on_faces\[heads\]",),
    "tests/agecompact/bench/test_host.py": (r"file_of_pictures", r"broken_file_is_a_record"),
    "tests/agecompact/bench/test_profiling.py": (r"pytorch-max_pool",),
    "tests/agecompact/commands/test_evaluate.py": (r"update_card", r"cached_chips"),
    "tests/agecompact/commands/test_preprocessing.py": ("",),
    "tests/agecompact/commands/test_own_data.py": ("",),
    "tests/agecompact/commands/test_arguments_first.py": (r"test_folds",),
    "tests/agecompact/commands/test_predict.py": (r"while_a_model_hangs",),
    "tests/export/test_keep_going.py": (r"the_other_formats_are_made",),
    "tests/test_bad_input.py": (r"interrupted_export_leaves_nothing",),
    # They wait for what hangs.
    "tests/parity_tests/test_bad_artifacts.py": (r"while_an_artefact_hangs",),
    "tests/agecompact/runtimes/test_process.py": (r"time\.sleep",),
    "tests/agecompact/diagnosis/test_importing.py": (r"hangs_is_stopped",),
    "tests/ios_bench/test_mac.py": ("",),
    "tests/test_machine_faults.py": ("",),
    "tests/ios_bench/test_tool.py": (r"late_program",),
}

# What repeats, for another model, layer or input, what others show; each entry says what stands for
# it. To run before a release, and after a change to what they test.
EXHAUSTIVE: Cases = {
    # ssrnet-gender is the same network as ssrnet with another range of answers. Cases of faults in
    # mobileagenet fail if localisation blames one of its correct ops.
    "tests/parity_tests/localisation/test_localise.py": (
        r"\[ssrnet-gender",
        r"conversion.*\[(c3ae-plain|mobileagenet)",
    ),
    # int8: the middle layer of c3ae-plain has every fault in the TFLite file, and in the ONNX file
    # the one that a TFLite file cannot have.
    "tests/parity_tests/localisation/test_calibrated.py": (
        r"\[ssrnet-",
        r"\[c3ae-\.",
        r"\[c3ae-plain-[02]-",
        r"onnx_file_is_named\[c3ae-plain-1-(?!read)",
    ),
    # Two networks of a user go through every stage as ONNX files; the tutorial's in every format.
    # `residual` is checked with the commands of docs/own-network.md.
    "tests/own/test_own.py": (
        r"in_its_unit\[(mobile|bins|pose)",
        r"in_its_unit\[.*-every format\]",
        r"faces\[(bins|bottlenecks|residual)\]",
    ),
    "tests/own/test_own_int8.py": (r"\[residual\]",),
    # The calibration of c3ae-plain is used by the tests of localisation.
    "tests/export/test_int8_command.py": (r"become_int8_without_faces\[(?!ssrnet-19)",),
    "tests/export/int8/test_fallback.py": (r"come_nearer_to_their_float_files", r"\[c3ae"),
    "tests/export/int8/test_qdq.py": (r"\[c3ae\]",),
    "tests/export/int8/test_convert.py": (r"\[c3ae-plain",),
    "tests/export/int8/test_command.py": (r"from_faces_to_an_int8_file",),
    "tests/export/test_tflite.py": (r"open_batch_of_the_onnx_file",),
    "tests/export/test_onnx.py": (
        r"\[(ssrnet-gender|c3ae-plain|mobileagenet)\]",
        r"single_images\[c3ae",
    ),
    # The test of optimise leaves passes out, too.
    "tests/export/passes/test_registry.py": (r"leaves_out_what_its_request_names",),
    # That of the network's absence exports as well.
    "tests/export/test_pipeline.py": (r"needs_no_network\[onnx tflite coreml\]",),
    # `make mil-conformance` runs all of Apple's tests.
    "tests/agecompact/runtimes/mil/test_conformance.py": (r"released_models_pass_apples_tests",),
    "tests/agecompact/bench/test_host.py": (r"open_batch_is_measured_per_face",),
    # The same code, of which these are other constants.
    "tests/agecompact/integrate/test_android.py": (
        r"\[(LINEAR_RGB|GREY|INT8)\]",
        r"\[(uncropped|bilinear|misframed)\]",
    ),
    # A sample of the faults that other tests plant one by one.
    "tests/parity_tests/test_fault_table.py": (r"caught_and_located",),
    "tests/parity_tests/optimise/test_command.py": (r"int8_and_half_precision_are_counted",),
    "tests/parity_tests/test_fidelity.py": (r"\[c3ae-plain-",),
    # ssrnet, and a pair of ONNX files: what a runtime answers is compared by the same code.
    "tests/parity_tests/test_coverage.py": (
        r"\[(mobileagenet|c3ae|c3ae-plain|ssrnet-gender)\]",
        r"foreign_pair.*\[tflite\]",
    ),
    # ssrnet, and its lowest and a few ages.
    "tests/parity_tests/test_reexported_faults.py": (
        r"\[(mobileagenet|c3ae|c3ae-plain)\]",
        r"\[highest (ages|scores)\]",
    ),
    "tests/parity_tests/test_picture_faults.py": (r"\[mobileagenet-",),
    # Files without a fault pass in test_fidelity.py.
    "tests/parity_tests/test_planted_faults.py": (
        r"\[mobileagenet-",
        r"\[ssrnet-gender-",
        r"-none\]",
    ),
    "tests/parity_tests/test_benign.py": (r"threads_passes\[4-all\]",),
    "tests/agecompact/runtimes/mil/test_parity.py": (r"\[(mobileagenet|c3ae-plain)\]",),
    # tests/export/test_error_after_conversion.py compares a converted file with the card of ssrnet.
    "tests/agecompact/commands/test_evaluate.py": (
        r"card\[(ssrnet|c3ae|c3ae-plain|ssrnet-gender)\]",
    ),
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
    # Two verbs are killed while they work: one by SIGKILL, one by a signal that it can catch.
    "tests/test_kills.py": (r"at_random_moments",),
    # `make docs` is strict about links, and CI runs it.
    "tests/web/test_site.py": (r"every_link_between_pages",),
    # The action's other tests run its steps one by one, with what is installed.
    "tests/test_action.py": (r"the_steps_install_export_prove_and_report",),
    "tests/test_bench_peers.py": (r"a_tool_from_end_to_end",),
    # One signal, one crash and one error of a converter, and the extra of Core ML.
    "tests/test_bad_input.py": (
        r"export_leaves_nothing\[(1|15)\]",
        r"exit code 7",
        r"missing_extra.*\[tflite-",
    ),
    # `make everywhere` runs every file; the float32 files take the same way to these runtimes, and
    # their integers run on the CPU and in LiteRT's WebAssembly. htp-v75 is the other version. Of
    # truncated files, one of ncnn and one in WebAssembly.
    "tests/processors/test_everywhere.py": (
        r"ages\[(litert-wgpu|ort-wgpu)-int",
        r"ages\[(executorch|litert|ort)-arm-int",
        r"ages\[ncnn-arm-float16\]",
        r"ages\[ort-wasm-int16\]",
        r"ages\[htp-v79-",
        r"truncated.*(model\.ncnn\.param|litert-wasm)",
    ),
    # SIGINT ends both in the same way. Parity reports a crash by its kind, and a process a hang.
    "tests/parity_tests/test_bad_artifacts.py": (r"artefact_hangs\[15\]",),
    "tests/agecompact/commands/test_predict.py": (r"model_hangs\[15\]",),
    "tests/agecompact/runtimes/test_process.py": (r"parity_reports.*sleep",),
    # A batch, any size and levels each by themselves.
    "tests/parity_tests/test_foreign_pairs.py": (
        r"\[TFLite (batch of 4|of any size)\]",
        r"\[quantised levels\]",
    ),
    # The project for Python has the same mistakes; an answer in the browser is compared alike.
    "tests/web/test_integrate.py": (
        r"named\[\[blue",
        r"named\[const value",
        r"named\[\(i %",
    ),
    # The first or the last of three tries is the best.
    "tests/export/int8/test_tries.py": (r"best_is_kept\[1\]",),
    # Files without such nodes pass in test_fidelity.py.
    "tests/parity_tests/test_shared_weights.py": (r"without_the_identities",),
    # What these do is a part of what the others do.
    "tests/test_network.py": (
        r"\[(tune|preprocessing|freeze|lemur|verify|data split|bench size)\]",
    ),
    "tests/test_wheel.py": (r"--baseline", r"parity_tests --build", r"--dynamic-batch"),
    "tests/agecompact/commands/test_tune.py": (r"two_workers_share_a_study",),
    "tests/android_bench/adb/test_faults.py": (r"waited_for\[True\]",),
}


def has(cases: Cases, file: str, case: str) -> bool:
    """Whether a case is one of these.

    Args:
        cases: `SLOW` or `EXHAUSTIVE`.
        file: Its file, relative to the repository.
        case: Its name, with parameters: `test_it_runs[ssrnet]`.
    """
    return any(re.search(pattern, case) for pattern in cases.get(file, ()))
